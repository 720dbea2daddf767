package service

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"fmt"

	"github.com/latchkey-dev/latchkey/domain"
)

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

// matchImported returns the key if its imported secret is that of the token,
// else the zero one. A digest of Latchkey's may be compared from memory. A hash
// that awaits its first use is read again, since only the database has its
// parameters and knows whether it is still valid.
func (a *App) matchImported(ctx context.Context, key domain.ProvenKey, text string) (domain.ProvenKey, error) {
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
	return a.provenKey(ctx, secret, calling)
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
