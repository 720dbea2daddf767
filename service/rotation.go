package service

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// RotateKey gives a key a new token, which is stored nowhere and cannot be had
// again; the key keeps its id, scopes, use and history. The current token works
// for the grace, so that callers can be moved over. Nothing that the key had
// before works longer than that: a grace of zero ends everything but the new token.
//
// At most two tokens work at a time. While one is retiring, a further rotation
// replaces the newest one if that has never been used, so that repeating a rotation
// whose answer was lost does not end the token that callers still send: it keeps
// its date, or the end of the grace where that is sooner. Otherwise the older one
// ends immediately.
//
// It needs keys:write, what requireToGive says, else scope_not_held, and what
// limitToken says. Errors: key_revoked, key_expired.
func (p *Project) RotateKey(ctx context.Context, id domain.KeyID, r domain.Rotation) (domain.Key, domain.Token, error) {
	if err := p.Authorize(domain.KeysWrite); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	if err := r.Validate(); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	grace := domain.DefaultGrace
	if r.Grace != nil {
		grace = *r.Grace
	}
	// A use that this node has not written yet decides which token may end.
	if err := p.app.recordFirstUses(ctx); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	request, err := p.app.newRequest(p.caller, r.IdempotencyKey.Reveal(), "rotateKey", id, grace)
	if err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	return p.issue(ctx, request, r.TokenOnce, func(ctx context.Context, tx *repository.Store, random source) (issued, error) {
		before, err := p.lockKey(ctx, tx, id)
		if err != nil {
			return issued{}, err
		}
		if err := p.precondition.Check(before.Revision); err != nil {
			return issued{}, err
		}
		now := p.app.now()
		if err := p.rotatable(before, now); err != nil {
			return issued{}, err
		}
		if err := p.limitToken(ctx, tx, before); err != nil {
			return issued{}, err
		}
		after := before
		if after.Retiring, err = p.retire(ctx, tx, id, now, grace); err != nil {
			return issued{}, err
		}
		token, err := random.token(p.project.KeyPrefix, before.Environment)
		if err != nil {
			return issued{}, err
		}
		after.Prefix, after.RotatedAt, after.LeakedAt, after.Revision = token.Prefix(), now, time.Time{}, before.Revision+1
		if err := tx.UpdateKey(ctx, p.project.Scope(), after); err != nil {
			return issued{}, err
		}
		if err := p.addSecret(ctx, tx, after, token, now); err != nil {
			return issued{}, err
		}
		was, is := keyFields(before), keyFields(after)
		if before.Retiring.Live(now) {
			was["retiring_until"] = moment(before.Retiring.ValidUntil)
		}
		is["retiring_until"] = moment(after.Retiring.ValidUntil)
		changes := domain.Diff(was, is)
		return issued{after, token, true}, p.record(ctx, tx, "key.rotated", after, changes)
	})
}

// rotatable says why a key can get no new token: it has ended, or the caller may
// not give away what it may do.
func (p *Project) rotatable(k domain.Key, now time.Time) error {
	switch k.Status(now) {
	case domain.KeyRevoked:
		return domain.Errorf(domain.CodeKeyRevoked, "The key has been revoked and can get no new token.")
	case domain.KeyExpired:
		return domain.Errorf(domain.CodeKeyExpired, "The key has expired. Move its expiry before you rotate it.")
	}
	return p.requireToGive(k)
}

// retire makes room for a new current secret and returns the one that works beside
// it, until the end of the grace at the latest.
func (p *Project) retire(
	ctx context.Context, tx *repository.Store, id domain.KeyID, now time.Time, grace time.Duration,
) (domain.Retiring, error) {
	secrets, err := tx.LiveSecrets(ctx, p.project.Scope(), id, now)
	if err != nil {
		return domain.Retiring{}, err
	}
	current, older := secrets[0], secrets[1:]
	kept, ended := current, older
	if len(older) > 0 && current.FirstUsedAt.IsZero() {
		kept, ended = older[0], slices.Concat(older[1:], secrets[:1])
	}
	for _, s := range ended {
		if err := tx.EndSecret(ctx, p.project.Scope(), s.TokenID, now); err != nil {
			return domain.Retiring{}, err
		}
	}
	until := now.Add(grace)
	retiring := domain.Retiring{Prefix: kept.Prefix, ValidUntil: until, LastUsedAt: kept.LastUsedAt}
	if !kept.ValidUntil.IsZero() && !kept.ValidUntil.After(until) {
		retiring.ValidUntil = kept.ValidUntil
		return retiring, nil
	}
	if err := tx.EndSecret(ctx, p.project.Scope(), kept.TokenID, until); err != nil || grace == 0 {
		return domain.Retiring{}, err
	}
	return retiring, nil
}
