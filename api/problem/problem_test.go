package problem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/api/plainjson"
	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
)

// statuses is what api.md promises: the status of every code.
var statuses = map[int][]domain.Code{
	400: {"malformed_request", "ambiguous_credentials", "multiple_credentials"},
	401: {"unauthenticated", "invalid_api_key", "project_disabled", "invalid_token", "token_expired", "invalid_credentials"},
	402: {"credits_exhausted"},
	403: {
		"forbidden", "scope_not_held", "wrong_environment", "address_not_allowed", "reauthentication_required", "signup_closed",
		"email_unverified", "insufficient_scope", "bad_request_path", "misconfigured",
	},
	404: {"not_found"},
	405: {"method_not_allowed"},
	409: {"conflict", "key_revoked", "key_expired", "last_owner", "plan_in_use", "ceiling_reached", "in_flight"},
	412: {"precondition_failed"},
	413: {"payload_too_large"},
	415: {"unsupported_media_type"},
	422: {"validation_failed", "idempotency_mismatch"},
	429: {"rate_limited", "quota_exceeded"},
	500: {"internal"},
	503: {"unavailable"},
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	t.Parallel()
	var listed []string
	for status, codes := range statuses {
		for _, code := range codes {
			listed = append(listed, string(code))
			got := problem.From(domain.Errorf(code, "because"), "req")
			want := problem.Problem{
				Type: "/docs/errors#" + string(code), Title: got.Title, Status: status, Detail: "because", Code: code, RequestID: "req",
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(problem.Problem{})); diff != "" || got.Title == "" {
				t.Errorf("%s: %s, title %q", code, diff, got.Title)
			}
		}
	}
	doc, err := openapi3.NewLoader().LoadFromData(latchkey.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	var promised []string
	for _, v := range doc.Components.Schemas["ErrorCode"].Value.Enum {
		promised = append(promised, v.(string))
	}
	slices.Sort(listed)
	slices.Sort(promised)
	if diff := cmp.Diff(promised, listed); diff != "" {
		t.Errorf("openapi.yaml (-) and the statuses (+) name different codes: %s", diff)
	}
}

// A revoked key is a conflict as a target, and no credential as a credential.
func TestCredentialsAreRefusedWith401(t *testing.T) {
	t.Parallel()
	for _, code := range []domain.Code{domain.CodeKeyRevoked, domain.CodeKeyExpired, domain.CodeProjectDisabled, domain.CodeInvalidAPIKey} {
		if got, want := problem.From(domain.Refused(code, ""), "").Status, http.StatusUnauthorized; got != want {
			t.Errorf("%s: got %d, want %d", code, got, want)
		}
	}
}

// Guarantees that a caller learns nothing from an internal error, nor from the
// cause of an error of theirs.
func TestCausesStayInside(t *testing.T) {
	t.Parallel()
	const secret = "pq: password authentication failed"
	for _, err := range []error{
		errors.New(secret),
		fmt.Errorf("load: %w", errors.New(secret)),
		&domain.Error{Code: domain.CodeNotFound, Detail: "nothing here", Err: errors.New(secret)},
		&domain.Error{Code: "no_such_code", Detail: secret},
		echo.NewHTTPError(http.StatusBadRequest, secret),
		echo.NewHTTPError(http.StatusTeapot, secret),
		echo.NewHTTPError(http.StatusBadGateway, secret),
		echo.NewHTTPError(http.StatusForbidden, secret).SetInternal(errors.New(secret)),
	} {
		w := httptest.NewRecorder()
		if err := problem.From(err, "req").Write(w); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(w.Body.String(), secret) || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%v: %s", err, w.Body)
		}
	}
}

func TestEchoErrors(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]domain.Code{
		echo.ErrNotFound:                       domain.CodeNotFound,
		echo.ErrMethodNotAllowed:               domain.CodeMethodNotAllowed,
		echo.ErrStatusRequestEntityTooLarge:    domain.CodePayloadTooLarge,
		echo.ErrUnsupportedMediaType:           domain.CodeUnsupportedMediaType,
		echo.ErrTooManyRequests:                domain.CodeRateLimited,
		echo.ErrServiceUnavailable:             domain.CodeUnavailable,
		echo.ErrBadRequest:                     domain.CodeMalformedRequest,
		echo.ErrTeapot:                         domain.CodeMalformedRequest,
		echo.ErrBadGateway:                     domain.CodeInternal,
		errors.New("anything else"):            domain.CodeInternal,
		fmt.Errorf("in %w", echo.ErrForbidden): domain.CodeForbidden,
	} {
		if got := problem.From(err, "").Code; got != want {
			t.Errorf("%v: got %s, want %s", err, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{domain.Unavailable(nil), "1"},
		{domain.Errorf(domain.CodeRateLimited, ""), "1"},
		{&domain.Error{Code: domain.CodeRateLimited, RetryAfter: 90 * time.Second}, "90"},
		{&domain.Error{Code: domain.CodeUnavailable, RetryAfter: 1500 * time.Millisecond}, "2"},
		{&domain.Error{Code: domain.CodeConflict, RetryAfter: time.Second}, ""},
		{domain.NotFound(), ""},
	} {
		w := httptest.NewRecorder()
		if err := problem.From(test.err, "").Write(w); err != nil {
			t.Fatal(err)
		}
		if got := w.Header().Get("Retry-After"); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}

func TestFieldsArePointedAt(t *testing.T) {
	t.Parallel()
	err := domain.Invalid{{Pointer: "/name", Detail: "must not be empty"}}
	w := httptest.NewRecorder()
	if err := problem.From(err.Err(), "req").Write(w); err != nil {
		t.Fatal(err)
	}
	want := `{"type":"/docs/errors#validation_failed","title":"Validation failed","status":422,` +
		`"detail":"Some fields of the request are not valid.","code":"validation_failed","request_id":"req",` +
		`"errors":[{"pointer":"/name","detail":"must not be empty"}]}` + "\n"
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Error(diff)
	}
	if got := w.Header().Get("Content-Type"); got != problem.MediaType {
		t.Errorf("got %q", got)
	}
}

// Every code is explained in sentences, with the status that it comes with.
func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	var explained []domain.Code
	for _, e := range problem.Explanations() {
		explained = append(explained, e.Code)
		status := problem.From(domain.Errorf(e.Code, "why"), "").Status
		if e.Title == "" || !strings.HasSuffix(e.Meaning, ".") || !slices.Contains(e.Statuses, status) {
			t.Errorf("%s is explained as %+v; its status is %d", e.Code, e, status)
		}
	}
	for status, codes := range statuses {
		for _, code := range codes {
			if !slices.Contains(explained, code) {
				t.Errorf("%s, a %d, is not explained", code, status)
			}
		}
	}
}

// Guarantees that a problem is written as plainjson encodes it, whatever its texts are.
func FuzzWrite(f *testing.F) {
	f.Add("/docs/errors#x", "The \"limit\" <&> \\ \u2028", "a\xff\x00", uint8(22), uint8(2), uint8(3))
	f.Add("", "", "", uint8(0), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, kind, text, name string, status, fields, violated uint8) {
		p := problem.Problem{
			Type:      kind,
			Title:     text,
			Status:    http.StatusBadRequest + int(status),
			Detail:    name + text,
			Code:      domain.Code(kind),
			RequestID: name,
			Errors:    slices.Repeat([]problem.FieldProblem{{Pointer: "/" + name, Detail: text}}, int(fields%4)),
			Violated:  slices.Repeat([]string{name}, int(violated%4)),
		}
		var want bytes.Buffer
		if err := plainjson.NewEncoder(&want).Encode(&p); err != nil {
			t.Fatal(err)
		}
		got := httptest.NewRecorder()
		if err := p.Write(got); err != nil || got.Body.String() != want.String() {
			t.Errorf("got %s, %v, want %s", got.Body, err, want.String())
		}
	})
}
