package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// someLimits returns one limit of each type, with every field that applies to it.
func someLimits(round int64) []domain.Limit {
	return domain.LimitsWithDefaults([]domain.Limit{
		{Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(round), Period: domain.PeriodMinute, Burst: &round},
		{Name: "monthly", Type: domain.Quota, Limit: domain.Allow(domain.MaxUnits), Period: domain.PeriodMonth, TimeZone: "Asia/Tokyo"},
		{Name: "tokens", Type: domain.Quota, Limit: domain.Unlimited(), Cost: new(int64(0)), Mode: domain.Observe},
		{
			Name: "credits", Type: domain.Credits, Initial: &round, Per: domain.PerExternalID,
			Refill: &domain.Refill{Amount: round, Period: domain.PeriodWeek, Maximum: new(int64(domain.MaxUnits))},
		},
	})
}

func newPlan(p domain.Project, name string, at time.Time) domain.Plan {
	return domain.Plan{
		ID: domain.NewID[domain.PlanID](at), ProjectID: p.ID, Name: name, Limits: someLimits(7), CreatedAt: at, UpdatedAt: at, Revision: 1,
	}
}

// testPlans guarantees that plans keep every field, belong to their project alone,
// and have each name once.
func testPlans(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, a := newTenant(t, s, "a")
	_, b := newTenant(t, s, "b")
	var plans []domain.Plan
	for i := range 3 {
		plan := newPlan(a, fmt.Sprint("plan ", i), epoch.Add(time.Duration(-i)*time.Minute))
		check(t, s.CreatePlan(ctx, a.Scope(), plan))
		plans = append(plans, plan)
	}
	got, err := s.GetPlan(ctx, a.Scope(), plans[0].ID)
	same(t, "GetPlan", got, plans[0], err)
	first, err := s.ListPlans(ctx, a.Scope(), domain.Page{Limit: 2})
	same(t, "the first page", first.Items, plans[:2], err)
	rest, err := s.ListPlans(ctx, a.Scope(), domain.Page{Limit: 2, After: first.Next})
	same(t, "the last page", rest.Items, plans[2:], err)
	n, err := s.CountPlans(ctx, a.Scope())
	same(t, "CountPlans", n, 3, err)

	code(t, s.CreatePlan(ctx, a.Scope(), newPlan(a, "plan 1", epoch)), domain.CodeConflict)
	check(t, s.CreatePlan(ctx, b.Scope(), newPlan(b, "plan 1", epoch)))
	changed := plans[0]
	changed.Name, changed.Limits, changed.UpdatedAt, changed.Revision = "renamed", someLimits(8), epoch.Add(time.Hour), 2
	check(t, s.UpdatePlan(ctx, a.Scope(), changed))
	got, err = s.LockPlan(ctx, a.Scope(), changed.ID)
	same(t, "LockPlan after UpdatePlan", got, changed, err)
	taken := changed
	taken.Name, taken.Revision = "plan 1", 3
	code(t, s.UpdatePlan(ctx, a.Scope(), taken), domain.CodeConflict)

	// With the scope of another project no plan is found, changed or removed.
	_, err = s.GetPlan(ctx, b.Scope(), changed.ID)
	code(t, err, domain.CodeNotFound)
	changed.Revision = 3
	code(t, s.UpdatePlan(ctx, b.Scope(), changed), domain.CodeConflict)
	code(t, s.DeletePlan(ctx, b.Scope(), changed.ID), domain.CodeNotFound)
	forged := domain.Project{ID: b.ID, OrganizationID: a.OrganizationID}.Scope()
	code(t, s.CreatePlan(ctx, forged, newPlan(b, "planted", epoch)), domain.CodeNotFound)

	// A plan stays while a key refers to it, and a key's plan is of its project.
	key := newKey(a, "k", epoch)
	key.Plan = changed.ForKeys()
	check(t, s.CreateKey(ctx, a.Scope(), key))
	got, err = s.GetPlan(ctx, a.Scope(), changed.ID)
	same(t, "the number of keys", got.Keys, 1, err)
	found, err := s.ListKeys(ctx, a.Scope(), domain.KeyFilter{PlanID: changed.ID}, domain.Page{Limit: 10}, epoch)
	same(t, "ListKeys of the plan", len(found.Items), 1, err)
	code(t, s.DeletePlan(ctx, a.Scope(), changed.ID), domain.CodeNotFound)
	theirs := newKey(b, "k", epoch)
	theirs.Plan = changed.ForKeys()
	code(t, s.CreateKey(ctx, b.Scope(), theirs), domain.CodeNotFound)
	theirs.Plan = domain.KeyPlan{}
	check(t, s.CreateKey(ctx, b.Scope(), theirs))
	theirs.Plan, theirs.Revision = changed.ForKeys(), 2
	code(t, s.UpdateKey(ctx, b.Scope(), theirs), domain.CodeNotFound)
	key.Plan, key.Revision = domain.KeyPlan{}, 2
	check(t, s.UpdateKey(ctx, a.Scope(), key))

	check(t, s.DeletePlan(ctx, a.Scope(), changed.ID))
	code(t, s.DeletePlan(ctx, a.Scope(), changed.ID), domain.CodeNotFound)
}

// testPlansAreNoted guarantees that every change to a plan makes nodes forget its
// project, beside which they keep it.
func testPlansAreNoted(t *testing.T, s *repository.Store) {
	_, p := newTenant(t, s, "acme")
	plan := newPlan(p, "Pro", epoch)
	var noted []domain.Stale
	s.OnStale(func(changes []domain.Stale) { noted = changes })
	for _, change := range []struct {
		name string
		do   func(ctx context.Context, tx *repository.Store) error
	}{
		{"created", func(ctx context.Context, tx *repository.Store) error { return tx.CreatePlan(ctx, p.Scope(), plan) }},
		{"updated", func(ctx context.Context, tx *repository.Store) error {
			plan.Revision = 2
			return tx.UpdatePlan(ctx, p.Scope(), plan)
		}},
		{"deleted", func(ctx context.Context, tx *repository.Store) error { return tx.DeletePlan(ctx, p.Scope(), plan.ID) }},
	} {
		noted = nil
		check(t, s.InTx(t.Context(), change.do))
		if !slices.Contains(noted, domain.Stale{Kind: domain.StaleProject, ID: string(p.ID)}) {
			t.Errorf("%s: got the notes %v, want one of the project", change.name, noted)
		}
	}
}
