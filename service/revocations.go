package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// RevokeKeys revokes the selected keys that are not revoked, the newest first, each with
// its own event, and at most MaxRevocation of them; with dryRun it only says which. It
// keeps the calling key itself, and those with scopes that a calling key does not hold.
// After an error, those before it are revoked. It needs keys:write.
func (p *Project) RevokeKeys(ctx context.Context, s domain.KeySelection, reason string, dryRun bool) (domain.Revocation, error) {
	if err := p.Authorize(domain.KeysWrite); err != nil {
		return domain.Revocation{}, err
	}
	v := domain.Invalid(domain.FieldErrors(s.Validate()))
	v.Text("/reason", reason, 0, domain.MaxReasonLength)
	if err := v.Err(); err != nil {
		return domain.Revocation{}, err
	}
	p.precondition = domain.Precondition{} // it would be about one key
	var done domain.Revocation
	for page := (domain.Page{Limit: domain.MaxPageSize}); ; {
		keys, err := p.app.store.ListKeys(ctx, p.project.Scope(), s.Filter(), page, p.app.now())
		if err != nil {
			return done, err
		}
		for _, key := range keys.Items {
			if len(done.Keys) == domain.MaxRevocation {
				done.More = true
				return done, nil
			}
			if !p.mayEnd(key) {
				done.Kept++
				continue
			}
			if !dryRun {
				if key, err = p.RevokeKey(ctx, key.ID, reason); domain.CodeOf(err) == domain.CodeNotFound {
					continue
				} else if err != nil {
					return done, err
				}
			}
			done.Keys = append(done.Keys, key)
		}
		if keys.Next.IsZero() {
			return done, nil
		}
		page.After = keys.Next
	}
}

// mayEnd reports whether the caller may revoke a key together with others.
func (p *Project) mayEnd(k domain.Key) bool {
	caller, isKey := p.caller.ProvenKey()
	return !isKey || caller.ID() != k.ID && p.requireScopes(k.Scopes) == nil
}
