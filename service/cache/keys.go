package cache

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

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
	s.mu.RLock()
	p, found := s.index[id]
	if !found {
		s.mu.RUnlock()
		s.misses.Add(1)
		return domain.ProvenKey{}, false
	}
	slab := s.slabs[p.slab]
	text := slab.text(p)
	// Under the lock: once this key is gone, the number may mean another tenant.
	tenant := k.tenants.get(p.tenant)
	s.mu.RUnlock()
	if tenant == nil {
		s.misses.Add(1)
		return domain.ProvenKey{}, false
	}
	s.hits.Add(1)
	slab.use(p.offset)
	return domain.NewProvenKey(text, tenant).Metered(uint32(p.line)), true
}

// Reader reads keys from the database. Both functions return not_found for an
// id that does not exist.
type Reader struct {
	Key        func(context.Context, domain.TokenID) (domain.Secret, domain.Key, error)
	CallingKey func(context.Context, domain.TokenID) (domain.Secret, domain.CallingKey, error)

	Payer fair.Payer // who pays for the look-up of ids that do not exist
}

// Load is like Get, but reads a key that it does not know: once, however many
// requests wait. It remembers for a short time that an id does not exist; it
// does not remember other errors. Besides the reader's errors it returns
// unavailable if too many requests wait or too many look-ups found nothing.
func (k *Keys) Load(ctx context.Context, token domain.TokenID, now time.Time, from Reader) (domain.ProvenKey, error) {
	id, ok := newID(token)
	if !ok {
		return k.read(ctx, token, from)
	}
	if k.isUnknown(id, now) {
		return domain.ProvenKey{}, domain.NotFound()
	}
	if k.futile.Full(from.Payer, now) {
		return domain.ProvenKey{}, errTooManyUnknown()
	}
	known := func() (domain.ProvenKey, bool) { return k.Get(token) }
	return k.loader.load(ctx, id, known, func(ctx context.Context) (domain.ProvenKey, error) {
		if !k.futile.Take(from.Payer, now) {
			return domain.ProvenKey{}, errTooManyUnknown()
		}
		k.shard(id).loads.Add(1)
		key, err := k.read(ctx, token, from)
		if domain.CodeOf(err) != domain.CodeNotFound {
			k.futile.GiveBack(from.Payer)
		}
		return key, err
	}, func(key domain.ProvenKey, err error) domain.ProvenKey {
		switch {
		case err == nil:
			return k.put(id, key)
		case domain.CodeOf(err) == domain.CodeNotFound:
			k.setUnknown(id, now)
		}
		return key
	})
}

func errTooManyUnknown() error { return domain.Unavailable(errors.New("too many unknown tokens")) }

// read reads a key, and its tenant unless that is probably in memory: then the
// database has a third less to do, or twice as much if the guess is wrong. If
// the tenant changes after the read has begun, the key is not kept, whichever
// way it was read.
func (k *Keys) read(ctx context.Context, token domain.TokenID, from Reader) (domain.ProvenKey, error) {
	if k.tenants.likely() {
		secret, key, err := from.Key(ctx, token)
		if err != nil {
			return domain.ProvenKey{}, err
		}
		if tenant := k.tenants.of(key.ProjectID); tenant != nil {
			return domain.NewProvenKey(string(domain.PackKey(nil, secret, key)), tenant), nil
		}
	}
	secret, key, err := from.CallingKey(ctx, token)
	if err != nil {
		return domain.ProvenKey{}, err
	}
	k.tenants.note(k.tenants.of(key.Project.ID) != nil)
	return domain.NewProvenKey(string(domain.PackKey(nil, secret, key.Key)),
		&domain.Tenant{Project: key.Project, Organization: key.Organization}), nil
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

// put keeps a key and replaces what was known about the token. It returns the key
// with the number of its line.
func (k *Keys) put(id id, key domain.ProvenKey) domain.ProvenKey {
	if len(key.Packed()) > largest {
		return key
	}
	s := k.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.index[id]; ok {
		k.release(old)
	}
	line := k.meter.Hold(key)
	s.write(id, key.Packed(), k.tenants.acquire(key.Tenant()), line)
	for s.bytes > s.limit {
		k.evict(s)
	}
	return key.Metered(uint32(line))
}

func (k *Keys) remove(id id) {
	s := k.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.index[id]; ok {
		delete(s.index, id)
		k.release(p)
	}
}

// release gives up what a place shares with others.
func (k *Keys) release(p place) {
	k.tenants.release(p.tenant)
	k.meter.Release(p.line)
}

// evict drops the oldest slab, but keeps the keys in it that were requested
// since they were written.
func (k *Keys) evict(s *shard) {
	number := s.first
	oldest := s.slabs[number]
	delete(s.slabs, number)
	s.first++
	s.bytes -= cap(oldest.bytes)
	offset := uint16(0)
	for _, length := range oldest.lengths {
		p := place{offset: offset, length: length}
		offset += length
		text := oldest.text(p)
		id, _ := newID(domain.NewProvenKey(text, nil).TokenID())
		at, ok := s.index[id]
		if !ok || at.slab != number || at.offset != p.offset {
			continue // removed, or read anew since
		}
		if oldest.wasUsed(p.offset) {
			s.write(id, text, at.tenant, at.line)
			continue
		}
		delete(s.index, id)
		k.release(at)
		s.evictions.Add(1)
	}
}
