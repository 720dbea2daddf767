// Package problem turns errors into RFC 9457 problem details. It is the one place
// where a domain error meets an HTTP status, for the API and for the console's pages.
package problem

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/plainjson"
	"github.com/latchkey-dev/latchkey/domain"
)

// MediaType is the Content-Type of a problem (RFC 9457, section 6.1).
const MediaType = "application/problem+json"

// retryAfter is the Retry-After of an error that has none of its own.
const retryAfter = time.Second

// Problem is the body of every error response.
type Problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Code      domain.Code    `json:"code"`
	RequestID string         `json:"request_id"`
	Errors    []FieldProblem `json:"errors,omitempty"`
	Violated  []string       `json:"violated-policies,omitempty"` //nolint:tagliatelle // the name of the draft

	retryAfter time.Duration
}

// FieldProblem says what is wrong with one field of the request.
type FieldProblem struct {
	Pointer string `json:"pointer"` // a JSON Pointer (RFC 6901) into the body, or a parameter's name
	Detail  string `json:"detail"`
}

type kind struct {
	status  int
	title   string
	meaning string // for people: why it happens and what to do
}

// kinds gives each code its status, its title and its meaning.
var kinds = map[domain.Code]kind{
	domain.CodeMalformedRequest:         {http.StatusBadRequest, "Malformed request", "The request cannot be read: broken JSON, the same name twice in one object, text that is not UTF-8, or an invalid header. Fix the client that sent it."},
	domain.CodeAmbiguousCredentials:     {http.StatusBadRequest, "Ambiguous credentials", "A credential was sent twice: a header was repeated, or an API key was sent in two places. Send it once."},
	domain.CodeMultipleCredentials:      {http.StatusBadRequest, "Too many credentials", "An API key and an access token were sent together, so it is unclear who is calling. Send one of them."},
	domain.CodeUnauthenticated:          {http.StatusUnauthorized, "Authentication required", "No credential was sent. The WWW-Authenticate header lists each scheme that is accepted."},
	domain.CodeInvalidAPIKey:            {http.StatusUnauthorized, "Invalid API key", "No such API key exists: it is mistyped, cut short, deleted, or from another instance. Latchkey cannot say more, because nothing has been proved."},
	domain.CodeKeyExpired:               {http.StatusConflict, "Key expired", "The API key has expired, or a rotation replaced its token and the grace period is over: 401 if it was the credential. 409 if it was to be rotated: move its expiry first."},
	domain.CodeKeyRevoked:               {http.StatusConflict, "Key revoked", "The API key has been revoked permanently: 401 if it was the credential. 409 if it was to be changed: a revoked key can only be read and deleted."},
	domain.CodeProjectDisabled:          {http.StatusUnauthorized, "Project disabled", "The API key is valid, but its project or its organization is disabled. An admin can enable it again."},
	domain.CodeInvalidToken:             {http.StatusUnauthorized, "Invalid token", "The token is not valid: it was not issued here, its session has ended, or it has been used or replaced. Sign in again."},
	domain.CodeTokenExpired:             {http.StatusUnauthorized, "Token expired", "The access token has expired. Get a new one with the refresh token, or sign in again."},
	domain.CodeInvalidCredentials:       {http.StatusUnauthorized, "Invalid credentials", "The email address or the password is wrong. The answer does not say which."},
	domain.CodeForbidden:                {http.StatusForbidden, "Forbidden", "The caller is known but may not do this. The detail names the missing permission and who can grant it."},
	domain.CodeScopeNotHeld:             {http.StatusForbidden, "Scope not held", "No one can grant what they do not hold: the scope or the role is beyond the caller's own."},
	domain.CodeWrongEnvironment:         {http.StatusForbidden, "Wrong environment", "The API key is valid, but of the other environment: a test key where live ones are wanted, or the other way around. Latchkey itself takes both; services that verify keys may ask for one."},
	domain.CodeAddressNotAllowed:        {http.StatusForbidden, "Address not allowed", "The API key is valid, but it may be used only from its allowed_ips, and the request comes from another address or from one that is not known."},
	domain.CodeInsufficientScope:        {http.StatusForbidden, "Insufficient scope", "The API key is valid, but lacks a scope that this part of the API needs. The API is behind a proxy that asks Latchkey, and the proxy says which scopes are needed."},
	domain.CodeBadRequestPath:           {http.StatusForbidden, "Bad request path", "Programs read such a path in different ways: it has an empty segment, a dot segment, a backslash, or one of these in encoded form. Write the path without them."},
	domain.CodeMisconfigured:            {http.StatusForbidden, "Misconfigured", "The proxy asks Latchkey in a way that no key can satisfy: the project does not exist, the scopes cannot be read or are Latchkey's own, or the key has an external_id that no header can hold. Its operator has to fix it."},
	domain.CodeReauthenticationRequired: {http.StatusForbidden, "Recent sign-in required", "This cannot be undone, so it needs a sign-in from the last ten minutes. Sign in again and repeat it."},
	domain.CodeSignupClosed:             {http.StatusForbidden, "Sign-up closed", "This instance accepts no new accounts, or only those that were invited. Ask the operator."},
	domain.CodeEmailUnverified:          {http.StatusForbidden, "Email address not verified", "The email address has not been verified yet. Follow the link in the email."},
	domain.CodeNotFound:                 {http.StatusNotFound, "Not found", "The resource does not exist, or it belongs to another tenant. The response does not say which. Check the id, and the project of the credential."},
	domain.CodeMethodNotAllowed:         {http.StatusMethodNotAllowed, "Method not allowed", "The address exists but does not accept this method. The Allow header lists those that it accepts."},
	domain.CodeConflict:                 {http.StatusConflict, "Conflict", "The request conflicts with the current state of the resource. The detail says why, such as a slug that is taken."},
	domain.CodeLastOwner:                {http.StatusConflict, "Last owner", "An organization keeps at least one owner. Make another member an owner first."},
	domain.CodeCeilingReached:           {http.StatusConflict, "Ceiling reached", "There are as many of these as there may be. Delete one that is not needed first."},
	domain.CodePlanInUse:                {http.StatusConflict, "Plan in use", "Keys refer to the plan, so it cannot be deleted. Give them another plan or none first."},
	domain.CodeInFlight:                 {http.StatusConflict, "Still in progress", "A request with the same Idempotency-Key is still being answered. Repeat it in a moment."},
	domain.CodePreconditionFailed:       {http.StatusPreconditionFailed, "Precondition failed", "The resource has changed since you read it, so the If-Match header no longer matches. Read it again, then decide."},
	domain.CodePayloadTooLarge:          {http.StatusRequestEntityTooLarge, "Payload too large", "The body is larger than the operation accepts. The detail gives the limit."},
	domain.CodeUnsupportedMediaType:     {http.StatusUnsupportedMediaType, "Unsupported media type", "The body is not plain JSON. Send it uncompressed, with Content-Type: application/json."},
	domain.CodeValidationFailed:         {http.StatusUnprocessableEntity, "Validation failed", "The request can be read, but some fields or parameters are not valid. Each entry of errors points to one and says what it must be."},
	domain.CodeIdempotencyMismatch:      {http.StatusUnprocessableEntity, "Idempotency-Key reused", "The Idempotency-Key was used for a different request within the last 24 hours. Use a new one for each request."},
	domain.CodeRateLimited:              {http.StatusTooManyRequests, "Too many requests", "Too many attempts, or a limit of the API key is reached, which violated-policies names. Wait for the number of seconds in the Retry-After header. A request that is refused costs nothing."},
	domain.CodeQuotaExceeded:            {http.StatusTooManyRequests, "Quota exceeded", "A quota of the API key is used up, which violated-policies names. Its next period begins after the number of seconds in the Retry-After header. A request that is refused costs nothing."},
	domain.CodeCreditsExhausted:         {http.StatusPaymentRequired, "Credits exhausted", "Credits of the API key are used up, which violated-policies names. Where they are refilled, Retry-After has the number of seconds until then. A request that is refused costs nothing."},
	domain.CodeInternal:                 {http.StatusInternalServerError, "Internal error", "An error on our side. The request_id finds the details in the log of the instance."},
	domain.CodeUnavailable:              {http.StatusServiceUnavailable, "Unavailable", "The answer cannot be known right now, so it is neither yes nor no. Repeat the request after the number of seconds in the Retry-After header."},
}

// Codes returns every code, in no particular order.
func Codes() []domain.Code { return slices.Collect(maps.Keys(kinds)) }

// Explanation is what /docs/errors says about a code.
type Explanation struct {
	Code     domain.Code
	Title    string
	Statuses []int // two if the code may also be about the caller's credential
	Meaning  string
}

// Explanations returns the explanation of every code, ordered by status.
func Explanations() []Explanation {
	var all []Explanation
	for code, k := range kinds {
		statuses := []int{k.status}
		if code == domain.CodeKeyExpired || code == domain.CodeKeyRevoked {
			statuses = []int{http.StatusUnauthorized, k.status}
		}
		all = append(all, Explanation{code, k.title, statuses, k.meaning})
	}
	slices.SortFunc(all, func(a, b Explanation) int {
		return cmp.Or(cmp.Compare(a.Statuses[0], b.Statuses[0]), cmp.Compare(a.Code, b.Code))
	})
	return all
}

// Refusal returns what an error says to a caller, and its status. An error that is
// not a *domain.Error, or one of Echo, is an internal error that says nothing.
func Refusal(err error) (refused *domain.Error, status int) {
	refused, ok := errors.AsType[*domain.Error](err)
	if !ok {
		refused = fromEcho(err)
	}
	k, ok := kinds[refused.Code]
	if !ok {
		return internal(), http.StatusInternalServerError
	}
	if refused.Credential { // the error is about the caller's credential, not about its target
		return refused, http.StatusUnauthorized
	}
	return refused, k.status
}

// From returns the problem that describes err to a caller.
func From(err error, requestID string) Problem {
	e, status := Refusal(err)
	p := Problem{
		Type:       "/docs/errors#" + string(e.Code),
		Title:      kinds[e.Code].title,
		Status:     status,
		Detail:     e.Detail,
		Code:       e.Code,
		RequestID:  requestID,
		Violated:   e.Violated,
		retryAfter: e.RetryAfter,
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, FieldProblem(f))
	}
	return p
}

// fromEcho translates the errors of Echo itself.
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

// byStatus has the errors for statuses of Echo and of handlers outside Latchkey.
// The text of such an error may contain anything, so it is not passed on.
var byStatus = map[int]struct {
	code   domain.Code
	detail string
}{
	http.StatusUnauthorized:          {domain.CodeUnauthenticated, "Authentication required."},
	http.StatusForbidden:             {domain.CodeForbidden, "You may not do this."},
	http.StatusNotFound:              {domain.CodeNotFound, domain.NotFound().Detail},
	http.StatusMethodNotAllowed:      {domain.CodeMethodNotAllowed, "This address does not accept this method; the Allow header lists those that it accepts."},
	http.StatusConflict:              {domain.CodeConflict, "The request conflicts with the current state of the resource."},
	http.StatusPreconditionFailed:    {domain.CodePreconditionFailed, "The resource has changed since you read it."},
	http.StatusRequestEntityTooLarge: {domain.CodePayloadTooLarge, "The body is too large."},
	http.StatusUnsupportedMediaType:  {domain.CodeUnsupportedMediaType, "This address does not accept a body of this media type."},
	http.StatusUnprocessableEntity:   {domain.CodeValidationFailed, "The request is not valid."},
	http.StatusTooManyRequests:       {domain.CodeRateLimited, "Too many requests. Try again later."},
	http.StatusServiceUnavailable:    {domain.CodeUnavailable, "The service cannot answer right now. Try again shortly."},
}

func internal() *domain.Error {
	return domain.Errorf(domain.CodeInternal, "Something went wrong on our side. Quote the request id when you ask about it.")
}

// Values of headers, which all answers share.
var (
	mediaType = []string{MediaType}
	noStore   = []string{"no-store"}
)

// Write answers with the problem and sets Retry-After. The caller must have set all
// other headers that the status needs.
func (p Problem) Write(w http.ResponseWriter) error {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = mediaType, noStore
	SetRetryAfter(h, p.Status, p.retryAfter)
	w.WriteHeader(p.Status)
	_, err := w.Write(append(p.append(make([]byte, 0, 512)), '\n'))
	return err
}

// append appends the problem as plainjson encodes it. A refusal by a limit costs
// little more than an answer, and encoding by reflection was half of it.
func (p *Problem) append(b []byte) []byte {
	b = plainjson.AppendString(append(b, `{"type":`...), p.Type)
	b = plainjson.AppendString(append(b, `,"title":`...), p.Title)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(p.Status), 10)
	b = plainjson.AppendString(append(b, `,"detail":`...), p.Detail)
	b = plainjson.AppendString(append(b, `,"code":`...), string(p.Code))
	b = plainjson.AppendString(append(b, `,"request_id":`...), p.RequestID)
	b = appendList(b, `,"errors":[`, p.Errors, func(b []byte, f FieldProblem) []byte {
		b = plainjson.AppendString(append(b, `{"pointer":`...), f.Pointer)
		return append(plainjson.AppendString(append(b, `,"detail":`...), f.Detail), '}')
	})
	b = appendList(b, `,"violated-policies":[`, p.Violated, plainjson.AppendString)
	return append(b, '}')
}

// appendList appends a member that a problem has if it has any items.
func appendList[T any](b []byte, member string, items []T, item func([]byte, T) []byte) []byte {
	for i, each := range items {
		if i == 0 {
			b = append(b, member...)
		} else {
			b = append(b, ',')
		}
		b = item(b, each)
	}
	if len(items) > 0 {
		b = append(b, ']')
	}
	return b
}

// SetRetryAfter sets Retry-After in whole seconds, if the status has that header.
// wait is that of the error; 0: it has none; domain.Never: no wait helps.
func SetRetryAfter(h http.Header, status int, wait time.Duration) {
	switch {
	case status == http.StatusPaymentRequired && wait > 0:
	case wait == domain.Never:
		return
	case status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable:
		return
	case wait <= 0:
		wait = retryAfter
	}
	h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
}
