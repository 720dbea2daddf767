// Package problem turns errors into RFC 9457 problem details. It is the one
// place where a domain error meets an HTTP status.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// MediaType is the Content-Type of a problem (RFC 9457, section 6.1).
const MediaType = "application/problem+json"

// retryAfter is what clients are told to wait when the error does not say.
const retryAfter = time.Second

// Problem is the body of every error that the API answers.
type Problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Code      domain.Code    `json:"code"`
	RequestID string         `json:"request_id"`
	Errors    []FieldProblem `json:"errors,omitempty"`

	retryAfter time.Duration
}

// FieldProblem says what is wrong with one field of the request.
type FieldProblem struct {
	Pointer string `json:"pointer"` // a JSON Pointer (RFC 6901) into the body, or a parameter's name
	Detail  string `json:"detail"`
}

type kind struct {
	status int
	title  string
}

// kinds gives each code its status and its title.
var kinds = map[domain.Code]kind{
	domain.CodeMalformedRequest:         {http.StatusBadRequest, "Malformed request"},
	domain.CodeAmbiguousCredentials:     {http.StatusBadRequest, "Ambiguous credentials"},
	domain.CodeMultipleCredentials:      {http.StatusBadRequest, "Too many credentials"},
	domain.CodeUnauthenticated:          {http.StatusUnauthorized, "Credentials needed"},
	domain.CodeInvalidAPIKey:            {http.StatusUnauthorized, "Invalid API key"},
	domain.CodeKeyExpired:               {http.StatusConflict, "Key expired"},
	domain.CodeKeyRevoked:               {http.StatusConflict, "Key revoked"},
	domain.CodeProjectDisabled:          {http.StatusUnauthorized, "Project disabled"},
	domain.CodeInvalidToken:             {http.StatusUnauthorized, "Invalid token"},
	domain.CodeTokenExpired:             {http.StatusUnauthorized, "Token expired"},
	domain.CodeInvalidCredentials:       {http.StatusUnauthorized, "Invalid credentials"},
	domain.CodeForbidden:                {http.StatusForbidden, "Forbidden"},
	domain.CodeScopeNotHeld:             {http.StatusForbidden, "Scope not held"},
	domain.CodeReauthenticationRequired: {http.StatusForbidden, "Fresh sign-in needed"},
	domain.CodeSignupClosed:             {http.StatusForbidden, "Sign-up closed"},
	domain.CodeEmailUnverified:          {http.StatusForbidden, "E-mail address not verified"},
	domain.CodeNotFound:                 {http.StatusNotFound, "Not found"},
	domain.CodeMethodNotAllowed:         {http.StatusMethodNotAllowed, "Method not allowed"},
	domain.CodeConflict:                 {http.StatusConflict, "Conflict"},
	domain.CodeLastOwner:                {http.StatusConflict, "Last owner"},
	domain.CodeInFlight:                 {http.StatusConflict, "Still in flight"},
	domain.CodePreconditionFailed:       {http.StatusPreconditionFailed, "Precondition failed"},
	domain.CodePayloadTooLarge:          {http.StatusRequestEntityTooLarge, "Payload too large"},
	domain.CodeUnsupportedMediaType:     {http.StatusUnsupportedMediaType, "Unsupported media type"},
	domain.CodeValidationFailed:         {http.StatusUnprocessableEntity, "Validation failed"},
	domain.CodeIdempotencyMismatch:      {http.StatusUnprocessableEntity, "Idempotency-Key used otherwise"},
	domain.CodeRateLimited:              {http.StatusTooManyRequests, "Too many requests"},
	domain.CodeInternal:                 {http.StatusInternalServerError, "Internal error"},
	domain.CodeUnavailable:              {http.StatusServiceUnavailable, "Unavailable"},
}

// From returns the problem that tells a caller of err. What is not a
// *domain.Error is a fault of ours, of which the caller learns nothing but the
// request id.
func From(err error, requestID string) Problem {
	e, ok := errors.AsType[*domain.Error](err)
	if !ok {
		e = fromEcho(err)
	}
	k, ok := kinds[e.Code]
	if !ok {
		k, e = kinds[domain.CodeInternal], internal()
	}
	if e.Credential { // what the caller proved itself with, as opposed to what it acts upon
		k.status = http.StatusUnauthorized
	}
	p := Problem{
		Type: "/docs/errors#" + string(e.Code), Title: k.title, Status: k.status, Detail: e.Detail, Code: e.Code,
		RequestID: requestID, retryAfter: e.RetryAfter,
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, FieldProblem(f))
	}
	return p
}

// fromEcho translates the errors that Echo makes itself.
func fromEcho(err error) *domain.Error {
	e, ok := errors.AsType[*echo.HTTPError](err)
	if !ok {
		return internal()
	}
	if d, ok := byStatus[e.Code]; ok {
		return domain.Errorf(d.code, "%s", d.detail)
	}
	if e.Code >= http.StatusBadRequest && e.Code < http.StatusInternalServerError {
		return domain.Errorf(domain.CodeMalformedRequest, "The request cannot be read.")
	}
	return internal()
}

// byStatus is what Echo, or a handler of somebody's own, means by a status. What
// the error says beside it may hold anything, so it is not passed on.
var byStatus = map[int]struct {
	code   domain.Code
	detail string
}{
	http.StatusUnauthorized:          {domain.CodeUnauthenticated, "Credentials are needed here."},
	http.StatusForbidden:             {domain.CodeForbidden, "You may not do this."},
	http.StatusNotFound:              {domain.CodeNotFound, domain.NotFound().Detail},
	http.StatusMethodNotAllowed:      {domain.CodeMethodNotAllowed, "This address does not take this method; the Allow header names those that it takes."},
	http.StatusConflict:              {domain.CodeConflict, "This does not go with the state that things are in."},
	http.StatusPreconditionFailed:    {domain.CodePreconditionFailed, "It has been changed meanwhile."},
	http.StatusRequestEntityTooLarge: {domain.CodePayloadTooLarge, "The body is too large."},
	http.StatusUnsupportedMediaType:  {domain.CodeUnsupportedMediaType, "The body is not of a media type that this address takes."},
	http.StatusUnprocessableEntity:   {domain.CodeValidationFailed, "The request cannot be accepted."},
	http.StatusTooManyRequests:       {domain.CodeRateLimited, "Too many requests. Try again later."},
	http.StatusServiceUnavailable:    {domain.CodeUnavailable, "The service cannot answer right now. Try again shortly."},
}

func internal() *domain.Error {
	return domain.Errorf(domain.CodeInternal, "Something went wrong on our side. Name the request id when you ask about it.")
}

// Write answers with the problem. Headers that belong to the status, other than
// Retry-After, are the caller's to set before.
func (p Problem) Write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", MediaType)
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		wait := p.retryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	w.WriteHeader(p.Status)
	return json.NewEncoder(w).Encode(p)
}
