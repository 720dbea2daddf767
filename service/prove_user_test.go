package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// A console's cookie is as good as its session: it cannot be made up, using it
// keeps the session alive, and it ends with the session.
func TestProveSession(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t, storetest.SQLite(t)), t.Context()
	in, _ := w.Person("ann@example.com")
	other, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
	w.check(err)

	id, proof, _ := strings.Cut(in.Cookie, ".")
	otherID, _, _ := strings.Cut(other.Cookie, ".")
	for name, cookie := range map[string]string{
		"none": "", "an id alone": id, "without proof": id + ".", "another session's proof": otherID + "." + proof,
		"cut short": in.Cookie[:len(in.Cookie)-1], "with more behind it": in.Cookie + ".x",
		"a refresh token": in.RefreshToken, "an access token": in.AccessToken,
	} {
		if _, err := w.ProveSession(ctx, cookie); domain.CodeOf(err) != domain.CodeInvalidToken {
			t.Errorf("%s: got %v, want invalid_token", name, err)
		}
	}

	// 13 days at a time are within the idle time only while each use counts.
	for range 2 {
		w.Pass(13 * 24 * time.Hour)
		caller, err := w.ProveSession(ctx, in.Cookie)
		w.check(err)
		if got, want := caller.Session.ID, in.Session.ID; got != want {
			t.Errorf("session: got %s, want %s", got, want)
		}
	}
	if _, err := w.ProveSession(ctx, other.Cookie); domain.CodeOf(err) != domain.CodeInvalidToken {
		t.Errorf("idle session: got %v, want invalid_token", err)
	}

	caller, err := w.ProveSession(ctx, in.Cookie)
	w.check(err)
	account, err := w.Account(ctx, domain.NewPrincipal(nil, caller, domain.Origin{}))
	w.check(err)
	w.check(account.LogOut(ctx))
	if _, err := w.ProveSession(ctx, in.Cookie); domain.CodeOf(err) != domain.CodeInvalidToken {
		t.Errorf("after log-out: got %v, want invalid_token", err)
	}
}
