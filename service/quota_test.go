package service_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

func daily(n int64) domain.Limit {
	return domain.Limit{Name: "daily", Type: domain.Quota, Limit: domain.Allow(n), Period: domain.PeriodDay}
}

// limitedProject returns a project with the limits, and a key of it with its token.
func (w *world) limitedProject(limits ...domain.Limit) (project *service.Project, key domain.Key, token string) {
	w.Helper()
	_, project = w.tenant(w.signUp("ann@example.com"))
	plan, err := project.CreatePlan(w.Context(), domain.PlanSpec{Name: "Pro", Limits: limits})
	w.check(err)
	key, secret, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", PlanID: plan.ID})
	w.check(err)
	return project, key, secret.Reveal()
}

// decides returns what a node decides about one request.
func (w *world) decides(node *service.App, token string, cost domain.Cost) domain.Decision {
	w.Helper()
	key, err := node.ProveKey(w.Context(), token, nil)
	w.check(err)
	return node.Spend(w.Context(), key, cost)
}

// Guarantees in both databases that the audit trail says when nothing is left of a limit:
// once in each period, and again when credits that were granted are used up; and that the
// customers of a project cannot fill it.
func TestReachedLimitsAreEvents(t *testing.T) {
	onEach(t, func(w *world) {
		project, key, token := w.limitedProject(daily(3), domain.Limit{
			Name: "credits", Type: domain.Credits, Initial: new(int64(5)),
		})
		reached := func(want int) {
			t.Helper()
			if got := w.countEvents("limit.reached"); got != want {
				t.Errorf("got %d events, want %d", got, want)
			}
		}
		spend := func(n, of int) {
			t.Helper()
			if got := w.admits(w.App, token, n); got != of {
				t.Errorf("got %d of %d admitted, want %d", got, n, of)
			}
			w.Pass(2 * time.Second) // from then on the next request asks again what is left
			w.admits(w.App, token, 1)
		}
		w.admits(w.App, token, 2)
		reached(0)
		spend(5, 1)
		reached(1)
		spend(5, 0)
		reached(1)
		w.Pass(24 * time.Hour)
		spend(2, 2)
		reached(2) // of credits
		_, err := project.GrantCredits(w.Context(), domain.CreditGrant{Limit: "credits", KeyID: key.ID, Amount: 1})
		w.check(err)
		w.decides(w.App, token, domain.Cost{"daily": 0})
		w.Pass(2 * time.Second)
		w.decides(w.App, token, domain.Cost{"daily": 0})
		reached(3)
		for range domain.ReachedEachHour {
			_, secret, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", PlanID: key.Plan.ID})
			w.check(err)
			w.admits(w.App, secret.Reveal(), 3)
			w.Pass(2 * time.Second)
			w.admits(w.App, secret.Reveal(), 1)
		}
		reached(domain.ReachedEachHour + 1) // of which one is of the day before
	})
}

// Guarantees that a quota admits so many requests in each day and no more, says when the
// next one begins, and begins anew then and when it is reset.
func TestQuota(t *testing.T) {
	onEach(t, func(w *world) {
		project, key, token := w.limitedProject(daily(5))
		if got := w.admits(w.App, token, 12); got != 5 {
			t.Errorf("got %d requests admitted, want 5", got)
		}
		d := w.decides(w.App, token, nil)
		midnight := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
		if d.Code != domain.CodeQuotaExceeded || d.RetryAfter != midnight.Sub(w.Now()) {
			t.Errorf("got %s, retry after %v; want quota_exceeded until midnight", d.Code, d.RetryAfter)
		}
		shown, err := project.KeyLimits(w.Context(), key.ID)
		w.check(err)
		for _, s := range shown.Limits.States() {
			if s.Used != 5 || s.Remaining != 0 || !s.RenewsAt.Equal(midnight) {
				t.Errorf("got %d used, %d remaining until %v", s.Used, s.Remaining, s.RenewsAt)
			}
		}
		w.Pass(midnight.Sub(w.Now()))
		if got := w.admits(w.App, token, 12); got != 5 {
			t.Errorf("got %d requests admitted on the next day, want 5", got)
		}
		_, err = project.ResetLimit(w.Context(), key.ID, "daily", "a test")
		w.check(err)
		if got := w.admits(w.App, token, 12); got != 5 {
			t.Errorf("got %d requests admitted after a reset, want 5", got)
		}
	})
}

// Guarantees that two nodes share a quota: together they admit all of it and no more,
// and what one returns when it ends the other one has.
func TestNodesShareAQuota(t *testing.T) {
	onEach(t, func(w *world) {
		_, _, token := w.limitedProject(daily(100))
		other := w.Another(service.Options{})
		end := servicetest.Follow(w.T, other)
		here, there := 0, 0
		for range 20 {
			here, there = here+w.admits(w.App, token, 2), there+w.admits(other, token, 1)
		}
		end()
		deadline := time.Now().Add(10 * time.Second)
		for here+there < 100 && time.Now().Before(deadline) {
			here += w.admits(w.App, token, 1)
			runtime.Gosched()
		}
		here += w.admits(w.App, token, 10)
		if here != 80 || there != 20 {
			t.Errorf("got %d and %d requests admitted, want 80 and 20", here, there)
		}
	})
}

// Guarantees that credits are spent once, that a request which they refuse takes nothing
// from other limits, and that it waits for no time at which they come back.
func TestCredits(t *testing.T) {
	onEach(t, func(w *world) {
		project, key, token := w.limitedProject(daily(1000), domain.Limit{Name: "credits", Type: domain.Credits, Initial: new(int64(100))})
		if d := w.decides(w.App, token, domain.Cost{"credits": 60}); !d.Admitted() {
			t.Fatalf("got %s", d.Code)
		}
		for range 5 {
			d := w.decides(w.App, token, domain.Cost{"credits": 41})
			if d.Code != domain.CodeCreditsExhausted || d.RetryAfter != 0 {
				t.Errorf("got %s, retry after %v; want credits_exhausted", d.Code, d.RetryAfter)
			}
		}
		if d := w.decides(w.App, token, domain.Cost{"credits": 40}); !d.Admitted() {
			t.Errorf("got %s for the rest", d.Code)
		}
		v, err := project.VerifyKey(w.Context(), service.Question{Token: token})
		if w.check(err); v.Code != service.VerifiedCreditsExhausted {
			t.Errorf("got %s", v.Code)
		}
		var used []int64
		for _, s := range v.Limits.States() {
			used = append(used, s.Used)
		}
		if len(used) != 2 || used[0] != 2 || used[1] != 100 {
			t.Errorf("got %v used, want 2 of the day and 100 credits", used)
		}
		_, err = project.ResetLimit(w.Context(), key.ID, "credits", "a test")
		w.code(err, domain.CodeConflict)
	})
}
