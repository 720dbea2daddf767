package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
	"github.com/latchkey-dev/latchkey/service/meter"
)

const (
	shards   = 64
	slabSize = 64 << 10

	// largest is the length of the longest key that is kept. The limits on a key
	// allow no longer one.
	largest = slabSize - 1
)

// id is a token's public id, padded with zeros: an array, so that a map of them
// holds no pointers.
type id [16]byte

func newID(t domain.TokenID) (i id, ok bool) {
	return i, len(t) <= len(i) && copy(i[:], t) == len(t)
}

// Keys are the keys that this node has proved recently. It is safe for
// concurrent use.
type Keys struct {
	shards  [shards]shard
	seed    maphash.Seed
	loader  loader[id, domain.ProvenKey]
	tenants tenants
	meter   *meter.Meter
	unknown [unknownSlots]unknown
	futile  *fair.Rate
}

type shard struct {
	mu    sync.RWMutex
	index map[id]place
	slabs map[uint32]*slab
	first uint32 // the oldest slab
	next  uint32 // what the next one will be called; numbers go round
	bytes int
	limit int

	hits, misses, loads, evictions atomic.Int64

	_ [64]byte // so that neighbors do not share a cache line
}

// NewKeys returns a cache that holds about limit bytes of keys, without its
// index. turns bounds the look-ups in progress; see Turns. m counts the uses of
// the keys.
func NewKeys(limit int, turns chan struct{}, m *meter.Meter) *Keys {
	k := &Keys{
		meter: m, seed: maphash.MakeSeed(), loader: newLoader[id, domain.ProvenKey](turns),
		futile: fair.NewRate(futileLimit, futilePerPayer),
	}
	k.tenants.byProject = map[domain.ProjectID]uint32{}
	for i := range k.shards {
		s := &k.shards[i]
		s.index, s.slabs, s.limit = map[id]place{}, map[uint32]*slab{}, max(limit/shards, 2*slabSize)
	}
	return k
}

// Turns returns the bound on the look-ups that a node has in progress at its
// database.
func Turns() chan struct{} { return make(chan struct{}, lookups) }

// Get returns the key of the token id, if it is known. It allocates nothing.
func (k *Keys) Get(token domain.TokenID) (domain.ProvenKey, bool) {
	id, ok := newID(token)
	if !ok {
		return domain.ProvenKey{}, false
	}
	s := k.shard(id)
	key, found := k.find(s, id)
	if found {
		s.hits.Add(1)
	} else {
		s.misses.Add(1)
	}
	return key, found
}

// find is like Get, but counts nothing. s is the shard of the id.
func (k *Keys) find(s *shard, id id) (domain.ProvenKey, bool) {
	s.mu.RLock()
	p, found := s.index[id]
	if !found {
		s.mu.RUnlock()
		return domain.ProvenKey{}, false
	}
	slab := s.slabs[p.slab]
	text := slab.text(p)
	// Under the lock: once this key is gone, the number may mean another tenant.
	tenant := k.tenants.get(p.tenant)
	s.mu.RUnlock()
	if tenant == nil {
		return domain.ProvenKey{}, false
	}
	slab.use(p.offset)
	return domain.NewProvenKey(text, tenant).Metered(uint32(p.line)), true
}

// Forget drops what the change makes untrue. Requests that start after it has
// returned do not get it.
func (k *Keys) Forget(c domain.Stale) {
	switch c.Kind {
	case domain.StaleToken:
		if id, ok := newID(domain.TokenID(c.ID)); ok {
			k.loader.forget(id, func() { k.remove(id) })
		}
	case domain.StaleProject:
		k.loader.forgetAll(func() { k.tenants.forgetProject(domain.ProjectID(c.ID)) })
	case domain.StaleOrganization:
		k.loader.forgetAll(func() { k.tenants.forgetOrganization(domain.OrganizationID(c.ID)) })
	}
}

// ForgetAll drops everything.
func (k *Keys) ForgetAll() {
	k.loader.forgetAll(func() {
		for i := range k.shards {
			s := &k.shards[i]
			s.mu.Lock()
			for id, p := range s.index {
				delete(s.index, id)
				k.release(p)
			}
			s.mu.Unlock()
		}
	})
}

// Stats counts what the cache has done since it was made, and what it holds.
type Stats struct {
	Hits, Misses, Loads, Evictions int64
	Keys, Bytes                    int
}

// Stats returns the counts.
func (k *Keys) Stats() (total Stats) {
	for i := range k.shards {
		s := &k.shards[i]
		total.Hits += s.hits.Load()
		total.Misses += s.misses.Load()
		total.Loads += s.loads.Load()
		total.Evictions += s.evictions.Load()
		s.mu.RLock()
		total.Keys += len(s.index)
		total.Bytes += s.bytes
		s.mu.RUnlock()
	}
	return total
}

func (k *Keys) shard(i id) *shard { return &k.shards[maphash.Comparable(k.seed, i)%shards] }
