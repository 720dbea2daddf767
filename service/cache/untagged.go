package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

// Untagged is the index of the tokens without a tag, by their public ids: those
// of 0.1, until they are rotated. It keeps a hash of each id, which takes about
// 16 bytes of memory. It is safe for concurrent use.
type Untagged struct {
	seed maphash.Seed

	mu       sync.RWMutex
	ids      map[uint64]struct{}
	complete bool
	outdated int // how often it was outdated

	none atomic.Bool // it is complete and empty, which is read without the lock
}

// NewUntagged returns an index that is empty and incomplete.
func NewUntagged() *Untagged {
	return &Untagged{seed: maphash.MakeSeed(), ids: map[uint64]struct{}{}}
}

// Add adds tokens without a tag.
func (u *Untagged) Add(tokens ...domain.TokenID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range tokens {
		u.ids[maphash.String(u.seed, string(t))] = struct{}{}
	}
	u.note()
}

// note keeps none true. The caller holds the lock.
func (u *Untagged) note() { u.none.Store(u.complete && len(u.ids) == 0) }

// Remove removes a token that no longer exists.
func (u *Untagged) Remove(token domain.TokenID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ids, maphash.String(u.seed, string(token)))
	u.note()
}

// MayHave reports whether a token may have been made without a tag. It is true
// for every token while the index is incomplete.
func (u *Untagged) MayHave(token domain.TokenID) bool {
	if u.none.Load() {
		return false
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	_, found := u.ids[maphash.String(u.seed, string(token))]
	return found || !u.complete
}

// Outdate marks the index as incomplete until all tokens have been added again.
// It is for a node that may have missed tokens.
func (u *Untagged) Outdate() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.complete = false
	u.outdated++
	u.note()
}

// Since returns a moment in the life of the index, for Complete.
func (u *Untagged) Since() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.outdated
}

// Complete says that all tokens without a tag have been added, as read after
// the moment since. It does nothing if the index was outdated after that
// moment.
func (u *Untagged) Complete(since int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.complete = u.outdated == since
	u.note()
}
