package fair

import (
	"sync"
	"time"
)

// budgetPayers bounds the memory of a Budget.
const budgetPayers = 1 << 14

// Budget bounds what each payer spends by one Pace.
type Budget struct {
	pace Pace

	mu   sync.Mutex
	tats map[Payer]time.Time
}

// NewBudget returns a budget of which nothing is spent.
func NewBudget(pace Pace) *Budget { return &Budget{pace: pace, tats: map[Payer]time.Time{}} }

// Spend takes a unit. If the payer has none left, it takes nothing and returns
// how long the payer has to wait for the next one.
func (b *Budget) Spend(p Payer, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tat := b.tats[p]
	if wait := b.pace.Wait(tat, now); wait > 0 {
		return wait
	}
	if len(b.tats) >= budgetPayers {
		b.sweep(now)
	}
	b.tats[p] = b.pace.Next(tat, now)
	return 0
}

// sweep drops payers that have their whole burst, and a few others if that is
// not enough.
func (b *Budget) sweep(now time.Time) {
	others := budgetPayers / 16
	for p, tat := range b.tats {
		if !tat.After(now) {
			delete(b.tats, p)
		} else if others > 0 {
			others--
			delete(b.tats, p)
		}
	}
}
