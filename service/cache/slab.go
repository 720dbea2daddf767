package cache

import (
	"sync/atomic"
	"unsafe"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// granule is a unit of a slab's space in which at most one key begins: the
// fixed-size parts of a key are longer.
const granule = 64

// place is the position of a key in its shard, and what is kept of it elsewhere.
type place struct {
	slab, tenant   uint32
	line           meter.Line
	offset, length uint16
}

type slab struct {
	bytes   []byte   // its length is how much is used; bytes before that never change
	lengths []uint16 // of the keys in it, from front to back
	used    [slabSize / granule / 64]atomic.Uint64
}

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

// write appends a key to the newest slab, or to a new one.
func (s *shard) write(id id, packed string, tenant uint32, line meter.Line) {
	newest := s.slabs[s.next-1]
	if newest == nil || cap(newest.bytes)-len(newest.bytes) < len(packed) {
		newest = &slab{bytes: make([]byte, 0, slabSize), lengths: make([]uint16, 0, slabSize/granule/4)}
		s.slabs[s.next] = newest
		s.next++
		s.bytes += cap(newest.bytes)
	}
	s.index[id] = place{
		slab:   s.next - 1,
		tenant: tenant,
		line:   line,
		offset: uint16(len(newest.bytes)),
		length: uint16(len(packed)),
	}
	newest.bytes = append(newest.bytes, packed...)
	newest.lengths = append(newest.lengths, uint16(len(packed)))
}

// text returns a key in place. This is safe because a slab's bytes are written
// before the place is known to any reader, and never change.
func (s *slab) text(p place) string {
	return unsafe.String(unsafe.SliceData(s.bytes[p.offset:]), p.length)
}

func (s *slab) use(offset uint16) {
	word, bit := &s.used[offset/granule/64], uint64(1)<<(offset/granule%64)
	if word.Load()&bit == 0 { // in most cases it is set, and a read keeps the cache line shared
		word.Or(bit)
	}
}

func (s *slab) wasUsed(offset uint16) bool {
	return s.used[offset/granule/64].Load()&(1<<(offset/granule%64)) != 0
}
