package meter

import (
	"hash/maphash"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/journal"
)

// Of quotas and credits a node spends what it has leased. A balance is what it holds of
// one counter, for all tokens that share it. Requests take from it without a lock. When
// they find too little, they wait for a visit, in which the node settles with the
// database and takes more; visits are gathered, so that there is one transaction for
// many of them.

const (
	// leaseFor is for how long a lease lasts at the rate at which it is spent. What a
	// node holds when it is killed is lost.
	leaseFor = 2 * time.Second

	// leaseKeptFor is the same where a journal outlives the process, so that nothing is
	// lost with it: a node then survives an outage of that length.
	leaseKeptFor = time.Minute

	// idleAfter is after how long a node returns what it does not spend, so that others
	// can.
	idleAfter = 5 * time.Second

	// settleAfter is after how long what was spent is settled at the latest.
	settleAfter = 10 * time.Second

	// emptyFor is for how long an empty counter is known to be so. Until then requests
	// are refused from memory, and in the meantime it is visited in the background.
	emptyFor = time.Second

	// atLeast is how many times what one request needs is asked for, so that a key that
	// is used now and then is not visited for each request.
	atLeast = 10

	// quickest bounds the rate at which a lease seems to be spent.
	quickest = 10 * time.Millisecond
)

// Balance is what this node holds of one counter.
type Balance struct {
	domain.Holding

	account *account
	counter domain.ProjectCounter
	limit   atomic.Pointer[domain.Limit]
	retired atomic.Bool  // it has given up its place: the counter may have another balance
	unsure  atomic.Bool  // what is known does not hold any more, so a request waits for a visit
	listed  atomic.Bool  // it is among those that want a visit
	half    atomic.Int64 // of what it got: with less it wants a visit

	mu    sync.Mutex
	next  *Waiting // for the visit after the one under way
	now   *Waiting // for the one under way; nil: there is none
	need  int64    // the most that one request needs of the next visit
	asks  int64    // what all of them need
	spent int64    // at the last visit, in all
	rate  float64  // units a second that are spent
	at    int64    // the last visit
	used  int64    // when something was spent last, as the looks at it have found
	seen  int64    // what was spent at the last look

	// Under the lock of its shard.
	holders int // lines
	rested  int // sweeps since a request found it or a line held it; no request uses it for longer than rest
}

// Waiting is what requests wait for.
type Waiting struct {
	Done chan struct{} // closed after the visit
	Err  error         // why it failed; to be read after Done
}

// balances are those of this node, by counter.
type balances struct {
	seed   maphash.Seed
	shards [bucketShards]balanceShard
	quotas atomic.Int64 // how many of them are of quotas
	clock  atomic.Int64 // what the clock of limits showed, in Unix nanoseconds, when the one of this node was zero

	mu    sync.Mutex
	asked []*Balance // requests wait for them
	want  []*Balance // they are better visited soon

	journal *journal.File // nil: there is none
	leaving []leaving     // under mu
}

type balanceShard struct {
	mu sync.Mutex
	of map[domain.Counter]*Balance
}

func newBalances() *balances {
	b := &balances{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].of = map[domain.Counter]*Balance{}
	}
	return b
}

func (b *balances) shard(c domain.Counter) *balanceShard {
	return &b.shards[maphash.Comparable(b.seed, c)%bucketShards]
}

// balanceBytes is about what a balance takes, with its place in the map.
const balanceBytes = 1100

// get returns the balance of a counter, for one more holder if it is for a line. It
// returns nil if there is none and the project has no place for one.
func (b *balances) get(a *account, c domain.ProjectCounter, limit *domain.EffectiveLimit, forLine bool) *Balance {
	s := b.shard(c.Counter)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.of[c.Counter]
	if !ok && a.full() {
		return nil
	}
	if !ok {
		known = &Balance{account: a, counter: domain.ProjectCounter{Project: c.Project, Counter: c.Clone()}}
		s.of[known.counter.Counter] = known
		b.count(c.Counter, 1)
		a.add(balanceBytes)
		if b.journal != nil {
			known.Keep(b.journal.Lease(known.counter))
		}
	}
	if before := known.limit.Load(); before == nil || !reflect.DeepEqual(*before, limit.Limit) {
		known.limit.Store(&limit.Limit)
		known.unsure.Store(true)
	}
	if known.rested = 0; forLine {
		known.holders++
	}
	return known
}

// count counts balances of quotas.
func (b *balances) count(c domain.Counter, n int64) {
	if c.Type == domain.Quota {
		b.quotas.Add(n)
	}
}

// release gives up what a line has held.
func (b *balances) release(held []*Balance) {
	for _, one := range held {
		s := b.shard(one.counter.Counter)
		s.mu.Lock()
		one.holders--
		one.rested = 0
		s.mu.Unlock()
	}
}

// doubt makes the next request for a counter wait for a visit.
func (b *balances) doubt(c domain.Counter) {
	s := b.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.of[c]; ok {
		known.unsure.Store(true)
	}
}

// DoubtAll is like ResetLimit for all quotas and credits, of which it is not known what
// has changed.
func (m *Meter) DoubtAll() {
	for _, one := range m.balances.all() {
		one.unsure.Store(true)
	}
}

// With returns what the books say that have just been read, together with what this node
// has spent since it has settled.
func (m *Meter) With(c domain.Counter, books domain.Books) *domain.Holding {
	known, left := domain.Known{Books: books}, int64(0)
	s := m.balances.shard(c)
	s.mu.Lock()
	if own, held := s.of[c]; held {
		if before := own.Known(); before != nil && before.Lease.Period.Equal(books.Period) {
			known.Lease, left = before.Lease, own.Left()
		}
	}
	s.mu.Unlock()
	var h domain.Holding
	h.Renew(known)
	h.Take(max(0, known.Lease.Left()-left))
	return &h
}

// Held returns what this node holds for the quotas and credits of a key, or false if it
// does not know all of them.
func (m *Meter) Held(key domain.ProvenKey, now int64) ([]*domain.Holding, bool) {
	l, known := m.limitsOf(key, now)
	if !known {
		return nil, false
	}
	for _, h := range l.held {
		if h.Known() == nil {
			return nil, false
		}
	}
	return l.held, true
}

// time returns what the clock of limits shows at an instant of this node.
func (b *balances) time(now int64) time.Time {
	return time.Unix(0, b.clock.Load()+now).UTC()
}

// verdict is what a balance says of a request.
type verdict int

const (
	fits verdict = iota
	exceeds
	waits // only a visit can tell
)

// judge returns what the balance says of n units, and how many remain.
func (b *Balance) judge(n, now int64, at time.Time) (v verdict, remaining int64) {
	for {
		known := b.Known()
		if known == nil || b.unsure.Load() {
			return waits, 0
		}
		left := b.Left()
		there := max(0, known.Books.Available())
		renewed := !known.Books.RenewsAt.IsZero() && !at.Before(known.Books.RenewsAt)
		switch quota := b.counter.Type == domain.Quota; {
		case renewed && quota:
			return waits, 0
		case n <= left:
			return fits, left + there
		case renewed || n <= left+there || time.Duration(now-known.At) > emptyFor:
			return waits, left + there
		case b.Known() == known && !b.unsure.Load():
			return exceeds, left + there
		}
	}
}

// list has a balance visited soon.
func (b *balances) list(one *Balance) {
	if !one.listed.Load() && one.listed.CompareAndSwap(false, true) {
		b.mu.Lock()
		b.want = append(b.want, one)
		b.mu.Unlock()
	}
}

// ask returns what a request waits for that needs n units; nil if the balance has
// given up its place.
func (b *balances) ask(one *Balance, n int64) *Waiting {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.retired.Load() {
		return nil
	}
	one.need, one.asks = max(one.need, n), one.asks+n
	if one.next == nil {
		one.next = &Waiting{Done: make(chan struct{})}
		b.mu.Lock()
		b.asked = append(b.asked, one)
		b.mu.Unlock()
	}
	return one.next
}

func (b *balances) all() (all []*Balance) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for _, one := range s.of {
			all = append(all, one)
		}
		s.mu.Unlock()
	}
	return all
}

func (b *balances) len() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.of)
		s.mu.Unlock()
	}
	return n
}
