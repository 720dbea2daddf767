package fair

import (
	"sync"
	"time"
)

// Rate bounds how often something happens in a second, for each payer and for
// all together. Its memory is bounded by the same number.
type Rate struct {
	total, perPayer int

	mu     sync.Mutex
	second int64
	count  int
	payers map[Payer]int
}

// NewRate returns a rate of total in a second, of which one payer gets
// perPayer. Only the total bounds the empty payer.
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

// GiveBack returns one that was taken and turned out not to count.
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

// turn begins a new second. A caller that waited may pass an earlier time,
// which must not begin a second again; but after a clock was set back, it must
// not refuse all callers until the clock has caught up.
func (r *Rate) turn(now time.Time) {
	const late = 10
	if second := now.Unix(); second > r.second || second < r.second-late {
		r.second, r.count = second, 0
		clear(r.payers)
	}
}
