package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// testUsageGroups guarantees that tags are counted beside keys and never added to
// them, that uses are grouped by the plan which the key has now, and that another
// project's tag, key or plan of the same name changes nothing.
func testUsageGroups(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	_, other := newTenant(t, s, "other")
	pro, theirs := newPlan(p, "Pro", epoch), newPlan(other, "Pro", epoch)
	check(t, s.CreatePlan(ctx, p.Scope(), pro))
	check(t, s.CreatePlan(ctx, other.Scope(), theirs))
	planned, free, gone, neighbor := newKey(p, "a", epoch), newKey(p, "b", epoch), newKey(p, "c", epoch), newKey(other, "d", epoch)
	planned.Plan.ID, neighbor.Plan.ID = pro.ID, theirs.ID
	check(t, s.CreateKey(ctx, p.Scope(), planned))
	check(t, s.CreateKey(ctx, p.Scope(), free))
	check(t, s.CreateKey(ctx, other.Scope(), neighbor))

	count := func(of domain.Project, key domain.KeyID, tag string, outcome domain.Outcome, n int64) domain.UsageCount {
		c := domain.UsageCount{OrganizationID: of.OrganizationID, ProjectID: of.ID, KeyID: key, Tag: tag, Outcome: outcome, Count: n}
		if key != "" {
			c.Environment = domain.Live
		}
		return c
	}
	check(t, s.RecordUsage(ctx, domain.UsageBatch{NodeID: "n", Number: 1, At: epoch, Counts: []domain.UsageCount{
		count(p, planned.ID, "", domain.OutcomeValid, 1), count(p, free.ID, "", domain.OutcomeValid, 20),
		count(p, gone.ID, "", domain.OutcomeRevoked, 300), count(other, neighbor.ID, "", domain.OutcomeValid, 4000),
		count(p, "", "%", domain.OutcomeValid, 5), count(p, "", "chat", domain.OutcomeValid, 6),
		count(p, "", "chat", domain.OutcomeRevoked, 7), count(p, "", "Chat", domain.OutcomeValid, 8),
		count(other, "", "chat", domain.OutcomeValid, 50_000),
	}}))

	ask := func(what string, q domain.UsageQuery, want map[string]int64) {
		t.Helper()
		q.Interval, q.Since, q.Until = domain.InTotal, epoch.AddDate(0, 0, -1), epoch.AddDate(0, 0, 1)
		q, err := q.Complete(epoch, 200)
		check(t, err)
		items, err := s.ProjectUsage(ctx, p.Scope(), q)
		check(t, err)
		got := map[string]int64{}
		for _, i := range items {
			got[strings.Join(i.Groups, " ")] = i.Requests
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	by := func(groups ...domain.UsageGroup) []domain.UsageGroup { return groups }
	ask("the project", domain.UsageQuery{}, map[string]int64{"": 321})
	ask("live keys", domain.UsageQuery{Environment: domain.Live}, map[string]int64{"": 321})
	ask("keys", domain.UsageQuery{GroupBy: by(domain.ByKey)}, map[string]int64{
		string(planned.ID): 1, string(free.ID): 20, string(gone.ID): 300,
	})
	ask("tags", domain.UsageQuery{GroupBy: by(domain.ByTag)}, map[string]int64{"%": 5, "chat": 13, "Chat": 8})
	ask("tags and outcomes", domain.UsageQuery{GroupBy: by(domain.ByOutcome, domain.ByTag)}, map[string]int64{
		"valid %": 5, "valid chat": 6, "revoked chat": 7, "valid Chat": 8,
	})
	ask("a tag", domain.UsageQuery{Tag: "chat", GroupBy: by(domain.ByOutcome)}, map[string]int64{"valid": 6, "revoked": 7})
	ask("a tag that is a pattern", domain.UsageQuery{Tag: "%", Outcome: domain.OutcomeValid}, map[string]int64{"": 5})
	ask("plans", domain.UsageQuery{GroupBy: by(domain.ByPlan)}, map[string]int64{string(pro.ID): 1, "": 320})
	ask("a plan", domain.UsageQuery{PlanID: pro.ID}, map[string]int64{"": 1})
	ask("keys of a plan", domain.UsageQuery{PlanID: pro.ID, GroupBy: by(domain.ByKey)}, map[string]int64{string(planned.ID): 1})
	ask("a plan of another project", domain.UsageQuery{PlanID: theirs.ID}, map[string]int64{})

	planned.Plan.ID, planned.Revision = "", planned.Revision+1
	check(t, s.UpdateKey(ctx, p.Scope(), planned))
	ask("plans after the key has left it", domain.UsageQuery{GroupBy: by(domain.ByPlan)}, map[string]int64{"": 321})
}

// testHourlyUses guarantees that what keys did in the hours of a day are the requests that
// limits are about, of the plan and the customer that are named, and of no other project.
func testHourlyUses(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	_, other := newTenant(t, s, "other")
	pro := newPlan(p, "Pro", epoch)
	check(t, s.CreatePlan(ctx, p.Scope(), pro))
	planned := newKey(p, "a", epoch)
	planned.Plan.ID = pro.ID
	check(t, s.CreateKey(ctx, p.Scope(), planned))
	record := func(number int64, at time.Time, key domain.KeyID, customer string, outcome domain.Outcome, n int64) {
		t.Helper()
		c := domain.UsageCount{
			OrganizationID: p.OrganizationID, ProjectID: p.ID, KeyID: key, ExternalID: customer,
			Environment: domain.Live, Outcome: outcome, Count: n,
		}
		tagged := c
		tagged.KeyID, tagged.Tag = "", "chat"
		theirs := c
		theirs.OrganizationID, theirs.ProjectID = other.OrganizationID, other.ID
		batch := domain.UsageBatch{NodeID: "n", Number: number, At: at, Counts: []domain.UsageCount{c, tagged, theirs}}
		check(t, s.RecordUsage(ctx, batch))
	}
	noon := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	record(1, noon, planned.ID, "c", domain.OutcomeValid, 10)
	record(2, noon, planned.ID, "c", domain.OutcomeQuotaExceeded, 3)
	record(3, noon, planned.ID, "c", domain.OutcomeRevoked, 100)
	record(4, noon.Add(time.Hour), planned.ID, "c", domain.OutcomeRateLimited, 5)
	record(5, noon, "key_gone", "", domain.OutcomeValid, 7)
	record(6, noon.AddDate(0, 0, 1), planned.ID, "c", domain.OutcomeValid, 1000)

	first, gone := domain.HourlyUse{KeyID: planned.ID, ExternalID: "c"}, domain.HourlyUse{KeyID: "key_gone"}
	first.Hours[12], first.Hours[13], gone.Hours[12] = 13, 5, 7
	ask := func(what string, spec domain.RehearsalSpec, limit int, want ...domain.HourlyUse) {
		t.Helper()
		got, err := s.HourlyUses(ctx, p.Scope(), spec, noon, limit)
		check(t, err)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	ask("all", domain.RehearsalSpec{}, 5, first, gone)
	ask("at most one", domain.RehearsalSpec{}, 1, first)
	ask("a plan", domain.RehearsalSpec{PlanID: pro.ID}, 5, first)
	ask("a customer", domain.RehearsalSpec{ExternalID: "c"}, 5, first)
	ask("no customer", domain.RehearsalSpec{ExternalID: "d"}, 5)
}
