package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/domain"
)

// Whatever stands in the headers, what is read as a credential is one word of
// visible ASCII that was sent just so, and all else is refused with a 400 or 401.
func FuzzCredentials(f *testing.F) {
	for _, s := range []string{"", "Api-Key x", "api-key  x", "Bearer a.b.c", "Bearer\tx", "Basic eA==", "Api-Key:x", " Api-Key x ", "Api-Key x y", "\x00", "ä", "Token x"} {
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
		if s.hasKey && (!visible(s.key, maxTokenLength) || s.key != strings.Trim(own, " \t") && !strings.HasSuffix(strings.TrimRight(inAuthorization, " \t"), " "+s.key)) {
			t.Errorf("read the key %q from %q and %q", s.key, inAuthorization, own)
		}
		if s.hasAccessToken && (!visible(s.accessToken, maxAccessTokenLength) || !strings.EqualFold(strings.Trim(inAuthorization, " \t"), "Bearer "+s.accessToken)) {
			t.Errorf("read the access token %q from %q", s.accessToken, inAuthorization)
		}
		if !s.hasKey && own != "" && strings.Trim(own, " \t") != "" {
			t.Errorf("overlooked %q", own)
		}
	})
}

// A body that is taken means the same to encoding/json, which takes more.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"a":2}`, `{"a":"\u0000"}`, `{"a":[1,2,{"b":null}]}`, `"\ud800"`, "\"\xff\"", `1e999`, `{} x`, "\ufeff{}", `[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`, `-0`, `{"a":"\ud83d\udd11"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decode(data)
		if err != nil {
			if code := domain.CodeOf(err); code != domain.CodeMalformedRequest && code != domain.CodeValidationFailed {
				t.Fatalf("got %v", err)
			}
			return
		}
		var want any
		if err := json.Unmarshal(data, &want); err != nil || !utf8.Valid(data) {
			t.Fatalf("took %q, which encoding/json refuses: %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, want %#v", data, got, want)
		}
	})
}
