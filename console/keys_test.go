package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// From an empty instance to a working key and through its whole life, as a
// person walks it, with JavaScript and without. The token is in the one answer
// that made it and nowhere afterwards.
func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			b := newTab(t, s)
			if !scripts {
				b.withoutScripts()
			}
			b.open("/")
			b.shows("Set up Latchkey")
			b.fill("name", "Ann").fill("email", "ann@example.com").fill("password", password).follow("Create account")
			b.fill("name", "Acme").fill("project", "Documents API").follow("Continue")
			b.shows("Quick start")
			b.fill("name", "billing-service").follow("Create a key")
			b.fill("more_scopes", "documents:read").follow("Create key")
			b.shows("Your key is ready")
			token := b.text("#token")
			if got, want := s.call(t.Context(), t, token), http.StatusOK; got != want {
				t.Fatalf("the new key: got %d, want %d", got, want)
			}

			s.pass(time.Second)
			b.reload()
			b.shows("billing-service")
			b.hides("Your key is ready")
			if strings.Contains(b.source(), token) {
				t.Fatal("the token is still in the page after a reload")
			}

			b.press("Change").fill("name", "billing").follow("Save changes")
			b.shows("Saved.")
			if got, want := b.text("h1"), "billing"; !strings.HasPrefix(got, want) {
				t.Errorf("after the change of name: got %q, want %q", got, want)
			}

			b.press("Rotate").follow("Rotate the key")
			b.shows("Your new token")
			rotated := b.text("#token")
			for name, token := range map[string]string{"old": token, "new": rotated} {
				if got, want := s.call(t.Context(), t, token), http.StatusOK; got != want {
					t.Errorf("the %s token within the grace: got %d, want %d", name, got, want)
				}
			}
			s.pass(time.Second)
			b.reload()
			b.shows("still works for")
			if source := b.source(); strings.Contains(source, rotated) || strings.Contains(source, token) {
				t.Fatal("a token is in the page after the reload")
			}
			s.pass(25 * time.Hour)
			for token, want := range map[string]int{token: http.StatusUnauthorized, rotated: http.StatusOK} {
				if got := s.call(t.Context(), t, token); got != want {
					t.Errorf("after the grace: got %d, want %d", got, want)
				}
			}

			b.press("Revoke").fill("reason", "Found in a log").follow("Revoke the key")
			b.shows("Found in a log")
			if got, want := s.call(t.Context(), t, rotated), http.StatusUnauthorized; got != want {
				t.Errorf("after the revocation: got %d, want %d", got, want)
			}
			b.hides("Change…")
			b.hides("Rotate…")
			b.press("Delete").follow("Delete the key")
			b.shows("The key is deleted")
			b.shows("No keys yet")
		})
	}
}
