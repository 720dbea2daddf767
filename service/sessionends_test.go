package service_test

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that a session ends after 14 days without use, and after 30 days
// whatever happens, to the microsecond: with the refresh token, with the cookie of
// the console, and in the list of sessions.
func TestSessionsEndOnTime(t *testing.T) {
	const day, tick = 24 * time.Hour, time.Microsecond
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann := w.signUp("ann@example.com")
		account, err := w.Account(ctx, ann)
		w.check(err)
		refresh := func(in *service.SignedIn) error {
			next, err := w.Refresh(ctx, domain.Origin{}, in.RefreshToken)
			if err == nil {
				in.RefreshToken = next.RefreshToken
			}
			return err
		}
		cookie := func(in *service.SignedIn) error {
			_, err := w.ProveSession(ctx, in.Cookie)
			return err
		}
		for _, c := range []struct {
			name  string
			use   func(*service.SignedIn) error
			pass  []time.Duration // between uses, all of which are good
			last  time.Duration   // before the last one
			ended bool
		}{
			{"refresh token, 14 days idle", refresh, nil, 14 * day, false},
			{"refresh token, a microsecond longer", refresh, nil, 14*day + tick, true},
			{"refresh token, used, a microsecond before 30 days", refresh, []time.Duration{10 * day, 10 * day}, 10*day - tick, false},
			{"refresh token, used, 30 days", refresh, []time.Duration{10 * day, 10 * day}, 10 * day, true},
			{"cookie, 14 days idle", cookie, nil, 14 * day, false},
			{"cookie, a microsecond longer", cookie, nil, 14*day + tick, true},
			{"cookie, used, a microsecond before 30 days", cookie, []time.Duration{10 * day, 10 * day}, 10*day - tick, false},
			{"cookie, used, 30 days", cookie, []time.Duration{10 * day, 10 * day}, 10 * day, true},
		} {
			w.check(account.RevokeOtherSessions(ctx))
			in, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
			w.check(err)
			for _, d := range c.pass {
				w.Pass(d)
				if err := c.use(&in); err != nil {
					t.Fatalf("%s: %v in between", c.name, err)
				}
			}
			w.Pass(c.last)
			list, err := account.ListSessions(ctx, domain.Page{Limit: 10})
			w.check(err)
			listed := slices.ContainsFunc(list.Items, func(s domain.Session) bool { return s.ID == in.Session.ID })
			if listed == c.ended {
				t.Errorf("%s: listed %t, want %t", c.name, listed, !c.ended)
			}
			if err := c.use(&in); (domain.CodeOf(err) == domain.CodeInvalidToken) != c.ended || !c.ended && err != nil {
				t.Errorf("%s: got %v, want ended %t", c.name, err, c.ended)
			}
		}
	})
}
