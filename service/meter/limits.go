package meter

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

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
	tenant  *domain.Tenant // whose limits they are; another one may have others
	set     *domain.LimitSet
	buckets []*bucket
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
		l.buckets = append(l.buckets, m.buckets.get(set.Counter(i, key), set.Rate(i), n != 0))
	}
	if n != 0 {
		m.buckets.release(m.limited(n).Swap(l))
	}
	return l, true
}

// Spend takes what a request costs from all limits of the key, or from none of them
// if one refuses it. now is a time that only moves forward, the same for all calls.
// For a key from the cache it allocates nothing.
func (m *Meter) Spend(key domain.ProvenKey, cost domain.Cost, now int64) (d domain.Decision) {
	l, known := m.limitsOf(key)
	switch {
	case !known:
		d.Code, d.RetryAfter = domain.CodeUnavailable, time.Second
		return d
	case l.set.Len() == 0:
		return d
	}
	d.Limits, d.Share = l.set, m.buckets.shares.Load().now
	for i, b := range l.buckets { // what is known to refuse takes nothing from the others
		rate, n := d.Share.Of(l.set.Rate(i)), cost.Of(l.set.At(i).Limit)
		tat := rate.Bounded(b.tat.Load(), now)
		d.Note(i, tat, now)
		if _, fits := rate.Take(tat, now, n); !fits {
			d.Exceed(i, n)
		}
	}
	for i := range l.buckets {
		if d.Admitted() && !d.Exceeded(i) && !l.take(i, &d, cost, now) && !d.Admitted() {
			l.giveBack(i, &d, cost, now)
		}
	}
	return d
}

// take takes from one limit. It reports false if another request was faster.
func (l *limited) take(i int, d *domain.Decision, cost domain.Cost, now int64) bool {
	b, rate, n := l.buckets[i], d.Share.Of(l.set.Rate(i)), cost.Of(l.set.At(i).Limit)
	for n > 0 {
		before := b.tat.Load()
		tat := rate.Bounded(before, now)
		next, fits := rate.Take(tat, now, n)
		if !fits {
			d.Note(i, tat, now)
			d.Exceed(i, n)
			return false
		}
		if b.tat.CompareAndSwap(before, next) {
			d.Note(i, next, now)
			return true
		}
	}
	return true
}

// giveBack returns what was taken from the limits before the one that refused.
func (l *limited) giveBack(refused int, d *domain.Decision, cost domain.Cost, now int64) {
	for i := range refused {
		if d.Exceeded(i) {
			continue
		}
		rate, n := d.Share.Of(l.set.Rate(i)), cost.Of(l.set.At(i).Limit)
		d.Note(i, l.buckets[i].tat.Add(rate.GiveBack(0, n)), now)
	}
}

// Counters returns how many limits have a state.
func (m *Meter) Counters() int { return m.buckets.len() }

// Look is like Spend, but takes nothing.
func (m *Meter) Look(key domain.ProvenKey, now int64) (d domain.Decision) {
	d.Limits, _ = key.Limits()
	d.Share = m.buckets.shares.Load().now
	for i := range d.Limits.Len() {
		tat := m.buckets.look(d.Limits.Counter(i, key), d.Limits.Rate(i))
		d.Note(i, d.Share.Of(d.Limits.Rate(i)).Bounded(tat, now), now)
	}
	return d
}

// ResetLimit makes the counter of a limit as good as new.
func (m *Meter) ResetLimit(c domain.Counter) { m.buckets.reset(c) }

// Sweep drops the states of limits that nothing has been taken from lately.
func (m *Meter) Sweep(now int64) { m.buckets.sweep(now) }
