package meter

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

// resetsKept is how many resets are remembered. People reset limits, and a node hears
// of a reset twice within a second.
const resetsKept = 1000

// resets are the latest resets.
type resets struct {
	mu   sync.Mutex
	all  [resetsKept]reset
	next int
	some atomic.Bool // there was one
}

type reset struct {
	domain.Reset
	at int64
}

// first reports whether a reset is heard of for the first time.
func (r *resets) first(one domain.Reset, now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.all[:], func(known reset) bool { return known.ID == one.ID }) {
		return false
	}
	r.all[r.next] = reset{domain.Reset{ID: strings.Clone(one.ID), Counter: one.Counter.Clone()}, now}
	r.next = (r.next + 1) % resetsKept
	r.some.Store(true)
	return true
}

// last returns when a counter was last reset; the smallest number: it is not known to
// have been.
func (r *resets) last(c domain.Counter) int64 {
	at := int64(math.MinInt64)
	if !r.some.Load() {
		return at
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.all {
		if one := &r.all[i]; one.ID != "" && one.Counter == c {
			at = max(at, one.at)
		}
	}
	return at
}

// ResetLimit makes the counter of a limit as good as new, once for each reset. What is
// known of a quota or of credits is read again, which is all for a reset without an id.
func (m *Meter) ResetLimit(r domain.Reset, now int64) {
	if r.ID != "" && m.buckets.resets.first(r, now) {
		m.buckets.reset(r.Counter)
	}
	m.balances.doubt(r.Counter)
}
