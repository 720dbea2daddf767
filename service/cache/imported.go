package cache

import (
	"hash/maphash"
	"slices"
	"sync"

	"github.com/latchkey-dev/latchkey/domain"
)

// Imported is the index of tokens that were made elsewhere. Such a token does
// not name its secret, so it is found by locators: texts that are computed from
// it. The index keeps the ids of the secrets under a hash of each locator, so
// that a token that was never imported costs no query. It is safe for
// concurrent use.
type Imported struct {
	seed maphash.Seed

	mu    sync.RWMutex
	added uint64
	first map[uint64][12]byte         // most locators lead to one secret
	more  map[uint64][]domain.TokenID // and some to others after it
}

// NewImported returns an empty index.
func NewImported() *Imported {
	return &Imported{seed: maphash.MakeSeed(), first: map[uint64][12]byte{}, more: map[uint64][]domain.TokenID{}}
}

// Add records that a locator leads to a secret. The caller adds each pair once.
func (x *Imported) Add(locator string, secret domain.TokenID) {
	h := maphash.String(x.seed, locator)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.added++
	if _, taken := x.first[h]; taken {
		x.more[h] = append(x.more[h], secret)
	} else {
		x.first[h] = [12]byte([]byte(secret))
	}
}

// Added returns how many pairs have been added; as long as it is 0, no locator
// needs to be computed.
func (x *Imported) Added() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.added
}

// Find returns the secrets of the locators, in the order in which they were
// added to each.
func (x *Imported) Find(locators []string) (secrets []domain.TokenID) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, locator := range locators {
		h := maphash.String(x.seed, locator)
		if id, ok := x.first[h]; ok {
			secrets = append(append(secrets, domain.TokenID(id[:])), x.more[h]...)
		}
	}
	return secrets
}

// Remove removes a secret that no longer exists from the locators.
func (x *Imported) Remove(locators []string, gone domain.TokenID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, locator := range locators {
		h := maphash.String(x.seed, locator)
		more := slices.DeleteFunc(x.more[h], func(id domain.TokenID) bool { return id == gone })
		if first := x.first[h]; domain.TokenID(first[:]) == gone {
			if len(more) == 0 {
				delete(x.first, h)
			} else {
				x.first[h], more = [12]byte([]byte(more[0])), more[1:]
			}
		}
		if x.more[h] = more; len(more) == 0 {
			delete(x.more, h)
		}
	}
}
