package service

import (
	"context"
	"crypto/hmac"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// issued is a key with the token just made for it. Of the two, only the key is
// ever stored.
type issued struct {
	Key   domain.Key
	token domain.Token
	made  bool // now, and not by the request that this one repeats
}

// issue hands out a token once. A caller that names the request by an
// Idempotency-Key, and did not ask for the token only once, gets the same token
// again while it works.
func (p *Project) issue(ctx context.Context, r request, tokenOnce bool, create attempt[issued]) (domain.Key, domain.Token, error) {
	// A node of 0.1 could not derive a token with a tag again.
	var err error
	if r.tagged, err = p.app.store.EveryNodeAtLeast(ctx, tagsSince); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	answer, err := once(ctx, p.app, r, create, p.reissue)
	if tokenOnce && !answer.made {
		return answer.Key, domain.Token{}, err
	}
	return answer.Key, answer.token, err
}

// reissue derives the token of an answer that was lost. It does not restore
// what has ended since.
func (p *Project) reissue(ctx context.Context, tx *repository.Store, answer *issued, random source) error {
	key, err := p.lockKey(ctx, tx, answer.Key.ID)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return errEnded()
	}
	if err != nil {
		return err
	}
	if err := p.requireToGive(key); err != nil {
		return err
	}
	if err := p.limitToken(ctx, tx, key); err != nil {
		return err
	}
	if !key.RevokedAt.IsZero() {
		return domain.Errorf(domain.CodeKeyRevoked, "The key was revoked after the first response.")
	}
	prefix, _, _ := strings.Cut(answer.Key.Prefix, "_")
	token, err := random.token(prefix, answer.Key.Environment)
	if err != nil {
		return err
	}
	live, err := tx.LiveSecrets(ctx, p.project.Scope(), key.ID, p.app.now())
	if err != nil {
		return err
	}
	digest := p.app.keyring.tokenDigest(key.ID, key.ProjectID, token.Reveal())
	if !slices.ContainsFunc(live, func(s domain.Secret) bool { return hmac.Equal(s.Digest, digest[:]) }) {
		return errEnded()
	}
	answer.token = token
	return nil
}

// addSecret stores what a key's new token is proved by.
func (p *Project) addSecret(ctx context.Context, tx *repository.Store, k domain.Key, t domain.Token, now time.Time) error {
	err := tx.AddSecret(ctx, p.project.Scope(), p.app.newSecret(k, t, now))
	if domain.CodeOf(err) == domain.CodeConflict {
		return errTaken
	}
	return err
}

// newSecret returns what is stored of a key's token.
func (a *App) newSecret(k domain.Key, t domain.Token, now time.Time) domain.Secret {
	digest := a.keyring.tokenDigest(k.ID, k.ProjectID, t.Reveal())
	return domain.Secret{
		TokenID:       t.ID(),
		ProjectID:     k.ProjectID,
		KeyID:         k.ID,
		Prefix:        t.Prefix(),
		Algorithm:     domain.HMACSHA256,
		PepperVersion: pepperVersion,
		Digest:        digest[:],
		Tagged:        t.TaggedBy(a.keyring.tag),
		CreatedAt:     now,
	}
}
