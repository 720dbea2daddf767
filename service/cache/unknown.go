package cache

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	// unknownFor is how long an id that does not exist is remembered, and so how
	// late at worst a node takes a token that somebody had tried here before it
	// was imported. The table is small: it is there for the same token sent again
	// and again.
	unknownFor   = 2 * time.Second
	unknownSlots = 4096

	// futileLimit bounds the look-ups of ids that turn out not to exist, in each
	// second. Guessing at ids then costs the database this much and no more; keys
	// that are not cached yet share the refusal while it lasts.
	futileLimit    = 2000
	futilePerPayer = 500 // of those, of one payer
)

// unknown remembers one id that does not exist, until it has been too long or
// another takes its slot.
type unknown struct {
	mu    sync.Mutex
	id    id
	until time.Time
}

func (k *Keys) unknownSlot(i id) *unknown {
	return &k.unknown[maphash.Comparable(k.seed, i)/shards%unknownSlots]
}

func (k *Keys) isUnknown(i id, now time.Time) bool {
	u := k.unknownSlot(i)
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.id == i && now.Before(u.until)
}

func (k *Keys) setUnknown(i id, now time.Time) {
	u := k.unknownSlot(i)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.id, u.until = i, now.Add(unknownFor)
}

// Known makes the cache take an id that it may remember as unknown for possible
// again, because a token with it has just been made here.
func (k *Keys) Known(token domain.TokenID) {
	if i, ok := newID(token); ok {
		u := k.unknownSlot(i)
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.id == i {
			u.until = time.Time{}
		}
	}
}
