package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// madeByGone is why keys are revoked with the access of who made them.
const madeByGone = "Who made it has lost access."

// KeysMadeBy returns the organization's keys that a user made and that are not
// revoked, newest first: they outlive the user's membership. It needs
// keys:read.
func (o *Organization) KeysMadeBy(ctx context.Context, user domain.UserID, p domain.Page) (domain.List[domain.Key], error) {
	if err := o.Authorize(domain.KeysRead); err != nil {
		return domain.List[domain.Key]{}, err
	}
	return o.app.store.ListKeysMadeBy(ctx, o.organization.Scope(), user, p)
}

// RevokeKeysMadeBy revokes what KeysMadeBy lists, each key with its own event, and
// returns how many there were. After an error, those before it are revoked. It
// needs keys:write.
func (o *Organization) RevokeKeysMadeBy(ctx context.Context, user domain.UserID) (revoked int, err error) {
	if err := o.Authorize(domain.KeysWrite); err != nil {
		return 0, err
	}
	for {
		keys, err := o.app.store.ListKeysMadeBy(ctx, o.organization.Scope(), user, domain.Page{Limit: domain.MaxPageSize})
		if err != nil || len(keys.Items) == 0 {
			return revoked, err
		}
		for _, key := range keys.Items {
			p := &Project{o.grant, &domain.Project{ID: key.ProjectID, OrganizationID: o.organization.ID}}
			p.precondition = domain.Precondition{} // it was for the organization
			if _, err := p.RevokeKey(ctx, key.ID, madeByGone); err != nil && domain.CodeOf(err) != domain.CodeNotFound {
				return revoked, err
			}
			revoked++
		}
	}
}

// KeysMadeBy returns how many keys a user made, in all organizations, that are
// not revoked. Only the command line may call it.
func (a *App) KeysMadeBy(ctx context.Context, caller domain.Principal, user domain.UserID) (int, error) {
	if err := requireSystem(caller); err != nil {
		return 0, err
	}
	return a.store.CountKeysMadeBy(ctx, user)
}

// RevokeKeysMadeBy revokes what KeysMadeBy counts and returns how many there were.
// Only the command line may.
func (a *App) RevokeKeysMadeBy(ctx context.Context, caller domain.Principal, user domain.UserID) (revoked int, err error) {
	if err := requireSystem(caller); err != nil {
		return 0, err
	}
	organizations, err := a.store.OrganizationsOfMaker(ctx, user)
	if err != nil {
		return 0, err
	}
	for _, organization := range organizations {
		o := &Organization{grant: grant{app: a, caller: caller}, organization: organization}
		n, err := o.RevokeKeysMadeBy(ctx, user)
		revoked += n
		if err != nil {
			return revoked, err
		}
	}
	return revoked, nil
}
