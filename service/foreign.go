package service

import (
	"context"
	"crypto/hmac"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/cache"
	"github.com/latchkey-dev/latchkey/service/fair"
)

const (
	// maxForeignToken is how long a token that was made elsewhere may be, in bytes.
	maxForeignToken = 512

	// maxSlowHashes is how many slow hashes one request computes at most. One that
	// has more secrets to compare continues where it ended when it is repeated.
	maxSlowHashes = 8
)

// foreign bounds the slow hashes of imported tokens. Each is charged to who asks:
// the project that verifies a token, or the network that sends one.
type foreign struct {
	gate  *fair.Gate // half of the cores stay free for other requests
	large *fair.Gate // hashes of up to 128 MiB are computed one at a time

	perLocator *fair.Budget // for a locator, no matter who asks
	perPayer   *fair.Budget // for a locator and a payer
	seed       maphash.Seed
	wrong      *cache.Wrong
}

func newForeign() *foreign {
	places := max(1, runtime.GOMAXPROCS(0)/2)
	bounds := fair.Bounds{
		Total:           places,
		PerPayer:        max(1, places/2),
		Waiting:         128,
		WaitingPerPayer: 32,
		Wait:            turnWait,
	}
	one := bounds
	one.Total, one.PerPayer = 1, 1
	return &foreign{
		gate:       fair.NewGate(bounds),
		large:      fair.NewGate(one),
		perLocator: fair.NewBudget(fair.Pace{Burst: 128, Emission: time.Second}),
		perPayer:   fair.NewBudget(fair.Pace{Burst: 32, Emission: 5 * time.Second}),
		seed:       maphash.MakeSeed(),
		wrong:      cache.NewWrong(),
	}
}

// proveImported is prove for a token that was made elsewhere. Cheap hashes are
// compared first, so that a secret that someone else imported with a slow one
// costs a token nothing once it has been used. If no project asks, a key that may
// be used is preferred to one that may not: a tenant who imports a hash and
// revokes the key must not shut out the clients of others.
func (a *App) proveImported(ctx context.Context, text string, asks asker) (domain.ProvenKey, error) {
	if err := a.importsFollowed(ctx); err != nil {
		return domain.ProvenKey{}, err
	}
	ids := a.candidates(text)
	if len(ids) == 0 {
		return domain.ProvenKey{}, invalidKey()
	}
	var unusable domain.ProvenKey
	var slow []domain.ProvenKey
	for _, id := range ids {
		key, err := a.keyOf(ctx, id, asks)
		if domain.CodeOf(err) == domain.CodeNotFound {
			a.near.imported.Remove(a.keyring.locators(text), id)
			continue
		}
		if err != nil {
			return domain.ProvenKey{}, err
		}
		if asks.project != "" && key.Tenant().Project.ID != asks.project {
			continue // what another project imported is nothing to the one that asks
		}
		if _, algorithm, _ := key.Digest(); algorithm.Slow() {
			slow = append(slow, key)
			continue
		}
		key, err = a.proveCandidate(ctx, key, text)
		if err != nil || !key.IsZero() && key.Unusable(asks.now) == "" {
			return key, err
		}
		if unusable.IsZero() {
			unusable = key
		}
	}
	key, err := a.proveSlow(ctx, text, slow, asks)
	if err != nil || !key.IsZero() && (unusable.IsZero() || key.Unusable(asks.now) == "") {
		return key, err
	}
	if unusable.IsZero() {
		return domain.ProvenKey{}, invalidKey()
	}
	return unusable, nil
}

// proveSlow compares the token with secrets whose hashes cost time, those of
// people and organizations with few of them first: a person who imports a prefix
// of another tenant's many times, into however many organizations, waits longer
// than the one who has one key. It remembers tokens that fit none, until another
// key is imported.
func (a *App) proveSlow(ctx context.Context, text string, slow []domain.ProvenKey, asks asker) (unusable domain.ProvenKey, err error) {
	if len(slow) == 0 {
		return domain.ProvenKey{}, nil
	}
	state := a.near.imported.Added()<<16 | uint64(len(slow)) // else they are others, or in another order
	token := maphash.String(a.foreign.seed, string(asks.project)+"\x00"+text)
	done := a.foreign.wrong.Compared(token, state)
	fewestFirst(slow)
	for i := done; i < len(slow); i++ {
		if i == done+maxSlowHashes {
			return unusable, &domain.Error{
				Code: domain.CodeUnavailable, Detail: "This API key takes long to look for. Send it again.", RetryAfter: time.Second,
			}
		}
		key, err := a.proveSlowly(ctx, slow[i], text, asks)
		if err != nil || !key.IsZero() && key.Unusable(asks.now) == "" {
			return key, err
		}
		if unusable.IsZero() {
			unusable = key
		}
		if unusable.IsZero() {
			a.foreign.wrong.Note(token, state, i+1)
		}
	}
	return unusable, nil
}

// fewestFirst sorts keys by how many of them their organization has, or the person
// who imported them, whichever is more. What the operator imports counts for the
// organization alone.
func fewestFirst(keys []domain.ProvenKey) {
	owners := make(map[domain.TokenID][2]string, len(keys))
	count := map[string]int{}
	for _, key := range keys {
		of := [2]string{string(key.Tenant().Organization.ID), ""}
		if by := key.Key().CreatedBy; by.Kind != domain.ActorSystem {
			of[1] = by.ID
		}
		owners[key.TokenID()] = of
		count[of[0]]++
		if of[1] != "" {
			count[of[1]]++
		}
	}
	weight := func(key domain.ProvenKey) int {
		of := owners[key.TokenID()]
		return max(count[of[0]], count[of[1]])
	}
	slices.SortStableFunc(keys, func(x, y domain.ProvenKey) int { return weight(x) - weight(y) })
}

// proveSlowly is proveCandidate for a hash that is charged to a payer.
func (a *App) proveSlowly(ctx context.Context, key domain.ProvenKey, text string, asks asker) (domain.ProvenKey, error) {
	locator, payer := djangoLocator(prefixOf(text)), asks.payer()
	wait := a.foreign.perPayer.Spend(fair.Payer(locator+"\x00"+string(payer)), asks.now)
	if wait == 0 {
		wait = a.foreign.perLocator.Spend(fair.Payer(locator), asks.now)
	}
	if wait > 0 {
		return domain.ProvenKey{}, &domain.Error{
			Code: domain.CodeUnavailable, Detail: "Too many API keys with this prefix were tried. Try again later.", RetryAfter: wait,
		}
	}
	gate := a.foreign.gate
	if _, algorithm, _ := key.Digest(); algorithm == domain.DjangoArgon2 || algorithm == domain.DjangoScrypt {
		gate = a.foreign.large
	}
	leave, err := gate.Enter(ctx, payer)
	if err != nil {
		return domain.ProvenKey{}, err
	}
	defer leave()
	return a.proveCandidate(ctx, key, text)
}

// candidates returns the secrets that a token may belong to, those imported
// first in front.
func (a *App) candidates(text string) []domain.TokenID {
	if len(text) > maxForeignToken || a.near.imported.Empty() {
		return nil
	}
	return a.near.imported.Find(a.keyring.locators(text))
}

// proveCandidate returns the key if its imported secret is that of the token,
// else the zero one. A digest of Latchkey's may be compared from memory. A hash
// that awaits its first use is read again, since only the database has its
// parameters and knows whether it is still valid.
func (a *App) proveCandidate(ctx context.Context, key domain.ProvenKey, text string) (domain.ProvenKey, error) {
	if _, algorithm, _ := key.Digest(); algorithm == domain.HMACSHA256 {
		if !a.matches(key, text) {
			return domain.ProvenKey{}, nil
		}
		return key, nil
	}
	secret, calling, err := a.store.CallingKey(ctx, key.TokenID())
	if domain.CodeOf(err) == domain.CodeNotFound {
		return domain.ProvenKey{}, nil
	}
	if err != nil {
		return domain.ProvenKey{}, err
	}
	if match, err := a.matchesForeign(secret, text); err != nil || !match {
		return domain.ProvenKey{}, err
	}
	return provenKey(secret, calling), nil
}

// matchesForeign reports whether an imported secret is that of the token.
func (a *App) matchesForeign(s domain.Secret, text string) (bool, error) {
	if s.Algorithm == domain.HMACSHA256 { // another request was first to use it
		digest := a.keyring.tokenDigest(s.KeyID, s.ProjectID, text)
		return hmac.Equal(s.Digest, digest[:]), nil
	}
	h := domain.ForeignHash{Algorithm: s.Algorithm, Parameters: s.Parameters}
	var err error
	if h.Digest, err = foreignDigest(h, text); err != nil {
		return false, fmt.Errorf("the parameters of secret %s: %w", s.TokenID, err)
	}
	return hmac.Equal(s.Digest, a.keyring.importedDigest(s.KeyID, s.ProjectID, h)), nil
}

// rehash replaces the wrapped hash of an imported secret by a digest of
// Latchkey's, now that its token is known to be good. When that fails, the next
// use tries again; when another request has done it, nothing is left to do.
func (a *App) rehash(ctx context.Context, key domain.ProvenKey, text string) {
	old, scope := key.Secret(), key.Tenant().Project.Scope()
	ours := old
	ours.Algorithm, ours.PepperVersion = domain.HMACSHA256, pepperVersion
	digest := a.keyring.tokenDigest(old.KeyID, old.ProjectID, text)
	ours.Digest = digest[:]
	if err := a.store.RehashSecret(ctx, scope, old, ours); err != nil && domain.CodeOf(err) != domain.CodeConflict {
		a.log.WarnContext(ctx, "an imported key keeps its old hash until it is used again", "key", old.KeyID, "error", err)
	}
}
