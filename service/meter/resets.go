package meter

import (
	"slices"
	"strings"
	"sync"

	"github.com/latchkey-dev/latchkey/domain"
)

// resetsKept is how many resets are remembered. People reset limits, and a node hears
// of a reset twice within a second.
const resetsKept = 1000

// resets are the ids of the latest resets.
type resets struct {
	mu   sync.Mutex
	ids  [resetsKept]string
	next int
}

// first reports whether a reset is heard of for the first time.
func (r *resets) first(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.ids[:], id) {
		return false
	}
	r.ids[r.next] = strings.Clone(id)
	r.next = (r.next + 1) % resetsKept
	return true
}

// ResetLimit makes the counter of a limit as good as new, once for each reset. What is
// known of a quota or of credits is read again, which is all for a reset without an id.
func (m *Meter) ResetLimit(r domain.Reset) {
	if r.ID != "" && m.resets.first(r.ID) {
		m.buckets.reset(r.Counter)
	}
	m.balances.doubt(r.Counter)
}
