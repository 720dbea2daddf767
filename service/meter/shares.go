package meter

import (
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
)

// shares are which part of every rate this node admits, and how that has grown.
type shares struct {
	now    domain.Share
	growth []change
}

// change is a change of the share.
type change struct {
	from, to domain.Share
	at       int64
}

// mostChanges bounds what is remembered of changes. Nodes do not come and go more
// often within the longest burst.
const mostChanges = 1000

// first returns the TAT of a limit that has no state yet. On a node whose share has
// grown it may be used already: other nodes have had the rest of it.
func (s *shares) first(rate domain.Rate) (tat int64) {
	for _, c := range s.growth {
		tat = c.from.Change(c.to, rate, tat, c.at)
	}
	return tat
}

// Share returns which part of every rate this node admits.
func (m *Meter) Share() domain.Share { return m.buckets.shares.Load().now }

// SetShare says which part of every rate this node admits from now on. No limit has
// more units left afterwards than before.
func (m *Meter) SetShare(to domain.Share, now int64) {
	b := m.buckets
	before := b.shares.Load()
	if before.now == to {
		return
	}
	kept := before.growth[max(0, len(before.growth)+1-mostChanges):]
	growth := slices.Concat(kept, []change{{before.now, to, now}})
	b.shares.Store(&shares{before.now, growth}) // for buckets that come from here on
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for _, known := range s.of {
			known.change(before.now, to, now)
		}
		s.mu.Unlock()
	}
	b.shares.Store(&shares{to, growth})
}

// change has as many units remain as before.
func (b *bucket) change(from, to domain.Share, now int64) {
	for {
		tat := b.tat.Load()
		if b.tat.CompareAndSwap(tat, from.Change(to, b.rate, tat, now)) {
			return
		}
	}
}
