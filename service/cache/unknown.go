package cache

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

const (
	// unknownFor is how long an id that does not exist is remembered. In the worst
	// case a node accepts an imported token this much later, if the token was tried
	// here before the import. The table is small: it is for the same token sent
	// repeatedly.
	unknownFor   = 2 * time.Second
	unknownSlots = 4096

	// futileLimit bounds, per second, the look-ups of ids that turn out not to
	// exist. So guessing ids costs the database this much and no more; requests for
	// keys that are not cached yet are refused, too, while it lasts.
	futileLimit    = 2000
	futilePerPayer = 500 // of those, for one payer
)

// unknown remembers one id that does not exist, until its time is over or
// another id takes its slot.
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

// Known makes the cache forget that an id does not exist, because a token with
// it has just been made here.
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

// TakeFutile takes a look-up of something else than a key from those that find
// nothing, and reports whether the payer has one left. GiveBackFutile gives it back
// when something was found.
func (k *Keys) TakeFutile(payer fair.Payer, now time.Time) bool { return k.futile.Take(payer, now) }

// GiveBackFutile gives back what TakeFutile took.
func (k *Keys) GiveBackFutile(payer fair.Payer) { k.futile.GiveBack(payer) }
