package service

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

const (
	// signingLead is how long a new key is published before it signs, so that no
	// one who follows the key set refuses its tokens: neither the nodes, which
	// learn of it within signingNews, nor those who keep a copy for SigningAge.
	signingLead = time.Minute
	signingNews = 10 * time.Second

	// SigningAge is how long a copy of the key set may be kept.
	SigningAge = signingLead - signingNews

	// signingOverlap is how long a key that signs no more is still believed: more
	// than its last token lives, by all clocks.
	signingOverlap = jwt.Lifetime + 5*time.Minute
)

// signingReload bounds how often a token that no known key signed makes the
// node ask the database for keys that another node has added.
const signingReload = 5 * time.Second

// signingReadLimit is how long a request waits for keys to be read again.
const signingReadLimit = 2 * time.Second

// issuerSetting is the issuer in access tokens if no public URL is set.
const issuerSetting = "issuer"

// KeepIssuer returns the issuer of access tokens for an instance without a
// public URL. Its nodes have different addresses, and one node may have another
// after each start; but all must use and accept the same issuer. So it is the
// address of the node that served first, stored in the database permanently.
func KeepIssuer(ctx context.Context, store *repository.Store, address string) (string, error) {
	err := store.AddSetting(ctx, issuerSetting, []byte(address))
	if domain.CodeOf(err) == domain.CodeConflict {
		kept, err := store.GetSetting(ctx, issuerSetting)
		return string(kept), err
	}
	return address, err
}

// signing holds the keys that sign access tokens, as this node last read them.
type signing struct {
	issuer string

	loading   sync.Mutex // so that what was read later is known later
	rereading sync.Mutex // so that requests wait for one reading

	mu     sync.Mutex
	all    []jwt.Key // newest first
	keys   jwt.KeySet
	until  time.Time // when keys has to be made anew, since one begins or ends; zero: never
	loaded time.Time // zero: another node has changed them since
	heard  int       // how often others have changed them
	failed time.Time // when they could not be read again; zero: they could
}

// arrange makes the key set for a moment: the newest key that has been published
// for long enough signs, or the oldest where none has; those behind it verify
// for a while longer.
func (s *signing) arrange(now time.Time) {
	signs := len(s.all) - 1
	for i, k := range s.all {
		if !now.Before(k.CreatedAt.Add(signingLead)) {
			signs = i
			break
		}
	}
	s.until = time.Time{}
	changes := func(at time.Time) {
		if s.until.IsZero() || at.Before(s.until) {
			s.until = at
		}
	}
	var others []jwt.Key
	for i, k := range s.all {
		switch {
		case i < signs:
			changes(k.CreatedAt.Add(signingLead))
			others = append(others, k)
		case i > signs:
			if end := retired(s.all, i); now.Before(end) {
				changes(end)
				others = append(others, k)
			}
		}
	}
	s.keys = jwt.NewKeySet(s.issuer, s.all[signs], others...)
}

// retired is when the i-th newest key is not believed any more: a while after its
// successor began to sign.
func retired(all []jwt.Key, i int) time.Time {
	return all[i-1].CreatedAt.Add(signingLead + signingOverlap)
}

// outdate makes the next token that no known key signed have the keys read
// again, whenever they were read last.
func (s *signing) outdate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = time.Time{}
	s.heard++
}

// changes returns how often outdate was called.
func (s *signing) changes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// JWKS returns the public parts of the keys that sign access tokens, of the one
// that is about to and of those that did until lately.
func (a *App) JWKS(ctx context.Context) jwt.JWKS {
	a.heedRotation(ctx)
	return a.keySet().JWKS()
}

func (a *App) keySet() jwt.KeySet {
	a.signing.mu.Lock()
	defer a.signing.mu.Unlock()
	if now := a.clock(); !a.signing.until.IsZero() && !now.Before(a.signing.until) {
		a.signing.arrange(now)
	}
	return a.signing.keys
}

// heedRotation reads the keys again if another node has changed them. If that
// fails, it continues with the known ones.
func (a *App) heedRotation(ctx context.Context) {
	a.signing.mu.Lock()
	outdated := a.signing.loaded.IsZero()
	a.signing.mu.Unlock()
	if !outdated {
		return
	}
	if err := a.rereadSigningKeys(ctx); err != nil && !errors.Is(err, errReadLately) {
		a.log.WarnContext(ctx, "the keys that sign access tokens could not be read again", "error", err)
	}
}

// RotateSigningKey adds a key that will sign access tokens; tokens that the
// current key signed remain valid. atOnce means that the current key is not to
// be trusted: it and all earlier keys are removed, their tokens become invalid,
// and sessions continue by refreshing. Only the command line may call it. It
// returns the id of the new key.
func (a *App) RotateSigningKey(ctx context.Context, caller domain.Principal, atOnce bool) (string, error) {
	if err := requireSystem(caller); err != nil {
		return "", err
	}
	key := jwt.NewKey(a.now())
	err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		stored, err := tx.ListSigningKeys(ctx)
		if err != nil {
			return err
		}
		if err := tx.AddSigningKey(ctx, a.sealed(key)); err != nil {
			return err
		}
		changes := domain.Changes{"keys": {len(stored), 1}}
		if !atOnce {
			stored = a.outlived(stored)
			changes = nil
		}
		for _, s := range stored {
			if err := tx.DeleteSigningKey(ctx, s.ID); err != nil {
				return err
			}
		}
		return a.record(ctx, tx, caller, domain.Event{
			Action: "signing_key.rotated", Target: domain.Target{Kind: "signing_key", ID: key.ID, Name: key.ID}, Changes: changes,
		})
	})
	if err != nil {
		return "", err
	}
	if err := a.loadSigningKeys(ctx); err != nil {
		// The key is there: this process learns of it as the others do.
		a.log.WarnContext(ctx, "the new key that signs access tokens is not known to this process yet", "error", err)
	}
	return key.ID, nil
}

// outlived returns those of the keys, newest first, that are no longer
// accepted.
func (a *App) outlived(stored []repository.SigningKey) []repository.SigningKey {
	for i := 1; i < len(stored); i++ {
		if !a.now().Before(stored[i-1].CreatedAt.Add(signingLead + signingOverlap)) {
			return stored[i:]
		}
	}
	return nil
}

func (a *App) sealed(k jwt.Key) repository.SigningKey {
	return repository.SigningKey{ID: k.ID, SealedPrivate: a.keyring.seal(k.Private.Seed(), "signing-key "+k.ID), CreatedAt: k.CreatedAt}
}

// loadSigningKeys reads the keys, making the first one for a new database.
func (a *App) loadSigningKeys(ctx context.Context) error {
	a.signing.loading.Lock()
	defer a.signing.loading.Unlock()
	heard := a.signing.changes()
	stored, err := a.store.ListSigningKeys(ctx)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		if err := a.store.AddSigningKey(ctx, a.sealed(jwt.NewKey(a.now()))); err != nil {
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
	a.signing.mu.Lock()
	defer a.signing.mu.Unlock()
	a.signing.all = keys
	a.signing.arrange(a.clock())
	a.signing.failed = time.Time{}
	if a.signing.heard == heard { // else what was read may be from before the change
		a.signing.loaded = a.clock()
	}
	return nil
}

// verifyAccessToken returns what an access token says. One that no known key
// signed may be of a key that another node has just added, so the keys are read
// again, now and then.
func (a *App) verifyAccessToken(ctx context.Context, token string) (jwt.Claims, error) {
	a.heedRotation(ctx)
	claims, err := a.keySet().Verify(token, a.now())
	if err == nil && a.Sync() == NotFollowing { // no note says that the key was given up
		if err := a.loadSigningKeys(ctx); err != nil {
			return jwt.Claims{}, err
		}
		return a.keySet().Verify(token, a.now())
	}
	if !errors.Is(err, jwt.ErrUnknownKey) || !a.signingKeysMayBeOld() {
		return claims, err
	}
	if err := a.rereadSigningKeys(ctx); err != nil {
		return jwt.Claims{}, err
	}
	return a.keySet().Verify(token, a.now())
}

func (a *App) signingKeysMayBeOld() bool {
	a.signing.mu.Lock()
	defer a.signing.mu.Unlock()
	return a.clock().Sub(a.signing.loaded) > signingReload
}

// errReadLately is why keys are not read again.
var errReadLately = errors.New("the keys that sign access tokens could not be read again a moment ago")

// rereadSigningKeys reads the keys again, unless another request has just done
// so or has just failed to: however many tokens of unknown keys arrive, the
// database is asked rarely.
func (a *App) rereadSigningKeys(ctx context.Context) error {
	a.signing.rereading.Lock()
	defer a.signing.rereading.Unlock()
	if !a.signingKeysMayBeOld() {
		return nil
	}
	a.signing.mu.Lock()
	failed := a.signing.failed
	a.signing.mu.Unlock()
	if !failed.IsZero() && a.clock().Sub(failed) <= signingReload {
		return domain.Unavailable(errReadLately)
	}
	ctx, cancel := context.WithTimeout(ctx, signingReadLimit)
	defer cancel()
	err := a.loadSigningKeys(ctx)
	if err != nil {
		a.signing.mu.Lock()
		a.signing.failed = a.clock()
		a.signing.mu.Unlock()
	}
	return err
}
