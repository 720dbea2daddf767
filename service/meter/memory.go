package meter

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// DefaultStateBytes bounds the memory for the states of limits.
const DefaultStateBytes = 256 << 20

// memory is what the states of limits take, in all and of each project. A project that
// takes too much gives up states of its own: first those that are nearly as good as
// new. The states that it gives up leave a floor, with which its new ones begin, so
// that no limit has more units left than before, and no other project has fewer.
type memory struct {
	most  atomic.Int64 // bytes, of all projects; one of them may have half
	used  atomic.Int64
	clear sync.Mutex // held by the one that makes room

	projects atomic.Int64
	mu       sync.Mutex
	of       map[domain.ProjectID]*account
}

// account is what a project takes.
type account struct {
	memory *memory
	bytes  atomic.Int64
	floor  atomic.Int64 // the TAT that new states begin with
	asked  int64        // when it was last asked for, under the memory's mu

	// Under the memory's clear.
	cleared int64 // when it gave up states
	stuck   bool  // it had hardly any to give up
}

func newMemory() *memory {
	m := &memory{of: map[domain.ProjectID]*account{}}
	m.most.Store(DefaultStateBytes)
	return m
}

// Bound sets how many bytes the states of limits take, about. One project takes at most
// half of them.
func (m *Meter) Bound(bytes int) { m.memory.most.Store(int64(bytes)) }

// StateBytes returns how many bytes the states of limits take, about.
func (m *Meter) StateBytes() int64 { return m.memory.used.Load() }

// account returns the account of a project.
func (m *memory) account(id domain.ProjectID, now int64) *account {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, known := m.of[id]
	if !known {
		a = &account{memory: m}
		m.of[domain.ProjectID(strings.Clone(string(id)))] = a
		m.projects.Add(1)
	}
	a.asked = now
	return a
}

// nothing is the account of a project that takes no memory.
var nothing = &account{memory: &memory{}}

// find is like account, but makes none.
func (m *memory) find(id domain.ProjectID) *account {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, known := m.of[id]; known {
		return a
	}
	return nothing
}

// add counts bytes that are taken, or given back. The nil account counts nothing.
func (a *account) add(bytes int64) {
	if a != nil {
		a.bytes.Add(bytes)
		a.memory.used.Add(bytes)
	}
}

// full reports whether the project takes as much as it may: half of all, or an even
// share when all is taken.
func (a *account) full() bool {
	bytes, most := a.bytes.Load(), a.memory.most.Load()
	return bytes >= most/2 || a.memory.taken() && bytes >= most/a.memory.projects.Load()
}

// taken reports whether all is taken.
func (m *memory) taken() bool { return m.used.Load() >= m.most.Load() }

// sweep drops accounts of projects that have no states and whose floor is the ground.
func (m *memory) sweep(now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, a := range m.of {
		if a.bytes.Load() == 0 && a.floor.Load() <= now && now-a.asked > int64(time.Minute) {
			delete(m.of, id)
			m.projects.Add(-1)
		}
	}
}

// largest returns the account of the project that takes the most.
func (m *memory) largest() (most *account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.of {
		if most == nil || a.bytes.Load() > most.bytes.Load() {
			most = a
		}
	}
	return most
}

// roomEvery is how long the next attempt waits after one that made no room.
const roomEvery = int64(time.Second)

// makeRoom makes room if the project takes too much, or all together do: then the one
// that takes the most gives up states.
func (m *Meter) makeRoom(a *account, now int64) {
	if !a.full() && !m.memory.taken() {
		return
	}
	m.memory.clear.Lock()
	defer m.memory.clear.Unlock()
	switch {
	case a.full():
	case m.memory.taken():
		a = m.memory.largest()
	default:
		return // another request has made room
	}
	if a.stuck && now-a.cleared < roomEvery {
		return
	}
	before := a.bytes.Load()
	m.buckets.clear(a, now)
	m.balances.clear(a, now)
	a.cleared, a.stuck = now, a.bytes.Load() > before-before/8
}

// clear drops a quarter of a project's states, those whose TAT is the earliest.
func (b *buckets) clear(a *account, now int64) {
	var tats []int64
	b.each(func(_ *bucketShard, one *bucket) {
		if one.account == a {
			tats = append(tats, one.tat.Load())
		}
	})
	if len(tats) == 0 {
		return
	}
	slices.Sort(tats)
	last := tats[len(tats)/4]
	b.each(func(s *bucketShard, one *bucket) {
		if one.account != a || one.tat.Load() > last {
			return
		}
		if tat := s.drop(one); tat > now {
			a.floor.Store(max(a.floor.Load(), tat)) // under the lock of the shard, so a new state of this counter sees it
		}
	})
}

// each calls fn for all states, with their shards locked.
func (b *buckets) each(fn func(*bucketShard, *bucket)) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for _, one := range s.of {
			fn(s, one)
		}
		s.mu.Unlock()
	}
}
