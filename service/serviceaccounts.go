package service

import (
	"cmp"
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// CreateServiceAccount makes a service account of the organization. It needs
// service_accounts:write and a role no less than the one given (scope_not_held); only an
// owner who has just signed in lets it delete projects. One account too many gives
// ceiling_reached.
func (o *Organization) CreateServiceAccount(ctx context.Context, spec domain.ServiceAccountSpec) (domain.ServiceAccount, error) {
	var none domain.ServiceAccount
	if err := o.Authorize(domain.ServiceAccountsWrite); err != nil {
		return none, err
	}
	if err := spec.Validate(); err != nil {
		return none, err
	}
	r, err := o.app.newRequest(o.caller, spec.IdempotencyKey.Reveal(), "createServiceAccount", o.organization.ID, spec)
	if err != nil {
		return none, err
	}
	return once(ctx, o.app, r, func(ctx context.Context, tx *repository.Store, _ source) (domain.ServiceAccount, error) {
		return o.addServiceAccount(ctx, tx, spec)
	}, func(ctx context.Context, tx *repository.Store, answer *domain.ServiceAccount, _ source) error {
		_, err := tx.GetServiceAccount(ctx, o.organization.Scope(), answer.ID)
		return ended(err)
	})
}

func (o *Organization) addServiceAccount(
	ctx context.Context, tx *repository.Store, spec domain.ServiceAccountSpec,
) (domain.ServiceAccount, error) {
	now := o.app.now()
	account := domain.ServiceAccount{
		ID:                domain.NewID[domain.UserID](now),
		OrganizationID:    o.organization.ID,
		Name:              spec.Name,
		Role:              spec.Role,
		Status:            domain.Active,
		MayDeleteProjects: spec.MayDeleteProjects,
		CreatedAt:         now,
		UpdatedAt:         now,
		Revision:          1,
	}
	if err := o.lockForServiceAccounts(ctx, tx, account.Role); err != nil {
		return account, err
	}
	if account.MayDeleteProjects {
		if err := o.requireOwner(); err != nil {
			return account, err
		}
	}
	switch n, err := tx.CountServiceAccounts(ctx, o.organization.Scope()); {
	case err != nil:
		return account, err
	case n >= domain.MaxServiceAccounts:
		return account, domain.Errorf(domain.CodeCeilingReached,
			"An organization can have at most %d service accounts. Delete one that no program needs.", domain.MaxServiceAccounts)
	}
	if err := tx.CreateServiceAccount(ctx, o.organization.Scope(), account); err != nil {
		return account, err
	}
	return account, o.recordServiceAccount(ctx, tx, "service_account.created", account, domain.Diff(nil, serviceAccountFields(account)))
}

// ListServiceAccounts returns the organization's service accounts, newest first. It
// needs service_accounts:read.
func (o *Organization) ListServiceAccounts(ctx context.Context, p domain.Page) (domain.List[domain.ServiceAccount], error) {
	if err := o.Authorize(domain.ServiceAccountsRead); err != nil {
		return domain.List[domain.ServiceAccount]{}, err
	}
	return o.app.store.ListServiceAccounts(ctx, o.organization.Scope(), p)
}

// GetServiceAccount returns a service account of the organization. It needs
// service_accounts:read.
func (o *Organization) GetServiceAccount(ctx context.Context, id domain.UserID) (domain.ServiceAccount, error) {
	if err := o.Authorize(domain.ServiceAccountsRead); err != nil {
		return domain.ServiceAccount{}, err
	}
	return o.app.store.GetServiceAccount(ctx, o.organization.Scope(), id)
}

// UpdateServiceAccount changes a service account; disabling it stops its tokens. It
// needs service_accounts:write and a role no less than the old and the new one
// (scope_not_held); only an owner who has just signed in lets it delete projects.
func (o *Organization) UpdateServiceAccount(
	ctx context.Context, id domain.UserID, patch domain.ServiceAccountPatch,
) (domain.ServiceAccount, error) {
	if err := o.Authorize(domain.ServiceAccountsWrite); err != nil {
		return domain.ServiceAccount{}, err
	}
	var account domain.ServiceAccount
	err := o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		before, err := o.lockServiceAccount(ctx, tx, id)
		if err != nil {
			return err
		}
		after, err := patch.Apply(before)
		if err != nil {
			return err
		}
		if err := o.requireRoles(after.Role); err != nil {
			return err
		}
		if after.MayDeleteProjects && !before.MayDeleteProjects {
			if err := o.requireOwner(); err != nil {
				return err
			}
		}
		account = before
		changes := domain.Diff(serviceAccountFields(before), serviceAccountFields(after))
		if len(changes) == 0 {
			return nil
		}
		after.UpdatedAt, after.Revision = o.app.now(), before.Revision+1
		if err := tx.UpdateServiceAccount(ctx, o.organization.Scope(), after); err != nil {
			return err
		}
		account = after
		return o.recordServiceAccount(ctx, tx, "service_account.updated", after, changes)
	})
	return account, err
}

// DeleteServiceAccount deletes a service account with its tokens. What it made stays. It
// needs service_accounts:write and a role no less than that of the account.
func (o *Organization) DeleteServiceAccount(ctx context.Context, id domain.UserID) error {
	if err := o.Authorize(domain.ServiceAccountsWrite); err != nil {
		return err
	}
	return o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		account, err := o.lockServiceAccount(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.DeleteServiceAccount(ctx, o.organization.Scope(), id); err != nil {
			return err
		}
		return o.recordServiceAccount(ctx, tx, "service_account.deleted", account, nil)
	})
}

// lockForServiceAccounts locks the organization for a change that gives or takes roles
// of service accounts.
func (o *Organization) lockForServiceAccounts(ctx context.Context, tx *repository.Store, roles ...domain.Role) error {
	if err := o.lock(ctx, tx); err != nil {
		return err
	}
	return cmp.Or(o.Authorize(domain.ServiceAccountsWrite), o.requireRoles(roles...))
}

// lockServiceAccount returns a service account for a change, if it is as the caller
// expects and its role is within the caller's.
func (o *Organization) lockServiceAccount(ctx context.Context, tx *repository.Store, id domain.UserID) (domain.ServiceAccount, error) {
	if err := o.lockForServiceAccounts(ctx, tx); err != nil {
		return domain.ServiceAccount{}, err
	}
	account, err := tx.GetServiceAccount(ctx, o.organization.Scope(), id)
	if err != nil {
		return account, err
	}
	return account, cmp.Or(o.requireRoles(account.Role), o.precondition.Check(account.Revision))
}

// requireOwner returns an error unless the caller is an owner who has just signed in.
func (o *Organization) requireOwner() error {
	if !o.caller.IsSystem() && o.role != domain.Owner {
		return domain.Errorf(domain.CodeForbidden, "Only an owner can let a service account delete projects.")
	}
	return o.requireFreshSignIn()
}

func (o *Organization) recordServiceAccount(
	ctx context.Context, tx *repository.Store, action string, a domain.ServiceAccount, changes domain.Changes,
) error {
	return o.app.record(ctx, tx, o.caller, domain.Event{
		Action:         action,
		Target:         domain.Target{Kind: "service_account", ID: string(a.ID), Name: a.Name},
		OrganizationID: o.organization.ID,
		Changes:        changes,
	})
}

// serviceAccountFields are what the audit trail shows of changes to a service account.
func serviceAccountFields(a domain.ServiceAccount) map[string]any {
	return map[string]any{
		"name":                a.Name,
		"role":                a.Role,
		"status":              a.Status,
		"may_delete_projects": a.MayDeleteProjects,
	}
}
