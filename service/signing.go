package service

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

// signingReload bounds how often a token that no known key signed makes the
// node ask the database for keys that another node has added.
const signingReload = 5 * time.Second

// signing holds the keys that sign access tokens, as this node last read them.
type signing struct {
	issuer string

	mu     sync.Mutex
	keys   jwt.KeySet
	loaded time.Time
}

// outdate makes the next token that no known key signed have the keys read
// again, whenever they were read last.
func (s *signing) outdate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = time.Time{}
}

// JWKS returns the public parts of the keys that sign access tokens.
func (a *App) JWKS() jwt.JWKS { return a.keySet().JWKS() }

func (a *App) keySet() jwt.KeySet {
	a.signing.mu.Lock()
	defer a.signing.mu.Unlock()
	return a.signing.keys
}

// loadSigningKeys reads the keys, making the first one for a new database.
func (a *App) loadSigningKeys(ctx context.Context) error {
	stored, err := a.store.ListSigningKeys(ctx)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		key := jwt.NewKey(a.now())
		sealed := repository.SigningKey{ID: key.ID, SealedPrivate: a.keyring.seal(key.Private.Seed(), "signing-key "+key.ID), CreatedAt: key.CreatedAt}
		if err := a.store.AddSigningKey(ctx, sealed); err != nil {
			return err
		}
		// Another node may have done the same: read what both will see.
		if stored, err = a.store.ListSigningKeys(ctx); err != nil {
			return err
		}
	}
	keys := make([]jwt.Key, len(stored))
	for i, s := range stored {
		seed, err := a.keyring.unseal(s.SealedPrivate, "signing-key "+s.ID)
		if err != nil {
			return fmt.Errorf("unseal signing key %s: %w", s.ID, err)
		}
		keys[i] = jwt.Key{ID: s.ID, Private: ed25519.NewKeyFromSeed(seed), CreatedAt: s.CreatedAt}
	}
	set := jwt.NewKeySet(a.signing.issuer, keys[0], keys[1:]...)
	a.signing.mu.Lock()
	defer a.signing.mu.Unlock()
	a.signing.keys, a.signing.loaded = set, a.clock()
	return nil
}

// verifyAccessToken returns what an access token says. One that no known key
// signed may be of a key that another node has just added, so the keys are read
// again, now and then.
func (a *App) verifyAccessToken(ctx context.Context, token string) (jwt.Claims, error) {
	claims, err := a.keySet().Verify(token, a.now())
	if domain.CodeOf(err) != domain.CodeInvalidToken || !a.signingKeysMayBeOld() {
		return claims, err
	}
	if err := a.loadSigningKeys(ctx); err != nil {
		return jwt.Claims{}, err
	}
	return a.keySet().Verify(token, a.now())
}

func (a *App) signingKeysMayBeOld() bool {
	a.signing.mu.Lock()
	defer a.signing.mu.Unlock()
	return a.clock().Sub(a.signing.loaded) > signingReload
}
