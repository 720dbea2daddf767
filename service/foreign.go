package service

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// maxForeignToken is how long a token that was made elsewhere may be, in bytes.
const maxForeignToken = 512

// foreignHashing bounds the slow hashes of imported tokens: half of the cores
// stay free for other requests.
func foreignHashing() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// proveImported is prove for a token that was made elsewhere. If no project asks,
// a key that may be used is preferred to one that may not: a tenant who imports
// a hash and revokes the key must not shut out the clients of others.
func (a *App) proveImported(ctx context.Context, text string, asks domain.ProjectID, now time.Time) (domain.ProvenKey, error) {
	var others []domain.ProvenKey
	var unusable domain.ProvenKey
	for _, id := range a.candidates(text) {
		key, err := a.keyOf(ctx, id, now)
		if domain.CodeOf(err) == domain.CodeNotFound {
			a.near.imported.Remove(a.keyring.lookups(text), id)
			continue
		}
		if err != nil {
			return domain.ProvenKey{}, err
		}
		if asks != "" && key.Tenant().Project.ID != asks {
			others = append(others, key)
			continue
		}
		if key, err = a.proveCandidate(ctx, key, text); err != nil || !key.IsZero() && (asks != "" || key.Unusable(now) == "") {
			return key, err
		}
		if unusable.IsZero() {
			unusable = key
		}
	}
	for _, key := range others {
		if key, err := a.proveCandidate(ctx, key, text); err != nil || !key.IsZero() {
			return key, err
		}
	}
	if unusable.IsZero() {
		return domain.ProvenKey{}, invalidKey()
	}
	return unusable, nil
}

// candidates returns the secrets that a token may belong to, those imported
// first in front.
func (a *App) candidates(text string) []domain.TokenID {
	if len(text) > maxForeignToken || a.near.imported.Empty() {
		return nil
	}
	return a.near.imported.Find(a.keyring.lookups(text))
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
	if match, err := a.matchesForeign(ctx, secret, text); err != nil || !match {
		return domain.ProvenKey{}, err
	}
	return provenKey(secret, calling), nil
}

// matchesForeign reports whether an imported secret is that of the token.
func (a *App) matchesForeign(ctx context.Context, s domain.Secret, text string) (bool, error) {
	h := domain.ForeignHash{Algorithm: s.Algorithm, Parameters: s.Parameters}
	switch s.Algorithm {
	case domain.HMACSHA256: // another request was first to use it
		digest := a.keyring.tokenDigest(s.KeyID, s.ProjectID, text)
		return hmac.Equal(s.Digest, digest[:]), nil
	case domain.DjangoSHA512:
		digest := sha512.Sum512([]byte(text))
		h.Digest = digest[:]
	case domain.SHA256Hex, domain.SHA256Base64URL:
		digest := sha256.Sum256([]byte(text))
		h.Digest = digest[:]
	case domain.DjangoPBKDF2SHA256:
		iterations, salt, _ := strings.Cut(s.Parameters, "$")
		n, err := strconv.Atoi(iterations)
		if err != nil {
			return false, fmt.Errorf("the parameters of secret %s: %w", s.TokenID, err)
		}
		err = a.foreignHashing.take(ctx, func() (err error) {
			h.Digest, err = pbkdf2.Key(sha256.New, text, []byte(salt), n, sha256.Size)
			return err
		})
		if err != nil {
			return false, err
		}
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
