package fair

import (
	"sync"
	"time"
)

// Rate bounds how often something happens in a second: for each payer, and for
// everyone. Its memory is bounded by how often it may happen.
type Rate struct {
	total, perPayer int

	mu     sync.Mutex
	second int64
	count  int
	payers map[Payer]int
}

// NewRate returns a rate of total in a second, of which one payer gets perPayer.
// The empty payer is bounded by the total only.
func NewRate(total, perPayer int) *Rate {
	return &Rate{total: total, perPayer: perPayer, payers: map[Payer]int{}}
}

// Full reports whether the payer may have no more at now.
func (r *Rate) Full(p Payer, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	return r.full(p)
}

// Take counts one for the payer, unless it may have no more at now.
func (r *Rate) Take(p Payer, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if r.full(p) {
		return false
	}
	r.count++
	r.payers[p]++
	return true
}

// GiveBack is for one that has been taken and turned out not to count.
func (r *Rate) GiveBack(p Payer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.payers[p] > 0 { // else it was taken in an earlier second
		r.count--
		r.payers[p]--
	}
}

func (r *Rate) full(p Payer) bool {
	return r.count >= r.total || p != "" && r.payers[p] >= r.perPayer
}

// turn begins a new second. A caller that has waited may ask for an earlier one,
// which must not begin again; but a clock that was put back must not refuse
// everyone until it has caught up.
func (r *Rate) turn(now time.Time) {
	const late = 10
	if second := now.Unix(); second > r.second || second < r.second-late {
		r.second, r.count = second, 0
		clear(r.payers)
	}
}
