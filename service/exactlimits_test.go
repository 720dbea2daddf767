package service_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// Guarantees that a node which the others have not heard of yet admits no part of a rate,
// because they still admit all of it, and that it serves as soon as they have.
func TestANodeThatIsNotListedAdmitsNoRate(t *testing.T) {
	onEach(t, func(w *world) {
		_, _, token := w.limitedProject(domain.Limit{
			Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(10), Period: domain.PeriodDay})
		w.knowsNodes(w.App, token, 1)
		db := w.database()
		w.exec(db, "ALTER TABLE nodes RENAME TO nodes_away")
		starting := w.Another(service.Options{})
		servicetest.Follow(w.T, starting)
		if d := w.decides(starting, token, nil); d.Code != domain.CodeUnavailable || d.RetryAfter == 0 {
			t.Errorf("got %q from a node that is not listed, want that it is not known", d.Code)
		}
		w.exec(db, "ALTER TABLE nodes_away RENAME TO nodes")
		w.knowsNodes(starting, token, 2)
		if got := w.admits(starting, token, 20); got != 5 {
			t.Errorf("got %d requests admitted, want 5", got)
		}
	})
}

// Guarantees that a key whose plan is not known yet is not shown as one without limits.
func TestLimitsOfAnUnknownPlanAreNotShown(t *testing.T) {
	onEach(t, func(w *world) {
		key := domain.Key{ID: "key_1", ProjectID: "prj_1", Plan: domain.KeyPlan{ID: "pln_1"}}
		tenant := domain.NewTenant(domain.Project{ID: "prj_1"}, domain.Organization{}, nil)
		proven := domain.NewProvenKey(string(domain.PackKey(nil, domain.Secret{TokenID: "t"}, key)), tenant)
		_, err := w.OwnLimits(w.Context(), domain.ProvenPrincipal(proven, nil, domain.Origin{}))
		w.code(err, domain.CodeUnavailable)
	})
}

// Guarantees that a request which a limit refuses late is counted once, as refused.
func TestLateRefusalsAreCounted(t *testing.T) {
	onEach(t, func(w *world) {
		project, _, token := w.limitedProject(
			domain.Limit{Name: "tokens", Type: domain.RateLimit, Limit: domain.Allow(5), Period: domain.PeriodDay, Cost: new(int64(0))})
		key, err := w.ProveKey(w.Context(), token, nil)
		w.check(err)
		for _, want := range []bool{true, false, false} {
			if d := w.Spend(w.Context(), key, nil); !d.Admitted() {
				t.Fatalf("got %q", d.Code)
			}
			if d := w.SpendMore(w.Context(), key, domain.Cost{"tokens": 5}); d.Admitted() != want {
				t.Errorf("got admitted %v, want %v", d.Admitted(), want)
			}
		}
		w.check(w.RecordUses(w.Context()))
		got := w.outcomes(project, domain.UsageQuery{})
		if got[domain.OutcomeValid] != 1 || got[domain.OutcomeRateLimited] != 2 {
			t.Errorf("got %v, want 1 valid and 2 rate_limited", got)
		}
	})
}
