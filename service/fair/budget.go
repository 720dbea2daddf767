package fair

import (
	"sync"
	"time"
)

// budgetPayers bounds the memory of a Budget.
const budgetPayers = 1 << 14

// Budget bounds what each payer spends: a burst, and one more unit in each
// interval after it.
type Budget struct {
	interval time.Duration
	burst    int

	mu    sync.Mutex
	spent map[Payer]time.Time // when the payer will have its whole burst again
}

// NewBudget returns a budget of which nothing is spent.
func NewBudget(burst int, interval time.Duration) *Budget {
	return &Budget{interval: interval, burst: burst, spent: map[Payer]time.Time{}}
}

// Spend takes a unit. If the payer has none left, it takes nothing and returns
// how long the payer has to wait for the next one.
func (b *Budget) Spend(p Payer, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	whole := b.spent[p]
	if whole.Before(now) {
		whole = now
	}
	whole = whole.Add(b.interval)
	if wait := whole.Sub(now) - time.Duration(b.burst)*b.interval; wait > 0 {
		return wait
	}
	if len(b.spent) >= budgetPayers {
		b.sweep(now)
	}
	b.spent[p] = whole
	return 0
}

// sweep drops payers that have their whole burst, and a few others if that is
// not enough.
func (b *Budget) sweep(now time.Time) {
	others := budgetPayers / 16
	for p, whole := range b.spent {
		if !whole.After(now) {
			delete(b.spent, p)
		} else if others > 0 {
			others--
			delete(b.spent, p)
		}
	}
}
