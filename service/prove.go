package service

import (
	"context"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// ProveKey returns the key that proves itself with token, with its project and
// organization. Errors: invalid_api_key for a token that no key has; key_revoked,
// key_expired (also a retired secret), project_disabled (also its organization) and
// address_not_allowed only after the secret has been proved; unavailable when it
// cannot be known. The work that a token costs which is not known is charged to
// the network of the sender; nil is for what the program does itself, which has no
// address. For a key
// that is kept in memory it allocates nothing.
func (a *App) ProveKey(ctx context.Context, token string, from Sender) (domain.ProvenKey, error) {
	now := a.now()
	key, err := a.prove(ctx, token, asker{from: from, now: now})
	if err != nil {
		a.calls.refused(err)
		return domain.ProvenKey{}, err
	}
	return a.usable(ctx, key, token, from, now)
}

// usable returns a proven key if it may be used now and from there, and counts why if it
// may not.
func (a *App) usable(ctx context.Context, key domain.ProvenKey, token string, from Sender, now time.Time) (domain.ProvenKey, error) {
	code := key.Unusable(now)
	if code == "" && !mayCome(key, from) {
		code = domain.CodeAddressNotAllowed
	}
	if code == "" {
		a.calls.count(domain.OutcomeValid)
		a.used(ctx, key, token, now)
		return key, nil
	}
	a.calls.count(domain.OutcomeOf(code))
	a.usage.meter.Count(key, domain.OutcomeOf(code))
	return domain.ProvenKey{}, unusable(code)
}

// unusable returns the error for a key that is proved and may not be used.
func unusable(code domain.Code) error {
	switch code {
	case domain.CodeKeyRevoked:
		return domain.Refused(code, "The API key has been revoked.")
	case domain.CodeKeyExpired:
		return domain.Refused(code, "The API key has expired.")
	case domain.CodeAddressNotAllowed:
		return domain.Errorf(code, "The API key may not be used from the address that the request comes from.")
	default:
		return domain.Refused(code, "The project of this API key, or its organization, is disabled.")
	}
}

// Sender knows the address that a request comes from. It is asked only when
// there is something to charge for.
type Sender interface{ RealIP() string }

// mayCome reports whether the key may be used from the sender's address.
func mayCome(key domain.ProvenKey, from Sender) bool {
	if !key.Bound() {
		return true
	}
	var address netip.Addr
	if from != nil {
		address, _ = domain.ParseAddress(from.RealIP()) // otherwise it is not known
	}
	return key.Allows(address)
}

// prove is the one way from a token to its key: first as a token that was made
// here, whose id names its secret, then as one that was imported. It returns the
// key once the secret is proved, whether or not the key may still be used.
func (a *App) prove(ctx context.Context, text string, asks asker) (domain.ProvenKey, error) {
	if token, err := domain.ParseToken(text); err == nil {
		key, err := a.keyOfToken(ctx, token, asks)
		switch {
		case err == nil && a.matches(key, text):
			return key, nil
		case err == nil:
			return domain.ProvenKey{}, invalidKey()
		case domain.CodeOf(err) != domain.CodeNotFound:
			return domain.ProvenKey{}, err
		}
	}
	return a.proveImported(ctx, text, asks)
}

// proveImported is prove for a token that was made elsewhere. Several projects may
// have imported it: a project that asks gets its own key or none. If no project
// asks, a key that may be used is preferred to one that may not: a tenant who
// imports a hash and revokes the key must not shut out the clients of others.
// Cheap hashes are compared first, so that a secret that someone else imported
// with a slow one costs a token nothing once it has been used.
func (a *App) proveImported(ctx context.Context, text string, asks asker) (domain.ProvenKey, error) {
	if err := a.importsFollowed(ctx); err != nil {
		return domain.ProvenKey{}, err
	}
	imports := a.near.imported.Added()
	if imports == 0 {
		return domain.ProvenKey{}, invalidKey()
	}
	var unusable domain.ProvenKey
	var slow []domain.ProvenKey
	for key, err := range a.importedKeys(ctx, text, asks) {
		if err != nil {
			return domain.ProvenKey{}, err
		}
		if _, algorithm, _ := key.Digest(); algorithm.Slow() {
			slow = append(slow, key)
			continue
		}
		key, err = a.matchImported(ctx, key, text)
		if err != nil || !key.IsZero() && key.Unusable(asks.now) == "" {
			return key, err
		}
		if unusable.IsZero() {
			unusable = key
		}
	}
	key, err := a.proveSlow(ctx, text, slow, imports, asks)
	if err != nil || !key.IsZero() && (unusable.IsZero() || key.Unusable(asks.now) == "") {
		return key, err
	}
	if unusable.IsZero() {
		return domain.ProvenKey{}, invalidKey()
	}
	return unusable, nil
}

// used notes that a token has proved a usable key; the text is empty if it was an
// access token.
func (a *App) used(ctx context.Context, key domain.ProvenKey, text string, now time.Time) {
	a.usage.meter.Use(key, now)
	if _, algorithm, _ := key.Digest(); algorithm != domain.HMACSHA256 && text != "" {
		a.rehash(ctx, key, text)
	}
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

func invalidKey() error { return domain.Refused(domain.CodeInvalidAPIKey, "The API key is not valid.") }
