package meter

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

// The state of a limit is one number, which is the same for all tokens that share
// the limit. It is in a map from the limit's counter, where a line finds it once
// and then keeps a pointer. A state that is as good as new is dropped, so that there
// are only those of keys that were used lately. One that has to give up its place to
// others is gone: a line that still has a pointer to it looks for the counter
// again.

const bucketShards = 64

// gone is instead of the TAT of a state that has given up its place.
const gone = math.MaxInt64

// buckets are the states of limits.
type buckets struct {
	seed   maphash.Seed
	shards [bucketShards]bucketShard
	shares atomic.Pointer[shares]
	resets *resets
}

type bucketShard struct {
	mu sync.Mutex
	of map[domain.Counter]*bucket
}

// bucket is the state of one limit.
type bucket struct {
	tat     atomic.Int64
	account *account
	counter domain.Counter // without the text of the key that it was first found for

	// Under the lock of its shard.
	rate    domain.Rate
	holders int32 // lines
	rested  int32 // sweeps since a request found it; no request uses it for longer than rest
}

// bucketBytes is about what a bucket takes, with its place in the map.
const bucketBytes = 300

func newBuckets() *buckets {
	b := &buckets{seed: maphash.MakeSeed(), resets: &resets{}}
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
func (b *buckets) get(a *account, c domain.Counter, rate domain.Rate, now int64, forLine bool) *bucket {
	s := b.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.of[c]
	if !ok {
		known = &bucket{account: a, counter: c.Clone(), rate: rate}
		known.tat.Store(b.first(a, c, rate))
		s.of[known.counter] = known
		a.add(bucketBytes)
	}
	if known.rate != rate {
		known.change(func(tat int64) int64 { return b.changed(known.rate, rate, tat, now) })
		known.rate = rate
	}
	known.rested = 0
	if forLine {
		known.holders++
	}
	return known
}

// first returns the TAT of a limit that has no state.
func (b *buckets) first(a *account, c domain.Counter, rate domain.Rate) int64 {
	return max(b.shares.Load().first(rate, b.resets.last(c)), a.floor.Load())
}

// changed returns the TAT of this node's share after the rate has become another one.
func (b *buckets) changed(before, after domain.Rate, tat, now int64) int64 {
	share := b.shares.Load().now
	return share.Of(before).Change(share.Of(after), tat, now)
}

// look returns the TAT of a counter, and makes no bucket for it.
func (b *buckets) look(a *account, c domain.Counter, rate domain.Rate, now int64) int64 {
	s := b.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch known, ok := s.of[c]; {
	case !ok:
		return b.first(a, c, rate)
	case known.rate != rate:
		return b.changed(known.rate, rate, known.tat.Load(), now)
	default:
		return known.tat.Load()
	}
}

// change sets the TAT to what fn makes of it, unless the bucket is gone.
func (b *bucket) change(fn func(tat int64) int64) {
	for {
		tat := b.tat.Load()
		if tat == gone || b.tat.CompareAndSwap(tat, fn(tat)) {
			return
		}
	}
}

// release gives up what a line has held.
func (b *buckets) release(l *limited) {
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
		known.change(func(int64) int64 { return 0 })
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
			case b.first(known.account, c, known.rate) > now: // a new one would be worse
			default:
				s.drop(known)
			}
		}
		s.mu.Unlock()
	}
}

// drop removes a bucket and returns its TAT. The shard is locked.
func (s *bucketShard) drop(b *bucket) (tat int64) {
	tat = b.tat.Swap(gone)
	b.account.add(-bucketBytes)
	delete(s.of, b.counter)
	return tat
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
	account  *account
	buckets  []*bucket
	balances []*Balance // of quotas and credits
	held     []*domain.Holding
	bytes    int64
}

var noLimits = &limited{}

// What limits take that a line holds: those of a plan are shared by its keys.
const (
	limitedBytes    = 130 // a line's, and
	limitedBytesOf  = 24  // for each limit
	ownLimitBytesOf = 280 // for each where some are the key's own
)

// limitsOf returns the limits of a key. It reports false if they are not known, or if
// the project has no place for their states. For a key whose line knows them it
// allocates nothing.
func (m *Meter) limitsOf(key domain.ProvenKey, now int64) (*limited, bool) {
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
	if set.Len() > 0 {
		l.account = m.memory.account(l.tenant.Project.ID, now)
		if l.bytes = limitedBytes + int64(set.Len())*limitedBytesOf; key.HasOwnLimits() {
			l.bytes += int64(set.Len()) * ownLimitBytesOf
		}
		m.makeRoom(l.account, now)
	}
	keep := n != 0 && (set.Len() == 0 || !l.account.full())
	for i := range set.Len() {
		c := set.Counter(i, key)
		if i < set.Rates() {
			l.buckets = append(l.buckets, m.buckets.get(l.account, c, set.Rate(i), now, keep))
			continue
		}
		one := m.balances.get(l.account, domain.ProjectCounter{Project: l.tenant.Project.ID, Counter: c}, set.At(i), keep)
		if one == nil {
			l.bytes = 0
			m.release(l, keep)
			return nil, false
		}
		l.balances, l.held = append(l.balances, one), append(l.held, &one.Holding)
	}
	if keep {
		l.account.add(l.bytes)
		m.release(m.limited(n).Swap(l), true)
	}
	return l, true
}

// release gives up what a line has held.
func (t *table) release(l *limited, held bool) {
	if l != nil && held {
		t.buckets.release(l)
		t.balances.release(l.balances)
		l.account.add(-l.bytes)
	}
}

// outdated drops what a line holds, since a state of it is gone.
func (m *Meter) outdated(key domain.ProvenKey) {
	if n := Line(key.Line()); n != 0 {
		m.release(m.limited(n).Swap(nil), true)
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
		a := m.memory.find(key.Tenant().Project.ID)
		tat := m.buckets.look(a, d.Limits.Counter(i, key), d.Limits.Rate(i), now)
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
	m.memory.sweep(now)
}
