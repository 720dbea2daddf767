package fair

import (
	"fmt"
	"testing"
	"time"
)

// A payer has its burst, then one unit in each interval, and takes nothing from
// another.
func TestBudget(t *testing.T) {
	t.Parallel()
	b, now := NewBudget(Pace{Burst: 3, Emission: 10 * time.Second}), time.Unix(1_800_000_000, 0)
	spend := func(p Payer, want time.Duration) {
		t.Helper()
		if got := b.Spend(p, now); got != want {
			t.Errorf("%q has to wait %v, want %v", p, got, want)
		}
	}
	for range 3 {
		spend("a", 0)
	}
	spend("a", 10*time.Second)
	spend("a", 10*time.Second) // what was refused costs nothing
	spend("b", 0)
	now = now.Add(4 * time.Second)
	spend("a", 6*time.Second)
	now = now.Add(6 * time.Second)
	spend("a", 0)
	spend("a", 10*time.Second)
	now = now.Add(time.Hour)
	for range 3 {
		spend("a", 0)
	}
	spend("a", 10*time.Second)
	for i := range 2 * budgetPayers {
		spend(Payer(fmt.Sprint(i)), 0)
	}
	if len(b.tats) > budgetPayers {
		t.Errorf("%d payers are remembered, want %d at most", len(b.tats), budgetPayers)
	}
}
