package meter

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// remain returns how many units of its one limit a key has left.
func (m *Meter) remain(t *testing.T, key domain.ProvenKey, now int64) (units int64) {
	t.Helper()
	d := m.Look(key, nil, now)
	for _, s := range d.States() {
		units = s.Remaining
	}
	return units
}

// Guarantees that what was used of a limit stays used when the limit becomes another one,
// however slow that is.
func TestWhatWasUsedOfALimitStaysUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after domain.Limit
		spent, want   int64
	}{
		"to a slow one, all used": {
			rate("a", 100, domain.PeriodMinute, 100, domain.PerKey), rate("a", 5, domain.PeriodDay, 5, domain.PerKey), 100, 0},
		"to a slow one, some used": {
			rate("a", 100, domain.PeriodMinute, 100, domain.PerKey), rate("a", 50, domain.PeriodDay, 50, domain.PerKey), 80, 0},
		"to a slow one, few used": {
			rate("a", 100, domain.PeriodMinute, 100, domain.PerKey), rate("a", 50, domain.PeriodDay, 50, domain.PerKey), 20, 30},
		"to a smaller burst": {
			rate("a", 100, domain.PeriodMinute, 100, domain.PerKey), rate("a", 100, domain.PeriodMinute, 10, domain.PerKey), 95, 0},
		"to a fast one": {
			rate("a", 5, domain.PeriodDay, 5, domain.PerKey), rate("a", 100, domain.PeriodMinute, 100, domain.PerKey), 5, 95},
		"from nothing": {
			rate("a", 0, domain.PeriodDay, 1, domain.PerKey), rate("a", 5, domain.PeriodDay, 5, domain.PerKey), 1, 5},
		"unchanged": {
			rate("a", 5, domain.PeriodDay, 5, domain.PerKey), rate("a", 5, domain.PeriodDay, 5, domain.PerKey), 3, 2},
	} {
		m := New()
		m.Spend(cached(m, limitedKey("a", "1", "", nil, []domain.Limit{c.before})), domain.Cost{"a": c.spent}, 0)
		after := limitedKey("a", "1", "", nil, []domain.Limit{c.after})
		looked := m.remain(t, after, 0)
		m.Spend(cached(m, after), domain.Cost{"a": 0}, 0)
		if got := m.remain(t, after, 0); got != c.want || looked != c.want {
			t.Errorf("%s: got %d units left, and %d before it was used, want %d", name, got, looked, c.want)
		}
	}
}

// Guarantees that a reset gives the whole of this node's share also where the limit has
// no state and other nodes have had the rest of it.
func TestAResetHoldsWhereTheShareHasGrown(t *testing.T) {
	t.Parallel()
	m := New()
	key := cached(m, limitedKey("a", "1", "", nil, []domain.Limit{rate("a", 10, domain.PeriodDay, 10, domain.PerKey)}))
	m.SetShare(domain.Share{Nodes: 2}, 0)
	m.SetShare(domain.Share{Nodes: 1}, 1)
	if got := m.remain(t, key, 2); got != 5 {
		t.Fatalf("got %d units left, want 5: another node has had the rest", got)
	}
	limits, _ := key.Limits()
	m.ResetLimit(domain.Reset{ID: "r", Counter: limits.Counter(0, key)}, 3)
	if got := m.remain(t, key, 4); got != 10 {
		t.Errorf("got %d units left after a reset, want 10", got)
	}
	m.SetShare(domain.Share{Nodes: 2}, 5)
	m.SetShare(domain.Share{Nodes: 1}, 6)
	if got := m.remain(t, key, 7); got != 5 {
		t.Errorf("got %d units left after another node was there, want 5", got)
	}
}

// Guarantees that what a node has not used does not become part used because its state
// was dropped.
func TestADroppedStateIsAsGoodAsBefore(t *testing.T) {
	t.Parallel()
	m := New()
	key := limitedKey("a", "1", "", nil, []domain.Limit{rate("a", 10, domain.PeriodHour, 10, domain.PerKey)}) // in no cache
	m.SetShare(domain.Share{Nodes: 2}, 0)
	m.SetShare(domain.Share{Nodes: 1}, 1)
	limits, _ := key.Limits()
	m.Spend(key, domain.Cost{"a": 1}, 2)
	m.ResetLimit(domain.Reset{ID: "r", Counter: limits.Counter(0, key)}, 3)
	for range 2 * rest {
		m.Sweep(int64(time.Minute))
	}
	if got := m.remain(t, key, int64(time.Minute)); got != 10 {
		t.Errorf("got %d units left, want 10", got)
	}
}

// Guarantees that a node which does not know its share admits nothing that a rate could
// refuse, and all of its share once it does.
func TestAnUnknownShareAdmitsNothing(t *testing.T) {
	t.Parallel()
	m := New()
	enforced := rate("a", 10, domain.PeriodDay, 10, domain.PerKey)
	observed := enforced
	observed.Mode = domain.Observe
	key := cached(m, limitedKey("a", "1", "", nil, []domain.Limit{enforced}))
	m.DoubtShare()
	learned := m.ShareLearned()
	m.DoubtShare()
	if d := m.Spend(key, nil, 0); d.Code != domain.CodeUnavailable || d.RetryAfter == 0 {
		t.Errorf("got %q, want that it is not known", d.Code)
	}
	for name, d := range map[string]domain.Decision{
		"what costs nothing": m.Spend(key, domain.Cost{"a": 0}, 0),
		"what only observes": m.Spend(cached(m, limitedKey("b", "2", "", nil, []domain.Limit{observed})), nil, 0),
	} {
		if !d.Admitted() {
			t.Errorf("%s: got %q, want it admitted", name, d.Code)
		}
	}
	m.SetShare(domain.Share{Nodes: 2}, 1)
	<-learned // what waits for it continues
	if got := m.remain(t, key, 2); got != 5 || m.ShareLearned() != nil {
		t.Errorf("got %d units left, want 5", got)
	}
}
