package service

import (
	"context"
	"maps"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// CreateKey makes a key of the project and returns it with its token, which is
// stored nowhere and cannot be had again but by the same Idempotency-Key; the
// zero token says that the key was made before (see TokenOnce). It needs
// keys:write and every scope that the key is to hold, else scope_not_held; and what
// limitNew says for a plan and limits.
func (p *Project) CreateKey(ctx context.Context, spec domain.KeySpec) (domain.Key, domain.Token, error) {
	if err := p.Authorize(domain.KeysWrite); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	if spec.Environment == "" {
		spec.Environment = domain.Live
	}
	if err := spec.Validate(); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	spec.Scopes = domain.DistinctScopes(spec.Scopes)
	now := p.app.now()
	key := spec.Key()
	key.ID, key.ProjectID, key.CreatedAt, key.CreatedBy = domain.NewID[domain.KeyID](now), p.project.ID, now, p.caller.Actor()
	key.Scopes, key.Metadata = append([]domain.Scope{}, spec.Scopes...), maps.Collect(maps.All(spec.Metadata))
	key.AllowedIPs = domain.DistinctNetworks(spec.AllowedIPs)
	key.ExpiresAt, key.Revision = spec.ExpiresAt.Truncate(time.Microsecond), 1
	if err := p.requireToGive(key); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	r, err := p.app.newRequest(p.caller, spec.IdempotencyKey.Reveal(), "createKey", p.project.ID, spec)
	if err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	return p.issue(ctx, r, spec.TokenOnce, func(ctx context.Context, tx *repository.Store, random source) (issued, error) {
		if err := p.limitNew(ctx, tx, &key, spec); err != nil {
			return issued{}, err
		}
		token, err := random.token(p.project.KeyPrefix, spec.Environment)
		if err != nil {
			return issued{}, err
		}
		key.Prefix = token.Prefix()
		if err := tx.CreateKey(ctx, p.project.Scope(), key); err != nil {
			return issued{}, err
		}
		if err := p.addSecret(ctx, tx, key, token, now); err != nil {
			return issued{}, err
		}
		return issued{key, token, true}, p.record(ctx, tx, "key.created", key, domain.Diff(nil, keyFields(key)))
	})
}

// ListKeys returns the project's keys that pass the filter, newest first. It
// needs keys:read.
func (p *Project) ListKeys(ctx context.Context, f domain.KeyFilter, page domain.Page) (domain.List[domain.Key], error) {
	if err := p.Authorize(domain.KeysRead); err != nil {
		return domain.List[domain.Key]{}, err
	}
	if err := f.Validate(); err != nil {
		return domain.List[domain.Key]{}, err
	}
	return p.app.store.ListKeys(ctx, p.project.Scope(), f, page, p.app.now())
}

// CountKeys returns how many keys the project has, of any status. It needs
// keys:read.
func (p *Project) CountKeys(ctx context.Context) (int, error) {
	if err := p.Authorize(domain.KeysRead); err != nil {
		return 0, err
	}
	return p.app.store.CountKeys(ctx, p.project.Scope())
}

// CountKeys returns how many keys the instance has, of any status. Only the
// command line may.
func (a *App) CountKeys(ctx context.Context, caller domain.Principal) (int, error) {
	if err := requireSystem(caller); err != nil {
		return 0, err
	}
	return a.store.CountAllKeys(ctx)
}

// KeyStatistics returns the project's keys in numbers: how many there are, and
// the days from since on that changed or will change that. It needs keys:read.
func (p *Project) KeyStatistics(ctx context.Context, since time.Time) (domain.KeyStatistics, error) {
	if err := p.Authorize(domain.KeysRead); err != nil {
		return domain.KeyStatistics{}, err
	}
	return p.app.store.KeyStatistics(ctx, p.project.Scope(), since, p.app.now())
}

// GetKey returns a key of the project. It needs keys:read.
func (p *Project) GetKey(ctx context.Context, id domain.KeyID) (domain.Key, error) {
	if err := p.Authorize(domain.KeysRead); err != nil {
		return domain.Key{}, err
	}
	return p.app.store.GetKey(ctx, p.project.Scope(), id)
}

// UpdateKey changes what a key is called and may do. A revoked key is read-only
// (key_revoked). It needs keys:write; what makes the key do more or last longer
// needs what requireWidening says, else scope_not_held; a key needs all scopes that
// the other one has, too.
func (p *Project) UpdateKey(ctx context.Context, id domain.KeyID, patch domain.KeyPatch) (domain.Key, error) {
	return p.changeKey(ctx, id, "key.updated", func(ctx context.Context, tx *repository.Store, before domain.Key) (domain.Key, error) {
		if !before.RevokedAt.IsZero() {
			return before, domain.Errorf(domain.CodeKeyRevoked, "The key has been revoked and can no longer be changed.")
		}
		after, err := patch.Apply(before)
		if err != nil {
			return before, err
		}
		after.ExpiresAt = after.ExpiresAt.Truncate(time.Microsecond)
		if err := p.limitAgain(ctx, tx, before, &after); err != nil {
			return before, err
		}
		return after, p.requireWidening(before, after)
	})
}

// RevokeKey ends a key for good; nothing brings it back. Revoking it again
// changes nothing. It needs keys:write; a key needs all scopes that the other
// one has, too.
func (p *Project) RevokeKey(ctx context.Context, id domain.KeyID, reason string) (domain.Key, error) {
	var v domain.Invalid
	if v.Text("/reason", reason, 0, domain.MaxReasonLength); len(v) > 0 {
		return domain.Key{}, v.Err()
	}
	return p.changeKey(ctx, id, "key.revoked", func(_ context.Context, _ *repository.Store, k domain.Key) (domain.Key, error) {
		if k.RevokedAt.IsZero() {
			k.RevokedAt, k.RevokedReason = p.app.now(), reason
		}
		return k, nil
	})
}

// changeKey is how every change to a key is made: under a lock, one revision
// on, with what changed in the audit trail. A change that changes nothing is
// neither stored nor recorded.
func (p *Project) changeKey(
	ctx context.Context, id domain.KeyID, action string,
	change func(ctx context.Context, tx *repository.Store, before domain.Key) (domain.Key, error),
) (domain.Key, error) {
	if err := p.Authorize(domain.KeysWrite); err != nil {
		return domain.Key{}, err
	}
	var key domain.Key
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		before, err := p.lockKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.precondition.Check(before.Revision); err != nil {
			return err
		}
		after, err := change(ctx, tx, before)
		if err != nil {
			return err
		}
		key = before
		changes := domain.Diff(keyFields(before), keyFields(after))
		if len(changes) == 0 {
			return nil
		}
		after.Revision = before.Revision + 1
		if err := tx.UpdateKey(ctx, p.project.Scope(), after); err != nil {
			return err
		}
		key = after
		return p.record(ctx, tx, action, after, changes)
	})
	return key, err
}

// lockKey returns the key for a change. A key may act only on keys whose scopes
// it holds itself.
func (p *Project) lockKey(ctx context.Context, tx *repository.Store, id domain.KeyID) (domain.Key, error) {
	key, err := tx.LockKey(ctx, p.project.Scope(), id)
	if err != nil {
		return domain.Key{}, err
	}
	if _, isKey := p.caller.ProvenKey(); isKey {
		err = p.requireScopes(key.Scopes)
	}
	return key, err
}

// DeleteKey removes a key and its secrets; what it did stays in the audit
// trail. It needs keys:write; a key needs all scopes that the other one has,
// too.
func (p *Project) DeleteKey(ctx context.Context, id domain.KeyID) error {
	if err := p.Authorize(domain.KeysWrite); err != nil {
		return err
	}
	return p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		key, err := p.lockKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.precondition.Check(key.Revision); err != nil {
			return err
		}
		if err := tx.DeleteKey(ctx, p.project.Scope(), id); err != nil {
			return err
		}
		return p.record(ctx, tx, "key.deleted", key, nil)
	})
}

func (p *Project) record(ctx context.Context, tx *repository.Store, action string, k domain.Key, changes domain.Changes) error {
	return p.app.record(ctx, tx, p.caller, domain.Event{
		Action:         action,
		Target:         domain.Target{Kind: "key", ID: string(k.ID), Name: k.Name},
		OrganizationID: p.project.OrganizationID,
		ProjectID:      p.project.ID,
		Changes:        changes,
	})
}

// keyFields are the fields of a key whose changes the audit trail has.
func keyFields(k domain.Key) map[string]any {
	return withLimits(map[string]any{
		"name":           k.Name,
		"environment":    k.Environment,
		"scopes":         k.Scopes,
		"external_id":    k.ExternalID,
		"metadata":       k.Metadata,
		"expires_at":     moment(k.ExpiresAt),
		"revoked_at":     moment(k.RevokedAt),
		"revoked_reason": k.RevokedReason,
		"leaked_at":      moment(k.LeakedAt),
		"prefix":         k.Prefix,
		"plan_id":        idOrNull(k.Plan.ID),
		"allowed_ips":    someOrNull(k.AllowedIPs),
	}, k.Limits)
}

// idOrNull is an id or another text as the audit trail shows it: null for none.
func idOrNull[T ~string](id T) any {
	if id == "" {
		return nil
	}
	return id
}

// someOrNull is a list as the audit trail shows it: null for an empty one.
func someOrNull[T any](list []T) any {
	if len(list) == 0 {
		return nil
	}
	return list
}

// moment is a time as the audit trail shows it: null for never.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
