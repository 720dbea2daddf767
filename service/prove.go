package service

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// ProveKey returns the key that proves itself with token, with its project and
// organization. Errors: invalid_api_key for a token that no key has; key_revoked,
// key_expired (also a retired secret) and project_disabled (also its
// organization) only after the secret has been proved; unavailable when it
// cannot be known. The work that a token costs which is not known is charged to
// the network of the sender; nil is for what the program does itself. For a key
// that is kept in memory it allocates nothing.
func (a *App) ProveKey(ctx context.Context, token string, from Sender) (domain.ProvenKey, error) {
	now := a.now()
	key, err := a.prove(ctx, token, asker{from: from, now: now})
	if err != nil {
		return domain.ProvenKey{}, err
	}
	code := key.Unusable(now)
	if code == "" {
		a.used(ctx, key, token, now)
		return key, nil
	}
	a.usage.meter.Count(key, domain.OutcomeOf(code))
	switch code {
	case domain.CodeKeyRevoked:
		return domain.ProvenKey{}, domain.Refused(code, "The API key has been revoked.")
	case domain.CodeKeyExpired:
		return domain.ProvenKey{}, domain.Refused(code, "The API key has expired.")
	default:
		return domain.ProvenKey{}, domain.Refused(code, "The project of this API key, or its organization, is disabled.")
	}
}

// Sender knows the address that a request comes from. It is asked only when
// there is something to charge for.
type Sender interface{ RealIP() string }

// asker is who asks about a token, and when.
type asker struct {
	project domain.ProjectID // whose key is preferred; empty: no project in particular
	from    Sender
	now     time.Time
}

// payer returns who is charged for the work.
func (a asker) payer() fair.Payer {
	switch {
	case a.project != "":
		return fair.Payer(a.project)
	case a.from != nil:
		return fair.Network(a.from.RealIP())
	}
	return ""
}

// prove is the one way from a token to its key: first as a token that was made
// here, whose id names its secret, then as one that was imported. It returns the
// key once the secret is proved, whether or not the key may still be used.
// Several projects may have imported one token: a project that asks gets its own
// key or none.
func (a *App) prove(ctx context.Context, text string, asks asker) (domain.ProvenKey, error) {
	token, err := domain.ParseToken(text)
	if err != nil {
		return a.proveImported(ctx, text, asks)
	}
	key, err := a.keyOfToken(ctx, token, asks)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return a.proveImported(ctx, text, asks)
	}
	if err != nil {
		return domain.ProvenKey{}, err
	}
	if !a.matches(key, text) {
		return domain.ProvenKey{}, invalidKey()
	}
	return key, nil
}

// matches reports whether the token is that of the key, whose digest must be one
// of Latchkey's.
func (a *App) matches(key domain.ProvenKey, text string) bool {
	want, algorithm, _ := key.Digest()
	got := a.keyring.tokenDigest(key.ID(), key.Tenant().Project.ID, text)
	return algorithm == domain.HMACSHA256 && equal(want, got)
}

// equal compares in constant time.
func equal(want string, got [domain.DigestLength]byte) bool {
	w := [domain.DigestLength]byte([]byte(want))
	return subtle.ConstantTimeCompare(w[:], got[:]) == 1
}

// used notes that a token has proved a usable key.
func (a *App) used(ctx context.Context, key domain.ProvenKey, text string, now time.Time) {
	a.usage.meter.Use(key, now)
	if _, algorithm, _ := key.Digest(); algorithm != domain.HMACSHA256 {
		a.rehash(ctx, key, text)
	}
}

func invalidKey() error { return domain.Refused(domain.CodeInvalidAPIKey, "The API key is not valid.") }
