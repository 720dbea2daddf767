package service

import (
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// identities keeps what APIs get about keys, since each has a signature in it. There are
// two generations: the newer one becomes the older one when it is full or as old as an
// identity may be.
type identities struct {
	mu           sync.RWMutex
	newer, older map[identityName]keptIdentity
	bytes        int       // of the newer one
	since        time.Time // when the newer one began
}

// identityName names what is kept: an API behind another route gets other scopes.
type identityName struct {
	token domain.TokenID
	route string
}

type keptIdentity struct {
	*Identity

	key      string // as it was packed
	audience string // of its project
	epoch    int64
	at       time.Time
}

const (
	identityAge   = forwardedLife / 2 // so the API gets a token that lives for at least as long
	maxIdentities = 32 << 20          // bytes of each generation
	identityCost  = 400               // bytes that an identity takes besides its texts, about
)

// get returns what is kept of a key, if neither the key nor its project has changed.
func (i *identities) get(name identityName, key domain.ProvenKey, now time.Time) *Identity {
	i.mu.RLock()
	kept, ok := i.newer[name]
	if !ok {
		kept, ok = i.older[name]
	}
	i.mu.RUnlock()
	project := &key.Tenant().Project
	if age := now.Sub(kept.at); !ok || age < 0 || age >= identityAge ||
		kept.key != key.Packed() || kept.epoch != project.TokenEpoch || kept.audience != project.Audience {
		return nil
	}
	return kept.Identity
}

func (i *identities) put(name identityName, key domain.ProvenKey, id *Identity, now time.Time) {
	name = identityName{domain.TokenID(strings.Clone(string(name.token))), strings.Clone(name.route)} // of the cache, and of a request
	project := &key.Tenant().Project
	kept := keptIdentity{id, strings.Clone(key.Packed()), project.Audience, project.TokenEpoch, now}
	i.mu.Lock()
	defer i.mu.Unlock()
	if age := now.Sub(i.since); i.newer == nil || i.bytes > maxIdentities || age < 0 || age >= identityAge {
		i.older, i.newer, i.bytes, i.since = i.newer, map[identityName]keptIdentity{}, 0, now
	}
	i.newer[name] = kept
	i.bytes += identityCost + len(name.token) + len(name.route) + len(kept.key) + len(id.Authorization) + len(id.ExternalID) + len(id.Scope)
}
