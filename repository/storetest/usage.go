package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// testUsage guarantees that counts add up by every interval and group, that a
// batch is applied once however often it is sent, that a page continues where the
// last one ended, and that no tenant reads another's.
func testUsage(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	o, p := newTenant(t, s, "acme")
	_, other := newTenant(t, s, "other")
	count := func(of domain.Project, key domain.KeyID, external string, outcome domain.Outcome, n int64) domain.UsageCount {
		c := domain.UsageCount{
			OrganizationID: of.OrganizationID, ProjectID: of.ID, KeyID: key, ExternalID: external, Outcome: outcome, Count: n,
			Environment: domain.Live,
		}
		if key == "" {
			c.Environment = ""
		}
		return c
	}
	a, b := newKey(p, "a", epoch), newKey(p, "b", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), a)) // and b is deleted already
	write := func(number int64, at time.Time, counts ...domain.UsageCount) {
		t.Helper()
		check(t, s.RecordUsage(ctx, domain.UsageBatch{NodeID: "n", Number: number, At: at, Counts: counts}))
	}
	for range 2 { // the answer to the first was lost
		write(1, epoch, count(p, a.ID, "c1", domain.OutcomeValid, 3), count(p, a.ID, "c1", domain.OutcomeValid, 4),
			count(p, a.ID, "c1", domain.OutcomeRevoked, 2), count(p, "", "", domain.OutcomeNotFound, 9),
			count(other, b.ID, "c1", domain.OutcomeValid, 100))
	}
	write(2, epoch.Add(time.Hour).In(time.FixedZone("", 5*60*60)), count(p, b.ID, "", domain.OutcomeValid, 20))
	write(3, epoch.Add(25*time.Hour), count(p, a.ID, "c2", domain.OutcomeValid, 300))
	check(t, s.RecordUsage(ctx, domain.UsageBatch{NodeID: "another", Number: 1, At: epoch.AddDate(0, 1, 0), Counts: []domain.UsageCount{
		count(p, a.ID, "c2", domain.OutcomeValid, 4000),
	}}))

	ask := func(q domain.UsageQuery) []string {
		t.Helper()
		q.Limit = max(q.Limit, 100)
		if q.Since.IsZero() {
			q.Since, q.Until = epoch.AddDate(0, 0, -1), epoch.AddDate(0, 2, 0)
		}
		q, err := q.Complete(epoch, 200)
		check(t, err)
		items, err := s.ProjectUsage(ctx, p.Scope(), q)
		check(t, err)
		var lines []string
		for _, i := range items {
			cells := append([]string{i.Start.Format("01-02T15:04")}, i.Groups...)
			for _, outcome := range slices.Sorted(maps.Keys(i.Outcomes)) {
				cells = append(cells, fmt.Sprintf("%s=%d", outcome, i.Outcomes[outcome]))
			}
			lines = append(lines, strings.Join(cells, " "))
		}
		return lines
	}
	is := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	is("days", ask(domain.UsageQuery{}), "03-14T00:00 not_found=9 revoked=2 valid=27", "03-15T00:00 valid=300", "04-14T00:00 valid=4000")
	is("months", ask(domain.UsageQuery{Interval: domain.PerMonth}), "03-01T00:00 not_found=9 revoked=2 valid=327", "04-01T00:00 valid=4000")
	is("hours", ask(domain.UsageQuery{Interval: domain.PerHour}),
		"03-14T15:00 not_found=9 revoked=2 valid=7", "03-14T16:00 valid=20", "03-15T16:00 valid=300", "04-14T15:00 valid=4000")
	is("total", ask(domain.UsageQuery{Interval: domain.InTotal}), "03-13T15:00 not_found=9 revoked=2 valid=4327")
	is("minutes", ask(domain.UsageQuery{Interval: domain.PerMinute, Since: epoch.Add(-time.Hour), Until: epoch.Add(2 * time.Hour)}),
		"03-14T15:09 not_found=9 revoked=2 valid=7", "03-14T16:09 valid=20")
	is("part of a day", ask(domain.UsageQuery{Since: epoch.Add(time.Hour), Until: epoch.Add(25 * time.Hour)}),
		"03-14T00:00 valid=20", "03-15T00:00 valid=300")
	is("part of one day", ask(domain.UsageQuery{Since: epoch, Until: epoch.Add(time.Minute)}), "03-14T00:00 not_found=9 revoked=2 valid=7")
	is("customers", ask(domain.UsageQuery{Interval: domain.InTotal, GroupBy: []domain.UsageGroup{domain.ByExternalID}, Busiest: true}),
		"03-13T15:00 c2 valid=4300", "03-13T15:00  valid=20", "03-13T15:00 c1 revoked=2 valid=7")
	is("keys and outcomes", ask(domain.UsageQuery{
		Interval: domain.InTotal, GroupBy: []domain.UsageGroup{domain.ByOutcome, domain.ByKey}, KeyID: a.ID,
	}), "03-13T15:00 revoked "+string(a.ID)+" revoked=2", "03-13T15:00 valid "+string(a.ID)+" valid=4307")
	is("one outcome of a customer", ask(domain.UsageQuery{Outcome: domain.OutcomeRevoked, ExternalID: "c1"}), "03-14T00:00 revoked=2")
	is("no test keys", ask(domain.UsageQuery{Environment: domain.Test}))

	for _, busiest := range []bool{false, true} {
		q, err := domain.UsageQuery{
			Since: epoch.AddDate(0, 0, -1), Until: epoch.AddDate(0, 2, 0), Busiest: busiest, Limit: 100,
			GroupBy: []domain.UsageGroup{domain.ByKey, domain.ByExternalID},
		}.Complete(epoch, 200)
		check(t, err)
		all, err := s.ProjectUsage(ctx, p.Scope(), q)
		check(t, err)
		var paged []domain.UsageItem
		for q.Limit = 1; len(paged) < len(all); q.After = paged[len(paged)-1].Cursor(q) {
			some, err := s.ProjectUsage(ctx, p.Scope(), q)
			check(t, err)
			paged = append(paged, some[0])
		}
		equal(t, paged, all, nil)
	}

	complete, lossy, err := s.UsageComplete(ctx, "n", epoch, epoch.AddDate(0, 0, -1), epoch.AddDate(0, 2, 0))
	equal(t, []any{complete, lossy}, []any{time.Time{}, true}, err) // another has counted, and is not listed
	check(t, s.EndUsage(ctx, "another"))
	complete, lossy, err = s.UsageComplete(ctx, "n", epoch, epoch.AddDate(0, 0, -1), epoch.AddDate(0, 2, 0))
	equal(t, []any{complete, lossy}, []any{time.Time{}, false}, err)

	q, err := domain.UsageQuery{
		Since: epoch, Until: epoch.AddDate(0, 2, 0), Interval: domain.InTotal, GroupBy: []domain.UsageGroup{domain.ByProject}, Limit: 5,
	}.Complete(epoch, 200)
	check(t, err)
	sums, err := s.OrganizationUsage(ctx, o.Scope(), q)
	equal(t, sums, []domain.UsageItem{{
		Start: q.Since, Groups: []string{string(p.ID)}, Requests: 4338,
		Outcomes: map[domain.Outcome]int64{domain.OutcomeValid: 4327, domain.OutcomeRevoked: 2, domain.OutcomeNotFound: 9},
	}}, err)

	for more := true; more; {
		more, err = s.ForgetUsage(ctx, epoch.AddDate(0, 0, 1).Truncate(24*time.Hour), epoch.Add(30*time.Minute), 2)
		check(t, err)
	}
	is("what is kept", ask(domain.UsageQuery{Interval: domain.InTotal}), "03-13T15:00 valid=4300")
	lastHours := domain.UsageQuery{Interval: domain.PerMinute, Since: epoch.Add(-time.Hour), Until: epoch.Add(2 * time.Hour)}
	is("minutes that are kept", ask(lastHours), "03-14T16:09 valid=20")
	check(t, s.DeleteProject(ctx, p.Scope(), epoch))
	for more := true; more; {
		more, err = s.PurgeProjects(ctx, 2)
		check(t, err)
	}
	is("a deleted project", ask(domain.UsageQuery{}))
}
