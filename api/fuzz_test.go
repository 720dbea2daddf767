package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// For any headers, a credential that is read is one word of visible ASCII that was
// sent exactly so. Everything else is refused with a 400 or 401.
func FuzzCredentials(f *testing.F) {
	for _, s := range []string{"", "Api-Key x", "api-key  x", "Bearer a.b.c", "Bearer\tx", "Basic eA==", "Api-Key:x", " Api-Key x ",
		"Api-Key x y", "\x00", "ä", "Token x"} {
		f.Add(s, "", "")
		f.Add(s, "x", "")
		f.Add("", s, "Token")
	}
	f.Fuzz(func(t *testing.T, inAuthorization, own, keyword string) {
		c := Credentials{Keyword: keyword}
		if c.Validate() != nil {
			c = Credentials{}
		}
		h := http.Header{}
		if inAuthorization != "" {
			h[authorization] = []string{inAuthorization}
		}
		if own != "" {
			h[defaultHeader] = []string{own}
		}
		s, err := c.read(h)
		if err != nil {
			switch domain.CodeOf(err) {
			case domain.CodeAmbiguousCredentials, domain.CodeUnauthenticated, domain.CodeInvalidAPIKey, domain.CodeInvalidToken:
				return
			}
			t.Fatalf("got %v", err)
		}
		if s.hasKey && (!visible(s.key, maxTokenLength) || s.key != strings.Trim(own, " \t") &&
			!strings.HasSuffix(strings.TrimRight(inAuthorization, " \t"), " "+s.key)) {
			t.Errorf("read the key %q from %q and %q", s.key, inAuthorization, own)
		}
		if s.hasAccessToken && (!visible(s.accessToken, maxAccessTokenLength) ||
			!strings.EqualFold(strings.Trim(inAuthorization, " \t"), "Bearer "+s.accessToken)) {
			t.Errorf("read the access token %q from %q", s.accessToken, inAuthorization)
		}
		if !s.hasKey && own != "" && strings.Trim(own, " \t") != "" {
			t.Errorf("overlooked %q", own)
		}
	})
}

// A body that the contract takes is valid for encoding/json, too, which takes
// more, and binds to the type that its handler gets.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"name":1,"name":2}`, `{"name":"\u0000"}`, `{"scopes":[1,2,{"b":null}]}`, `{"name":"\ud800"}`, "\"\xff\"",
		`{"grace_seconds":1e999}`, `{} x`,
		"\ufeff{}", `[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`, `{"grace_seconds":-0}`, `{"name":"\ud83d\udd11"}`, `{"grace_seconds":1e6}`,
		`{"grace_seconds":100000000000000000000e-15}`,
		`{"name":"a","expires_at":"2030-01-31t12:00:00.5z","metadata":{"a":"b"},"external_id":null}`,
		`{"keys":[{"name":"a","scopes":["a:b"],"metadata":null,"revoked":true}]}`, `[{"token":"a","more":"b"}]`,
		`{"tokens":["a"],"url":"b"}`, ` `, `null`, `{"name":"a","scopes":["a:b","a:b"]}`,
	} {
		f.Add([]byte(s))
	}
	operations, err := loadOperations()
	if err != nil {
		f.Fatal(err)
	}
	targets := map[string]func() any{
		"createKey":  func() any { return new(CreateKeyJSONRequestBody) },
		"rotateKey":  func() any { return new(RotateKeyJSONRequestBody) },
		"updateKey":  func() any { return new(UpdateKeyJSONRequestBody) },
		"importKeys": func() any { return new(ImportKeysJSONRequestBody) },
		"verifyKey":  func() any { return new(VerifyKeyJSONRequestBody) },
		"reportLeak": func() any { return new(ReportLeakJSONRequestBody) },
		"signUp":     func() any { return new(SignUpJSONRequestBody) },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, op := range operations {
			target := targets[op.id]
			if target == nil {
				continue
			}
			if err := op.contract.body.checkText(t.Context(), data); err != nil {
				if code := domain.CodeOf(err); code != domain.CodeMalformedRequest && code != domain.CodeValidationFailed {
					t.Fatalf("%s: got %v", op.id, err)
				}
				continue
			}
			if !json.Valid(data) || !utf8.Valid(data) {
				t.Fatalf("%s took %q, which encoding/json refuses", op.id, data)
			}
			c := echo.New().NewContext(&http.Request{Body: checkedBody{http.NoBody, data}}, nil)
			if err := new(binder).Bind(target(), c); err != nil {
				t.Errorf("%s: %q was checked and does not bind: %v", op.id, data, err)
			}
		}
	})
}
