package domain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Code names a reason for refusal. Clients match on it; it never changes its
// meaning. api/problem gives each its HTTP status.
type Code string

// The codes, grouped by HTTP status.
const (
	// 400
	CodeMalformedRequest     Code = "malformed_request"
	CodeAmbiguousCredentials Code = "ambiguous_credentials"
	CodeMultipleCredentials  Code = "multiple_credentials"
	// 401
	CodeUnauthenticated    Code = "unauthenticated"
	CodeInvalidAPIKey      Code = "invalid_api_key"
	CodeKeyExpired         Code = "key_expired" // 401 as a credential, 409 as a target
	CodeKeyRevoked         Code = "key_revoked" // 401 as a credential, 409 as a target
	CodeProjectDisabled    Code = "project_disabled"
	CodeInvalidToken       Code = "invalid_token"
	CodeTokenExpired       Code = "token_expired"
	CodeInvalidCredentials Code = "invalid_credentials"
	// 402
	CodeCreditsExhausted Code = "credits_exhausted"
	// 403
	CodeForbidden                Code = "forbidden"
	CodeScopeNotHeld             Code = "scope_not_held"
	CodeWrongEnvironment         Code = "wrong_environment"
	CodeAddressNotAllowed        Code = "address_not_allowed"
	CodeInsufficientScope        Code = "insufficient_scope"
	CodeBadRequestPath           Code = "bad_request_path"
	CodeMisconfigured            Code = "misconfigured"
	CodeReauthenticationRequired Code = "reauthentication_required"
	CodeSignupClosed             Code = "signup_closed"
	CodeEmailUnverified          Code = "email_unverified"
	// 404 to 422
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeConflict             Code = "conflict"
	CodeLastOwner            Code = "last_owner"
	CodePlanInUse            Code = "plan_in_use"
	CodeCeilingReached       Code = "ceiling_reached"
	CodeInFlight             Code = "in_flight"
	CodePreconditionFailed   Code = "precondition_failed"
	CodePayloadTooLarge      Code = "payload_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeValidationFailed     Code = "validation_failed"
	CodeIdempotencyMismatch  Code = "idempotency_mismatch"
	// 429 and up
	CodeRateLimited   Code = "rate_limited"
	CodeQuotaExceeded Code = "quota_exceeded"
	CodeInternal      Code = "internal"
	CodeUnavailable   Code = "unavailable"
)

// Error is a refusal that a caller may see.
type Error struct {
	Code   Code
	Detail string       // one sentence for the caller; never a secret, never the offending value
	Fields []FieldError // for validation_failed: which fields, and why
	Err    error        // the cause, for the log only

	// RetryAfter is the time after which a retry may help, for rate_limited,
	// quota_exceeded and unavailable; if it is zero, the layer that answers chooses. It is
	// Never for a request that no limit would admit, however long it waits. For
	// credits_exhausted it is when credits are refilled; zero: never.
	RetryAfter time.Duration

	Violated []string // by limits of the key: the names of those that refuse

	// Credential means that the caller used the refused thing to prove itself:
	// key_revoked is then 401, whereas a revoked key as a target is 409.
	Credential bool
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Pointer string // JSON Pointer (RFC 6901) into the body, or the parameter's name
	Detail  string
}

func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString(string(e.Code))
	if e.Detail != "" {
		s.WriteString(": " + e.Detail)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&s, " [%s: %s]", f.Pointer, f.Detail)
	}
	if e.Err != nil {
		s.WriteString(": " + e.Err.Error())
	}
	return s.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error with the code and a detail for the caller.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code that err carries: "" for nil, and internal for an
// error that is not a *Error.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// NotFound returns the same answer for what does not exist and for what belongs
// to another tenant, so that callers cannot distinguish the two.
func NotFound() *Error {
	return &Error{Code: CodeNotFound, Detail: "Not found, or you do not have access to it."}
}

// Unavailable says that the answer is not known now and that the caller may
// retry.
func Unavailable(cause error) *Error {
	return &Error{Code: CodeUnavailable, Detail: "The service cannot answer right now. Try again shortly.", Err: cause}
}

// Refused returns the error for a credential that did not prove itself, which
// is always 401.
func Refused(code Code, detail string) *Error {
	return &Error{Code: code, Detail: detail, Credential: true}
}

// Invalid collects the errors in the fields of a request.
type Invalid []FieldError

// Add notes that the field at pointer is wrong.
func (v *Invalid) Add(pointer, format string, args ...any) {
	*v = append(*v, FieldError{pointer, fmt.Sprintf(format, args...)})
}

// fields are the names of fields that a patch changes.
type fields map[string]bool

// set writes *value to field and notes its name, unless value is nil.
func set[T any](given fields, name string, field, value *T) {
	if value != nil {
		*field, given[name] = *value, true
	}
}

// of returns validation_failed with the errors of the named fields, or nil if
// there are none. A patch names the fields that it changes, so that a value
// which an earlier release accepted does not prevent a change to another field.
func (v *Invalid) of(given fields) error {
	named := slices.DeleteFunc(slices.Clone(*v), func(f FieldError) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/"), "/")
		return !given[name]
	})
	return named.Err()
}

// Err returns validation_failed with every field noted, or nil for none.
func (v *Invalid) Err() error {
	if len(*v) == 0 {
		return nil
	}
	return &Error{Code: CodeValidationFailed, Detail: "Some fields of the request are not valid.", Fields: *v}
}

// Never is instead of the time to wait where no time helps.
const Never time.Duration = -1
