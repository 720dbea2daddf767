package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

// A console's cookie is as good as its session: it cannot be made up, using it
// keeps the session alive, and it ends with the session.
func TestAuthenticateSession(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, err := repository.Open(ctx, "sqlite:"+t.TempDir()+"/latchkey.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	app, err := service.New(ctx, service.Options{
		Store: store, MasterKey: [32]byte{1}, Issuer: "http://localhost", Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := app.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: "a long enough one"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := app.LogIn(ctx, domain.Origin{}, "ann@example.com", "a long enough one")
	if err != nil {
		t.Fatal(err)
	}

	id, proof, _ := strings.Cut(in.Cookie, ".")
	otherID, _, _ := strings.Cut(other.Cookie, ".")
	for name, cookie := range map[string]string{
		"none": "", "an id alone": id, "without proof": id + ".", "another session's proof": otherID + "." + proof,
		"cut short": in.Cookie[:len(in.Cookie)-1], "with more behind it": in.Cookie + ".x",
		"a refresh token": in.RefreshToken, "an access token": in.AccessToken,
	} {
		if _, err := app.AuthenticateSession(ctx, cookie); domain.CodeOf(err) != domain.CodeInvalidToken {
			t.Errorf("%s: got %v, want invalid_token", name, err)
		}
	}

	// 13 days at a time are within the idle time only while each use counts.
	for range 2 {
		now = now.Add(13 * 24 * time.Hour)
		caller, err := app.AuthenticateSession(ctx, in.Cookie)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := caller.Session.ID, in.Session.ID; got != want {
			t.Errorf("session: got %s, want %s", got, want)
		}
	}
	if _, err := app.AuthenticateSession(ctx, other.Cookie); domain.CodeOf(err) != domain.CodeInvalidToken {
		t.Errorf("idle session: got %v, want invalid_token", err)
	}

	caller, err := app.AuthenticateSession(ctx, in.Cookie)
	if err != nil {
		t.Fatal(err)
	}
	account, err := app.Account(ctx, domain.NewPrincipal(nil, caller, domain.Origin{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := account.LogOut(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := app.AuthenticateSession(ctx, in.Cookie); domain.CodeOf(err) != domain.CodeInvalidToken {
		t.Errorf("after log-out: got %v, want invalid_token", err)
	}
}
