package verify_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/client"
	"github.com/latchkey-dev/latchkey/client/verify"
)

var keys = map[string]client.VerifiedKey{
	"reader":  {ID: "key_reader", Scopes: []client.Scope{"documents:read"}},
	"nothing": {ID: "key_nothing"},
	"gone":    {ID: "key_gone", Status: "revoked"},
	"test":    {ID: "key_test", Environment: "test"},
}

func get(t *testing.T, h http.Handler, name, value string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/documents", nil)
	if name != "" {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Guarantees that the fake answers as Latchkey does, through the same middleware.
func TestFake(t *testing.T) {
	t.Parallel()
	latchkey := verify.Fake(keys)
	defer latchkey.Close()
	guarded := latchkey.Require("documents:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, _ := verify.KeyOf(r.Context())
		_, _ = io.WriteString(w, key.ID)
	}))
	for _, c := range []struct {
		name, value string
		status      int
		body        string
	}{
		{"X-Api-Key", "reader", 200, "key_reader"},
		{"Authorization", "Api-Key reader", 200, "key_reader"},
		{"X-Api-Key", "nothing", 403, `"insufficient_scope"`},
		{"X-Api-Key", "gone", 401, `"key_revoked"`},
		{"X-Api-Key", "stranger", 401, `"invalid_api_key"`},
		{"", "", 401, `"unauthenticated"`},
	} {
		if w := get(t, guarded, c.name, c.value); w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s %s: got %d %s, want %d %s", c.name, c.value, w.Code, w.Body, c.status, c.body)
		}
	}
}

// Guarantees that a handler without the middleware finds no key.
func TestKeyOfNothing(t *testing.T) {
	t.Parallel()
	if key, ok := verify.KeyOf(t.Context()); ok || key != nil {
		t.Errorf("got %v, want none", key)
	}
}

// Guarantees that the start says what is wrong with options, and never prints the key.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]verify.Options{
		"LATCHKEY_URL":           {APIKey: "secret", URL: "ftp://keys.example.com"},
		"LATCHKEY_API_KEY":       {URL: "https://keys.example.com"},
		"0 to 10 minutes":        {APIKey: "secret", URL: "https://keys.example.com", Grace: new(time.Hour)},
		"1 to 20 seconds":        {APIKey: "secret", URL: "https://keys.example.com", Wait: time.Millisecond},
		"read the key":           {APIKeyFile: filepath.Join(t.TempDir(), "none"), URL: "https://keys.example.com"},
		"must start with https:": {APIKey: "secret"},
	} {
		_, err := verify.New(o)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Guarantees that a service whose key was replaced in its file recovers without a restart,
// and that the callback is called when changes are not heard any more.
func TestKeyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	good := "first"
	instance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != good {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path == "/v1/keys/sync" {
			_, _ = io.WriteString(w, `{"cursor":"c","changed":[],"reset":true}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"valid": false, "code": "revoked", "max_age": 0})
	}))
	defer instance.Close()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	latchkey, err := verify.New(verify.Options{URL: instance.URL, APIKeyFile: path})
	if err != nil {
		t.Fatal(err)
	}
	defer latchkey.Close()
	if _, err := latchkey.Check(t.Context(), verify.Question{Token: "any"}); !errors.Is(err, verify.ErrUnavailable) {
		t.Fatalf("got %v, want %v", err, verify.ErrUnavailable)
	}
	if err := os.WriteFile(path, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _ = latchkey.Check(t.Context(), verify.Question{Token: "any"}) // refused once more, which has the file read again
	r, err := latchkey.Check(t.Context(), verify.Question{Token: "any"})
	if err != nil || r.Code != client.VerificationCodeRevoked {
		t.Errorf("got %v %v, want %v", r.Code, err, client.VerificationCodeRevoked)
	}
}

// Guarantees that what Check returns becomes the refusal of each code, for routers that are
// no net/http, and that no answer is never a key that is not valid.
func TestRefusalOf(t *testing.T) {
	t.Parallel()
	if got := verify.RefusalOf(verify.Result{}, verify.ErrUnavailable, nil); got.Status != 503 || got.Code != "unavailable" {
		t.Errorf("got %+v, want 503", got)
	}
	if got := verify.RefusalOf(verify.Result{Code: "valid"}, nil, nil); got != nil {
		t.Errorf("got %+v, want none", got)
	}
	for code, want := range map[client.VerificationCode]int{
		"not_found": 401, "of_a_later_release": 401, "credits_exhausted": 402, "wrong_environment": 403, "rate_limited": 429,
	} {
		got := verify.RefusalOf(verify.Result{Code: code}, nil, nil)
		if status := (client.Verification{Code: code}).Status(); got.Status != want || status != want {
			t.Errorf("%s: got %d and %d, want %d", code, got.Status, status, want)
		}
	}
}
