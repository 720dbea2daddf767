package service_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// rounds scales the races: a few rounds in a plain run, all of them in
// `make races`.
func rounds(all int) int {
	if *long {
		return all
	}
	return all / 10
}

// Guarantees that of many that exchange one refresh token at the same time all get the
// same successor, that the family never forks, and that the token, when it comes
// back after ten seconds, ends the session and is audited once.
func TestParallelRefreshes(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		w.signUp("ann@example.com")
		in, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		token, parent := in.RefreshToken, ""
		for round := range rounds(1000) {
			var mu sync.Mutex
			successors := map[string]int{}
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					next, err := w.Refresh(ctx, domain.Origin{}, token)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						successors[err.Error()]++
						return
					}
					successors[next.RefreshToken]++
				})
			}
			all.Wait()
			if len(successors) != 1 {
				w.Fatalf("round %d: got %d different answers to one token, want one", round, len(successors))
			}
			for successor := range successors {
				parent, token = token, successor
			}
			w.Pass(time.Second)
		}

		w.Pass(10 * time.Second)
		var ended sync.WaitGroup
		for range 10 {
			ended.Go(func() {
				_, err := w.Refresh(ctx, domain.Origin{}, parent)
				w.code(err, domain.CodeInvalidToken)
			})
		}
		ended.Wait()
		_, err = w.Refresh(ctx, domain.Origin{}, token)
		w.code(err, domain.CodeInvalidToken)
		_, err = w.ProveSession(ctx, in.Cookie)
		w.code(err, domain.CodeInvalidToken)
		if got, want := w.countEvents("session.reuse_detected"), 1; got != want {
			w.Errorf("got %d events of the reuse, want %d", got, want)
		}
	})
}

// Guarantees that a refresh token is refused once its successor has itself been
// exchanged, however soon: then someone else has the family.
func TestRefreshGrandparent(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		w.signUp("ann@example.com")
		first, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		second, err := w.Refresh(ctx, domain.Origin{}, first.RefreshToken)
		w.check(err)
		third, err := w.Refresh(ctx, domain.Origin{}, second.RefreshToken)
		w.check(err)
		_, err = w.Refresh(ctx, domain.Origin{}, first.RefreshToken)
		w.code(err, domain.CodeInvalidToken)
		_, err = w.Refresh(ctx, domain.Origin{}, third.RefreshToken)
		w.code(err, domain.CodeInvalidToken)
	})
}

// Guarantees that a browser's use of a session does not prolong the ten seconds
// in which the parent of its refresh token is answered.
func TestCookieDoesNotProlongReplay(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		w.signUp("ann@example.com")
		in, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		_, err = w.Refresh(ctx, domain.Origin{}, in.RefreshToken)
		w.check(err)
		w.Pass(time.Hour)
		_, err = w.ProveSession(ctx, in.Cookie)
		w.check(err)
		_, err = w.Refresh(ctx, domain.Origin{}, in.RefreshToken)
		w.code(err, domain.CodeInvalidToken)
	})
}

// Guarantees that people see and end their own sessions and no one else's, and
// that what is ended stops at the very next request, with an access token issued
// before.
func TestSessions(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann := w.signUp("ann@example.com")
		eve, err := w.Account(ctx, w.signUp("eve@example.com"))
		w.check(err)
		laptop, err := w.LogIn(ctx, domain.Origin{IP: "192.0.2.7", UserAgent: "laptop"}, "ann@example.com", password)
		w.check(err)
		phone, err := w.LogIn(ctx, domain.Origin{UserAgent: "phone"}, "ann@example.com", password)
		w.check(err)
		account, err := w.Account(ctx, ann)
		w.check(err)
		agents := func() string {
			list, err := account.ListSessions(ctx, domain.Page{Limit: 10})
			w.check(err)
			found := map[string]bool{}
			for _, s := range list.Items {
				found[s.UserAgent] = true
			}
			var names []string
			for _, name := range []string{"", "laptop", "phone"} {
				if found[name] {
					names = append(names, name)
				}
			}
			return strings.Join(names, ",")
		}
		if got, want := agents(), ",laptop,phone"; got != want {
			w.Errorf("got sessions %q, want %q", got, want)
		}

		w.code(eve.RevokeSession(ctx, laptop.Session.ID), domain.CodeNotFound)
		_, err = w.ProveUser(ctx, laptop.AccessToken)
		w.check(err)
		w.check(account.RevokeSession(ctx, laptop.Session.ID))
		_, err = w.ProveUser(ctx, laptop.AccessToken)
		w.code(err, domain.CodeInvalidToken)
		_, err = w.Refresh(ctx, domain.Origin{}, laptop.RefreshToken)
		w.code(err, domain.CodeInvalidToken)
		w.code(account.RevokeSession(ctx, laptop.Session.ID), domain.CodeNotFound)

		w.check(account.RevokeOtherSessions(ctx))
		w.check(account.RevokeOtherSessions(ctx)) // nothing left to end: no event
		_, err = w.ProveUser(ctx, phone.AccessToken)
		w.code(err, domain.CodeInvalidToken)
		if got, want := agents(), ""; got != want {
			w.Errorf("got sessions %q, want only the present one", got)
		}
		w.check(account.LogOut(ctx))
		for action, want := range map[string]int{"session.created": 2, "session.revoked": 1, "session.others_revoked": 1,
			"session.ended": 1} {
			if got := w.countEvents(action); got != want {
				w.Errorf("%s: got %d events, want %d", action, got, want)
			}
		}

		idle, err := w.LogIn(ctx, domain.Origin{}, "eve@example.com", password)
		w.check(err)
		w.Pass(14*24*time.Hour + time.Second)
		list, err := eve.ListSessions(ctx, domain.Page{Limit: 10})
		w.check(err)
		if got, want := len(list.Items), 0; got != want {
			w.Errorf("got %d sessions that have idled out, among them %s; want %d", got, idle.Session.ID, want)
		}
	})
}

// Guarantees that a sign-in under way when the password is replaced, or the
// account disabled, comes to nothing: no session outlives what it was based on.
func TestLogInDuringReset(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann := userID(w.signUp("ann@example.com"))
		passwords := []string{password, "another unlikely passphrase"}
		for round := range rounds(200) {
			old, replacement := passwords[round%2], passwords[(round+1)%2]
			var in string
			var both sync.WaitGroup
			both.Go(func() {
				if s, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", old); err == nil {
					in = s.AccessToken
				}
			})
			both.Go(func() {
				link, err := w.CreateResetLink(ctx, domain.System(), ann)
				w.check(err)
				w.check(w.ResetForgottenPassword(ctx, domain.Origin{}, link.Token.Reveal(), replacement))
			})
			both.Wait()
			if in != "" {
				_, err := w.ProveUser(ctx, in)
				w.code(err, domain.CodeInvalidToken)
			}
		}
		_, err := w.SetUserStatus(ctx, domain.System(), ann, domain.Disabled)
		w.check(err)
		_, err = w.LogIn(ctx, domain.Origin{}, "ann@example.com", passwords[0])
		w.code(err, domain.CodeInvalidCredentials)
	})
}
