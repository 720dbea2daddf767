package service_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Guarantees that 200 sign-ins of one account at the same moment, with the right
// password, are that account's matter: another person gets in without a refusal
// while a few of the 200 do, from the same network and from another. It counts
// sign-ins instead of time, and runs alone, so that other tests take no turn to hash.
func TestSignInsAreFair(t *testing.T) { //nolint:paralleltest // see above
	for name, network := range map[string]func(i int) string{
		"from one network":   func(int) string { return "192.0.2.1" },
		"from many networks": func(i int) string { return fmt.Sprintf("198.51.%d.1", i) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			w.signUp("ann@example.com")
			w.signUp("bob@example.com")
			var in atomic.Int32 // of the 200
			started := make(chan struct{}, 200)
			answers := make(chan domain.Code, 200)
			var flood sync.WaitGroup
			for i := range cap(answers) {
				flood.Go(func() {
					started <- struct{}{}
					_, err := w.LogIn(w.Context(), domain.Origin{IP: network(i)}, "ann@example.com", password)
					if err == nil {
						in.Add(1)
					}
					answers <- domain.CodeOf(err)
				})
			}
			for range cap(started) {
				<-started
			}
			var most int32
			for i := range 5 {
				before := in.Load()
				ip := []string{"192.0.2.1", "203.0.113.1", "2001:db8:1:2::7"}[i%3]
				_, err := w.LogIn(w.Context(), domain.Origin{IP: ip}, "bob@example.com", password)
				w.check(err)
				most = max(most, in.Load()-before)
			}
			flood.Wait()
			close(answers)
			got := map[domain.Code]int{}
			for code := range answers {
				got[code]++
			}
			t.Logf("at most %d of the 200 got in during another's sign-in; they were answered %v", most, got)
			if most > 15 {
				t.Errorf("%d sign-ins of one account got in during another's, want at most 15", most)
			}
			if got[""] == 0 || got[""]+got[domain.CodeUnavailable]+got[domain.CodeRateLimited] != cap(answers) {
				t.Errorf("got answers %v, want sign-ins and refusals that say when to come back", got)
			}
		})
	}
}

// Guarantees that sign-ins with the right password are bounded, too, with room
// for what people and their programs do, that the bound holds only the network
// that they come from, and that a wait is short.
func TestRightPasswordsAreRated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.signUp("ann@example.com")
	logIn := func(ip string) error {
		_, err := w.LogIn(w.Context(), domain.Origin{IP: ip}, "ann@example.com", password)
		return err
	}
	w.Attempt("192.0.2.1", "ann@example.com", 149)
	w.check(logIn("192.0.2.1"))
	err := logIn("192.0.2.2")
	w.code(err, domain.CodeRateLimited)
	if e, ok := errors.AsType[*domain.Error](err); !ok || e.RetryAfter <= 0 || e.RetryAfter > 2*time.Second {
		w.Errorf("got %v, want a wait of at most 2 s", err)
	}
	w.check(logIn("198.51.100.1"))
	w.Pass(2 * time.Second)
	w.check(logIn("192.0.2.2"))
}

// Guarantees that a user has at most 100 sessions: one more ends the one that
// was used least lately, which the audit trail says.
func TestSessionsAreBounded(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann, _ := w.signUp("ann@example.com").User()
		first, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		for range 98 {
			w.Pass(time.Second)
			w.check(w.Store.CreateSession(ctx, domain.Session{
				ID: domain.NewID[domain.SessionID](w.Now()), UserID: ann.User.ID, CreatedAt: w.Now(), LastUsedAt: w.Now(),
				ExpiresAt: w.Now().Add(time.Hour), RefreshDigest: domain.Digest{1},
			}))
		}
		w.Pass(time.Second)
		first, err = w.Refresh(ctx, domain.Origin{}, first.RefreshToken) // now the sign-up's is the least lately used
		w.check(err)
		for range 2 {
			_, err = w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
			w.check(err)
		}
		_, err = w.Refresh(ctx, domain.Origin{}, first.RefreshToken)
		w.check(err)
		list, err := w.Store.ListSessions(ctx, ann.User.ID, w.Now(), w.Now().Add(-time.Hour), domain.Page{Limit: domain.MaxPageSize})
		w.check(err)
		if got := len(list.Items); got != 100 || list.Items[got-1].ID != first.Session.ID {
			w.Errorf("got %d sessions, the oldest %s, want 100 and not that of the sign-up", got, list.Items[got-1].ID)
		}
		if got := w.countEvents("session.displaced"); got != 2 {
			w.Errorf("got %d events of sessions that made room, want 2", got)
		}
	})
}

// Guarantees that a caller has no more than two questions about usage answered at a
// time, because a page may cost the sum of five years.
func TestUsageNeedsAPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ann := w.signUp("ann@example.com")
	organization, project := w.tenant(ann)
	for range 2 {
		_, err := w.SumPlace(w.Context(), ann)
		w.check(err)
	}
	soon, cancel := context.WithTimeout(w.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := project.Usage(soon, domain.UsageQuery{})
	w.code(err, domain.CodeUnavailable)
	_, err = organization.Usage(soon, domain.UsageQuery{})
	w.code(err, domain.CodeUnavailable)
}

// Guarantees that accounts, which cost nothing, do not take all places for large
// bodies, for exports or for sums of usage from one network: another network gets one immediately.
func TestNetworksShareLargePlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	caller := func(n int, ip string) domain.Principal {
		user := domain.User{ID: domain.NewID[domain.UserID](w.Now().Add(time.Duration(n) * time.Second))}
		return domain.NewPrincipal(nil, &domain.CallingUser{User: user}, domain.Origin{IP: ip})
	}
	for what, enter := range map[string]func(context.Context, domain.Principal) (func(), error){
		"large bodies": w.LargeBody, "exports": w.ExportPlace, "sums of usage": w.SumPlace,
	} {
		gone, cancel := context.WithCancel(w.Context())
		cancel() // so that no one waits
		var taken []func()
		for n := range 20 {
			if leave, err := enter(gone, caller(n, "192.0.2.1")); err == nil {
				taken = append(taken, leave)
			}
		}
		leave, err := enter(gone, caller(20, "198.51.100.1"))
		if err != nil || len(taken) < 2 {
			t.Errorf("%s: one network took %d places, and another got %v", what, len(taken), err)
			continue
		}
		leave()
		for _, leave := range taken {
			leave()
		}
	}
}
