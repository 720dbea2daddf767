package service_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// lifetime is something that is good for so long and no longer.
type lifetime struct {
	name  string
	lives time.Duration
	last  bool // it is good also at the very end
	dead  domain.Code
	make  func(w *world) (use func(context.Context) error)
}

// lifetimes are what ends by itself in the service.
func lifetimes() []lifetime {
	logIn := func(w *world) service.SignedIn {
		w.signUp("ann@example.com")
		in, err := w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", password)
		w.check(err)
		return in
	}
	refresh := func(w *world, token string) func(context.Context) error {
		return func(ctx context.Context) error { return ignoring(w.Refresh(ctx, domain.Origin{}, token)) }
	}
	const day = 24 * time.Hour
	return []lifetime{
		{"an access token", 5 * time.Minute, false, domain.CodeTokenExpired, func(w *world) func(context.Context) error {
			w.Pass(time.Second - time.Duration(w.Now().Nanosecond())) // it has whole seconds
			in := logIn(w)
			return func(ctx context.Context) error { return ignoring(w.ProveUser(ctx, in.AccessToken)) }
		}},
		{"a session without use", 14 * day, true, domain.CodeInvalidToken, func(w *world) func(context.Context) error {
			return refresh(w, logIn(w).RefreshToken)
		}},
		{"the cookie of a session without use", 14 * day, true, domain.CodeInvalidToken, func(w *world) func(context.Context) error {
			in := logIn(w)
			return func(ctx context.Context) error { return ignoring(w.ProveSession(ctx, in.Cookie)) }
		}},
		{"a session in use", 4 * day, false, domain.CodeInvalidToken, func(w *world) func(context.Context) error {
			token := logIn(w).RefreshToken
			for range 2 {
				w.Pass(13 * day)
				in, err := w.Refresh(w.Context(), domain.Origin{}, token)
				w.check(err)
				token = in.RefreshToken
			}
			return refresh(w, token)
		}},
		{"the answer to a lost refresh", 10 * time.Second, true, domain.CodeInvalidToken, func(w *world) func(context.Context) error {
			token := logIn(w).RefreshToken
			w.check(refresh(w, token)(w.Context()))
			return refresh(w, token)
		}},
		{"an invitation", 7 * day, false, domain.CodeNotFound, func(w *world) func(context.Context) error {
			o, _ := w.tenant(w.signUp("ann@example.com"))
			_, token, err := o.CreateInvitation(w.Context(), domain.InvitationSpec{Email: "bob@example.com", Role: domain.Viewer})
			w.check(err)
			bob := w.signUp("bob@example.com")
			return func(ctx context.Context) error { return ignoring(w.AcceptInvitation(ctx, bob, token)) }
		}},
		{"a link that sets a password", 10 * time.Minute, false, domain.CodeInvalidToken, func(w *world) func(context.Context) error {
			user, _ := w.signUp("ann@example.com").User()
			link, err := w.CreateResetLink(w.Context(), domain.System(), user.User.ID)
			w.check(err)
			return func(ctx context.Context) error {
				return w.ResetForgottenPassword(ctx, domain.Origin{}, link.Token.Reveal(), "violet otters read maps")
			}
		}},
		{"a token that was replaced", domain.DefaultGrace, false, domain.CodeKeyExpired, func(w *world) func(context.Context) error {
			_, p := w.tenant(w.signUp("ann@example.com"))
			key, token, _ := w.key(p)
			w.check(w.RecordUses(w.Context()))
			_, _, err := p.RotateKey(w.Context(), key.ID, domain.Rotation{})
			w.check(err)
			return func(ctx context.Context) error { return ignoring(w.ProveKey(ctx, token, nil)) }
		}},
		{"what a repeated request gets", day, true, "", func(w *world) func(context.Context) error {
			_, p := w.tenant(w.signUp("ann@example.com"))
			spec := domain.KeySpec{Name: "k", IdempotencyKey: "create-once-please"}
			first, _, err := p.CreateKey(w.Context(), spec)
			w.check(err)
			return func(ctx context.Context) error {
				again, _, err := p.CreateKey(ctx, spec)
				if err == nil && again.ID != first.ID {
					err = domain.NotFound()
				}
				return err
			}
		}},
	}
}

// Guarantees that each thing that ends by itself is good to its last moment, and not a
// microsecond longer.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	for _, l := range lifetimes() {
		for _, after := range []time.Duration{l.lives - time.Microsecond, l.lives, l.lives + time.Microsecond} {
			w := newWorld(t, storetest.SQLite(t))
			use := l.make(w)
			w.Pass(after)
			alive := after < l.lives || after == l.lives && l.last
			if l.dead == "" { // a new one takes its place
				if got := use(w.Context()) == nil; got != alive {
					t.Errorf("%s after %s: got %v, want %v", l.name, after, got, alive)
				}
				continue
			}
			want := l.dead
			if alive {
				want = ""
			}
			if err := use(w.Context()); domain.CodeOf(err) != want {
				t.Errorf("%s after %s: got %v, want %q", l.name, after, err, want)
			}
		}
	}
}

// A refresh token is said to live as long as it does: two weeks, or what is left of its
// session.
func TestLifetimeOfARefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.signUp("ann@example.com")
	in, err := w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", password)
	w.check(err)
	for _, want := range []int{14, 14, 10} {
		if in.RefreshLifetime != time.Duration(want)*24*time.Hour || in.AccessLifetime != 5*time.Minute {
			t.Errorf("got %s and %s, want %d days and 5 minutes", in.RefreshLifetime, in.AccessLifetime, want)
		}
		w.Pass(10 * 24 * time.Hour)
		in, err = w.Refresh(w.Context(), domain.Origin{}, in.RefreshToken)
		if want != 10 {
			w.check(err)
		}
	}
	w.code(err, domain.CodeInvalidToken)
}

// Guarantees that a person has at most a hundred sessions: one more ends the one that
// was used least lately, and the audit trail says so.
func TestAHundredSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ann := w.signUp("ann@example.com") // which is the first
	user, _ := ann.User()
	for i := range 99 {
		w.Pass(time.Second)
		v := domain.Session{
			ID: domain.NewID[domain.SessionID](w.Now()), UserID: user.User.ID, CreatedAt: w.Now(), LastUsedAt: w.Now(),
			ExpiresAt: w.Now().Add(time.Hour), RefreshDigest: fmt.Append(nil, i),
		}
		w.check(w.Store.CreateSession(w.Context(), v))
	}
	account, err := w.Account(w.Context(), ann)
	w.check(err)
	for _, displaced := range []int{1, 2} {
		_, err := w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", password)
		w.check(err)
		list, err := account.ListSessions(w.Context(), domain.Page{Limit: 200})
		w.check(err)
		if len(list.Items) != 100 || w.countEvents("session.displaced") != displaced {
			t.Errorf("got %d sessions, %d displaced, want 100 and %d", len(list.Items), w.countEvents("session.displaced"), displaced)
		}
	}
	_, err = w.Store.CallingUser(w.Context(), user.Session.ID)
	w.code(err, domain.CodeNotFound)
}

// A node that follows is ready, one that ends is not, and one that follows nothing asks
// its database.
func TestReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.check(w.Ready(w.Context()))
	if got := w.Sync(); got != service.InSync || got.String() != "in sync" || w.SyncLag() > time.Minute {
		t.Errorf("got %s, behind by %s", got, w.SyncLag())
	}
	alone := w.Another(service.Options{})
	w.check(alone.Ready(w.Context()))
	if got := alone.Sync(); got != service.NotFollowing || got.String() != "not following" || alone.SyncLag() != 0 {
		t.Errorf("alone: got %s, behind by %s", got, alone.SyncLag())
	}
	for sync, want := range map[service.Sync]string{service.Degraded: "degraded", service.Lost: "lost"} {
		if got := sync.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !alone.Now().Equal(w.Now()) || alone.SendsEmail() || alone.MailShown() {
		t.Errorf("got the time %s, email %v and %v", alone.Now(), alone.SendsEmail(), alone.MailShown())
	}
	alone.Drain()
	w.code(alone.Ready(w.Context()), domain.CodeUnavailable)
	w.check(w.Ready(w.Context()))
}
