package service

import (
	"context"
	"crypto/hmac"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// serviceTokenKept is how long a proved service token is remembered, and how far the
// recorded last use of it may lag behind.
const serviceTokenKept = 5 * time.Minute

// userOfServiceToken returns the user of a service token, and until when that may be
// remembered. A token that this instance never made costs no query: it lacks the tag.
// One that was deleted costs a single one, since it never works again.
func (a *App) userOfServiceToken(ctx context.Context, text string) (*domain.CallingUser, time.Time, error) {
	now := a.now()
	token, err := domain.ParseToken(text)
	if err != nil || !token.TaggedBy(a.keyring.serviceTag) || a.deleted.has(token.ID()) {
		return nil, now, errServiceToken()
	}
	secret, err := a.store.ServiceSecret(ctx, token.ID())
	if domain.CodeOf(err) == domain.CodeNotFound {
		a.deleted.add(token.ID())
		return nil, now, errServiceToken()
	}
	if err != nil {
		return nil, now, err
	}
	if !hmac.Equal(secret.Digest, a.keyring.serviceDigest(secret.Session, token)) {
		return nil, now, errServiceToken()
	}
	caller, err := a.callingUser(ctx, secret.Session)
	if domain.CodeOf(err) == domain.CodeInvalidToken {
		return nil, now, errServiceToken()
	}
	if err != nil {
		return nil, now, err
	}
	if now.Sub(secret.LastUsedAt) > serviceTokenKept {
		if err := a.store.UseServiceToken(ctx, token.ID(), now); err != nil {
			a.log.WarnContext(ctx, "the last use of a service token could not be recorded", "error", err)
		}
	}
	return caller, now.Add(serviceTokenKept), nil
}

func errServiceToken() error {
	return domain.Refused(domain.CodeInvalidToken,
		"The service token is not valid: it was deleted, it has expired, or its service account is disabled.")
}

// maxDeleted bounds how many deleted tokens are remembered. Only tokens that this
// instance has made are.
const maxDeleted = 4096

// deletedTokens are ids of service tokens that were asked for and do not exist.
type deletedTokens struct {
	mu  sync.Mutex
	ids map[domain.TokenID]bool
}

func (d *deletedTokens) has(id domain.TokenID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ids[id]
}

func (d *deletedTokens) add(id domain.TokenID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil || len(d.ids) >= maxDeleted {
		d.ids = map[domain.TokenID]bool{}
	}
	d.ids[id] = true
}
