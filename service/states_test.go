package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// Guarantees that a node that cannot hear of changes serves known callers for the
// outage grace, then no one, and everyone again when it hears of them; and that one that
// never followed stays as it is.
func TestStatesOfANode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	_, p := w.tenant(w.signUp("ann@example.com"))
	_, token, _ := w.key(p)
	grace := time.Minute
	node := w.Another(service.Options{OutageGrace: &grace})
	lost := errors.New("no route to the database")
	state := func(want service.Sync, ready domain.Code) {
		t.Helper()
		if got := node.Sync(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.code(node.Ready(w.Context()), ready)
	}
	node.Assess(lost)
	state(service.NotFollowing, "")
	node.Assess(nil)
	state(service.InSync, "")
	if lag := node.SyncLag(); lag < 0 || lag > time.Second*30 {
		t.Errorf("got a lag of %s, want none", lag)
	}
	prove := func(want domain.Code) {
		t.Helper()
		_, err := node.ProveKey(w.Context(), token, nil)
		w.code(err, want)
	}
	prove("")
	node.HeardAgo(30 * time.Second)
	if lag := node.SyncLag(); lag < 30*time.Second || lag > 50*time.Second {
		t.Errorf("got a lag of %s, want 30 s", lag)
	}
	node.Assess(lost)
	state(service.Degraded, "")
	prove("")
	_, err := node.CountKeys(w.Context(), domain.System())
	w.code(err, domain.CodeUnavailable) // without waiting for the database
	node.HeardAgo(grace)
	node.Assess(lost)
	state(service.Lost, domain.CodeUnavailable)
	prove(domain.CodeUnavailable)
	node.Assess(nil)
	state(service.InSync, "")
	prove("")
	_, err = node.CountKeys(w.Context(), domain.System())
	w.check(err)

	node.HeardAgo(grace - 20*time.Millisecond)
	node.Assess(lost)
	servicetest.Eventually(w, "the grace ends without another attempt", func() bool { return node.Sync() == service.Lost })
	if n := strings.Count(w.Logged.String(), "database sync state changed"); n < 5 {
		t.Errorf("got %d entries in the log, want one for each change", n)
	}
}

// Guarantees that no one but the command line does what only it may do.
func TestOnlyTheCommandLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ann := w.signUp("ann@example.com")
	o, p := w.tenant(ann)
	key, token, caller := w.key(p, domain.KeyScopes...)
	id, page := userID(ann), domain.Page{Limit: 10}
	for name, act := range map[string]func(ctx context.Context, by domain.Principal) error{
		"user create": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.CreateUser(ctx, by, domain.SignUp{Email: "bob@example.com", Password: password}, false))
		},
		"guest create": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.CreateGuest(ctx, by, domain.SignUp{Email: "bob@example.com", Password: password}))
		},
		"user list": func(ctx context.Context, by domain.Principal) error { return ignoring(w.ListUsers(ctx, by, page)) },
		"user show": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.FindUser(ctx, by, "ann@example.com"))
		},
		"user disable": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.SetUserStatus(ctx, by, id, domain.Disabled))
		},
		"user operator": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.SetOperator(ctx, by, id, true))
		},
		"user reset-password": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.CreateResetLink(ctx, by, id))
		},
		"audit list": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.ListEvents(ctx, by, domain.EventFilter{}, page))
		},
		"key count":        func(ctx context.Context, by domain.Principal) error { return ignoring(w.CountKeys(ctx, by)) },
		"keys of a maker":  func(ctx context.Context, by domain.Principal) error { return ignoring(w.KeysMadeBy(ctx, by, id)) },
		"revoke by maker":  func(ctx context.Context, by domain.Principal) error { return ignoring(w.RevokeKeysMadeBy(ctx, by, id)) },
		"project of a key": func(ctx context.Context, by domain.Principal) error { return ignoring(w.ProjectOfKey(ctx, by, key.ID)) },
		"project of a plan": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.ProjectOfPlan(ctx, by, "pln_1"))
		},
		"organization by slug": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.OrganizationBySlug(ctx, by, "acme"))
		},
		"signing-key rotate": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.RotateSigningKey(ctx, by, false))
		},
		"key verify": func(ctx context.Context, by domain.Principal) error {
			return ignoring(w.VerifyKey(ctx, by, service.Question{Token: token}))
		},
	} {
		for _, by := range []domain.Principal{ann, caller, {}} {
			if err := act(w.Context(), by); domain.CodeOf(err) != domain.CodeForbidden {
				t.Errorf("%s by %v: got %v, want forbidden", name, by, err)
			}
		}
	}
	ctx := w.Context()
	w.code(ignoring(o.Suspend(ctx, "unpaid")), domain.CodeForbidden)
	w.code(ignoring(o.Resume(ctx)), domain.CodeForbidden)
	w.code(ignoring(p.Suspend(ctx, "unpaid")), domain.CodeForbidden)
	w.code(ignoring(p.Resume(ctx)), domain.CodeForbidden)
	w.code(ignoring(o.ProjectBySlug(ctx, "api")), domain.CodeForbidden)
}

// Each state of a key is its own answer to a question, and is counted.
func TestAnswersOfVerifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx := w.Context()
	_, p := w.tenant(w.signUp("ann@example.com"))
	key, token, err := p.CreateKey(ctx, domain.KeySpec{Name: "k", Scopes: []domain.Scope{"a:b", "c:d"}, ExpiresAt: w.Now().Add(time.Hour)})
	w.check(err)
	ask := func(want service.VerificationCode, scopes ...domain.Scope) {
		t.Helper()
		v, err := p.VerifyKey(ctx, service.Question{Token: token.Reveal(), Scopes: scopes})
		if err != nil || v.Code != want || v.Valid() != (want == service.VerifiedValid) {
			t.Errorf("got %s, %v, want %s", v.Code, err, want)
		}
		system, err := w.VerifyKey(ctx, domain.System(), service.Question{Token: token.Reveal(), Scopes: scopes})
		if err != nil || system.Code != want {
			t.Errorf("the command line: got %s, %v, want %s", system.Code, err, want)
		}
	}
	ask(service.VerifiedValid)
	ask(service.VerifiedValid, "c:d", "a:b")
	ask(service.VerifiedInsufficientScope, "a:b", "e:f")
	_, err = p.Update(ctx, domain.ProjectPatch{Status: new(domain.Disabled)})
	w.check(err)
	ask(service.VerifiedProjectDisabled)
	_, err = p.Update(ctx, domain.ProjectPatch{Status: new(domain.Active)})
	w.check(err)
	w.Pass(time.Hour)
	ask(service.VerifiedExpired)
	_, err = p.RevokeKey(ctx, key.ID, "lost")
	w.check(err)
	ask(service.VerifiedRevoked)
	w.check(p.DeleteKey(ctx, key.ID))
	ask(service.VerifiedNotFound)
	w.check(w.CountsTick(ctx))
	year := domain.UsageQuery{Interval: domain.InTotal, Since: w.Now().AddDate(0, 0, -2), Until: time.Now().AddDate(1, 0, 0)}
	usage, err := p.Usage(ctx, year)
	w.check(err)
	if len(usage.Items) != 1 || usage.Items[0].Requests != 7 {
		t.Errorf("got %+v, want the seven questions of the project", usage.Items)
	}
}
