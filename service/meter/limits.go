package meter

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

// The state of a limit is one number, which is the same for all tokens that share
// the limit. It is in a map from the limit's counter, where a line finds it once
// and then keeps a pointer. A state that is as good as new is dropped, so that there
// are only those of keys that were used lately.

const bucketShards = 64

// buckets are the states of limits.
type buckets struct {
	seed   maphash.Seed
	shards [bucketShards]bucketShard
	shares atomic.Pointer[shares]
}

type bucketShard struct {
	mu sync.Mutex
	of map[domain.Counter]*bucket
}

// bucket is the state of one limit.
type bucket struct {
	tat     atomic.Int64
	counter domain.Counter // without the text of the key that it was first found for

	// Under the lock of its shard.
	rate    domain.Rate
	holders int // lines
	rested  int // sweeps since a request found it; no request uses it for longer than rest
}

func newBuckets() *buckets {
	b := &buckets{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].of = map[domain.Counter]*bucket{}
	}
	b.shares.Store(&shares{})
	return b
}

func (b *buckets) shard(c domain.Counter) *bucketShard {
	return &b.shards[maphash.Comparable(b.seed, c)%bucketShards]
}

// get returns the bucket of a counter, for one more holder if it is for a line.
func (b *buckets) get(c domain.Counter, rate domain.Rate, forLine bool) *bucket {
	s := b.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.of[c]
	if !ok {
		known = &bucket{counter: c.Clone()}
		known.tat.Store(b.shares.Load().first(rate))
		s.of[known.counter] = known
	}
	known.rate, known.rested = rate, 0
	if forLine {
		known.holders++
	}
	return known
}

// look returns the TAT of a counter, and makes no bucket for it.
func (b *buckets) look(c domain.Counter, rate domain.Rate) int64 {
	s := b.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.of[c]; ok {
		return known.tat.Load()
	}
	return b.shares.Load().first(rate)
}

// release gives up what a line has held.
func (b *buckets) release(l *limited) {
	if l == nil {
		return
	}
	for _, held := range l.buckets {
		s := b.shard(held.counter)
		s.mu.Lock()
		held.holders--
		s.mu.Unlock()
	}
}

// reset makes the bucket of a counter as good as new.
func (b *buckets) reset(c domain.Counter) {
	s := b.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.of[c]; ok {
		known.tat.Store(0)
	}
}

// sweep drops what is as good as new and has rested.
func (b *buckets) sweep(now int64) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for c, known := range s.of {
			switch {
			case known.holders > 0 || known.tat.Load() > now:
			case known.rested < rest:
				known.rested++
			default:
				delete(s.of, c)
			}
		}
		s.mu.Unlock()
	}
}

func (b *buckets) len() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.of)
		s.mu.Unlock()
	}
	return n
}

// limited are the limits of a line's key. It never changes.
type limited struct {
	tenant   *domain.Tenant // whose limits they are; another one may have others
	set      *domain.LimitSet
	buckets  []*bucket
	balances []*Balance // of quotas and credits
	held     []*domain.Holding
}

var noLimits = &limited{}

// limitsOf returns the limits of a key. It reports false if they are not known. For
// a key whose line knows them it allocates nothing.
func (m *Meter) limitsOf(key domain.ProvenKey) (*limited, bool) {
	n := Line(key.Line())
	if n != 0 {
		if l := m.limited(n).Load(); l != nil && l.tenant == key.Tenant() {
			return l, true
		}
	}
	set, known := key.Limits()
	if !known {
		return nil, false
	}
	if set.Len() == 0 && n == 0 {
		return noLimits, true
	}
	l := &limited{tenant: key.Tenant(), set: set}
	for i := range set.Len() {
		c := set.Counter(i, key)
		if i < set.Rates() {
			l.buckets = append(l.buckets, m.buckets.get(c, set.Rate(i), n != 0))
			continue
		}
		one := m.balances.get(domain.ProjectCounter{Project: l.tenant.Project.ID, Counter: c}, set.At(i).Limit, n != 0)
		l.balances, l.held = append(l.balances, one), append(l.held, &one.Holding)
	}
	if n != 0 {
		m.release(m.limited(n).Swap(l))
	}
	return l, true
}

// release gives up what a line has held.
func (t *table) release(l *limited) {
	if l != nil {
		t.buckets.release(l)
		t.balances.release(l.balances)
	}
}

// Counters returns how many rates, quotas and credits this node knows the state of.
func (m *Meter) Counters() (rates, quotas, credits int) {
	quotas = int(m.balances.quotas.Load())
	return m.buckets.len(), quotas, m.balances.len() - quotas
}

// Look is like Spend, but takes nothing. What it knows of quotas and credits comes from
// held.
func (m *Meter) Look(key domain.ProvenKey, held []*domain.Holding, now int64) (d domain.Decision) {
	d.Limits, _ = key.Limits()
	d.Share, d.Held, d.At = m.buckets.shares.Load().now, held, m.balances.time(now)
	for i := range d.Limits.Rates() {
		tat := m.buckets.look(d.Limits.Counter(i, key), d.Limits.Rate(i))
		d.Note(i, d.Share.Of(d.Limits.Rate(i)).Bounded(tat, now), now)
	}
	for i, h := range held {
		d.NoteRemaining(d.Limits.Rates()+i, h.Remaining())
	}
	return d
}

// Sweep drops the states of limits that nothing has been taken from lately.
func (m *Meter) Sweep(now int64) {
	m.buckets.sweep(now)
	m.balances.sweep()
}
