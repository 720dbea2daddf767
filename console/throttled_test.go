package console_test

import (
	"net/http"
	"net/url"
	"testing"
)

// Guarantees that a client that tries too many passwords at the console reads in a
// header how many seconds to wait, as at the API.
func TestSignInThrottled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	form := url.Values{"email": {"ann@example.com"}, "password": {"not the password at all"}}
	for i := range 11 {
		res := ann.send(t, http.MethodPost, "/console/sign-in", form, nil)
		status, wait := http.StatusUnauthorized, ""
		if i == 10 {
			status, wait = http.StatusTooManyRequests, "20"
		}
		if got := res.Header.Get("Retry-After"); res.Status != status || got != wait {
			t.Errorf("password %d: got %d with Retry-After %q, want %d with %q", i+1, res.Status, got, status, wait)
		}
	}
}
