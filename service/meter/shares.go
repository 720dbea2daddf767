package meter

import (
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
)

// shares are which part of every rate this node admits, and how that has grown.
type shares struct {
	now     domain.Share
	growth  []change
	unknown bool          // this node does not know yet which part is its own
	learned chan struct{} // closed when it does; nil: it does
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
// grown since the limit was reset it may be used already: other nodes have had the rest
// of it.
func (s *shares) first(rate domain.Rate, reset int64) (tat int64) {
	for _, c := range s.growth {
		if c.at < reset {
			continue
		}
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
	if before.now == to && !before.unknown {
		return
	}
	kept := before.growth[max(0, len(before.growth)+1-mostChanges):]
	growth := slices.Concat(kept, []change{{before.now, to, now}})
	b.shares.Store(&shares{before.now, growth, before.unknown, before.learned}) // for buckets that come from here on
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for _, known := range s.of {
			known.change(func(tat int64) int64 { return before.now.Change(to, known.rate, tat, now) })
		}
		s.mu.Unlock()
	}
	b.shares.Store(&shares{now: to, growth: growth})
	if before.unknown {
		close(before.learned)
	}
}

// DoubtShare says that this node does not know its part of any rate. Until SetShare, what
// a rate could refuse is not decided about.
func (m *Meter) DoubtShare() {
	b := m.buckets
	if known := b.shares.Load(); !known.unknown {
		b.shares.Store(&shares{known.now, known.growth, true, make(chan struct{})})
	}
}

// ShareLearned returns what is closed when this node knows its part of every rate; nil:
// it does.
func (m *Meter) ShareLearned() <-chan struct{} { return m.buckets.shares.Load().learned }

// ShareKnown reports whether this node knows its part of every rate.
func (m *Meter) ShareKnown() bool { return !m.buckets.shares.Load().unknown }
