package service_test

import (
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// Guarantees that what a node counts of limits and uses is what it has done, and that
// there are always the same kinds of decisions, whatever limits customers have.
func TestLimitStats(t *testing.T) {
	onEach(t, func(w *world) {
		said := func(limit domain.LimitType, v domain.Verdict) int64 {
			all := w.LimitDecisions()
			i := slices.IndexFunc(all, func(d service.LimitDecisions) bool { return d.Type == limit && d.Verdict == v })
			return all[i].Count
		}
		kinds := len(w.LimitDecisions())
		watched := domain.Limit{
			Name: "watched", Type: domain.Credits, Initial: new(int64(1)), Mode: domain.Observe,
		}
		_, _, token := w.limitedProject(daily(5), watched)
		w.admits(w.App, token, 7)
		for _, want := range []struct {
			limit domain.LimitType
			v     domain.Verdict
			count int64
		}{
			{domain.Quota, domain.VerdictAdmitted, 5},
			{domain.Quota, domain.VerdictRefused, 2},
			{domain.Credits, domain.VerdictAdmitted, 1},
			{domain.Credits, domain.VerdictExceeded, 4},
			{domain.RateLimit, domain.VerdictAdmitted, 0},
			{domain.Quota, domain.VerdictUnknown, 0},
		} {
			if got := said(want.limit, want.v); got != want.count {
				t.Errorf("%s %s: got %d, want %d", want.limit, want.v, got, want.count)
			}
		}
		if got := len(w.LimitDecisions()); got != kinds {
			t.Errorf("got %d kinds of decisions, and %d before", got, kinds)
		}
		if got := w.UsageStats(); got.Pending != 7 || got.Rows != 0 {
			t.Errorf("got %+v, want 7 uses that are not written", got)
		}
		w.check(w.RecordUses(w.Context()))
		if got := w.UsageStats(); got.Pending != 0 || got.Rows != 2 {
			t.Errorf("got %+v, want the counts of two outcomes written", got)
		}
		s := w.LimitStats()
		if s.Visits[meter.VisitRequest] == 0 || s.Granted != 6 || s.Took.Count == 0 || s.Failed != 0 {
			t.Errorf("got %+v, want 6 units leased for requests", s)
		}
		if s.Counters[domain.Quota] != 1 || s.Counters[domain.Credits] != 1 || s.Counters[domain.RateLimit] != 0 {
			t.Errorf("got %v, want one quota and one of credits", s.Counters)
		}
	})
}

// Guarantees that a decision about a key in memory allocates nothing with all that is
// counted of it.
func TestSpendingAllocatesNothing(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, _, token := w.limitedProject(daily(domain.MaxUnits), domain.Limit{
		Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(1_000_000), Period: domain.PeriodSecond,
	})
	key, err := w.ProveKey(w.Context(), token, nil)
	w.check(err)
	w.decides(w.App, token, domain.Cost{"daily": 100_000})
	if got := testing.AllocsPerRun(1000, func() { w.Spend(w.Context(), key, nil) }); got != 0 {
		t.Errorf("got %v allocations", got)
	}
}
