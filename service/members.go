package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// ListMembers returns the organization's members, the latest first. It needs
// members:read.
func (o *Organization) ListMembers(ctx context.Context, p domain.Page) (domain.List[domain.Member], error) {
	if err := o.Authorize(domain.MembersRead); err != nil {
		return domain.List[domain.Member]{}, err
	}
	return o.app.store.ListMembers(ctx, o.organization.Scope(), p)
}

// Member returns a member of the organization. It needs members:read.
func (o *Organization) Member(ctx context.Context, user domain.UserID) (domain.Member, error) {
	if err := o.Authorize(domain.MembersRead); err != nil {
		return domain.Member{}, err
	}
	return person(o.app.store.GetMember(ctx, o.organization.Scope(), user))
}

// person hides service accounts from what is about people: they are made, changed and
// deleted by operations of their own.
func person(m domain.Member, err error) (domain.Member, error) {
	if err == nil && m.User.IsService() {
		return domain.Member{}, domain.NotFound()
	}
	return m, err
}

// UpdateMember gives a member another role. It needs members:write, and a role
// of one's own that is no less than the old and the new one (scope_not_held):
// only owners make or change owners. The last owner stays (last_owner).
func (o *Organization) UpdateMember(ctx context.Context, user domain.UserID, role domain.Role) (domain.Member, error) {
	var v domain.Invalid
	if v.Role("/role", role); len(v) > 0 {
		return domain.Member{}, v.Err()
	}
	var member domain.Member
	err := o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) (err error) {
		if err := o.lock(ctx, tx); err != nil {
			return err
		}
		if err := o.Authorize(domain.MembersWrite); err != nil {
			return err
		}
		if member, err = person(tx.GetMember(ctx, o.organization.Scope(), user)); err != nil {
			return err
		}
		if err := o.requireRoles(member.Role, role); err != nil || member.Role == role {
			return err
		}
		if err := o.keepAnOwner(ctx, tx, member.Role); err != nil {
			return err
		}
		changes := domain.Diff(map[string]any{"role": member.Role}, map[string]any{"role": role})
		member.Role = role
		if err := tx.SetRole(ctx, o.organization.Scope(), user, role); err != nil {
			return err
		}
		return o.app.record(ctx, tx, o.caller, o.memberEvent("member.updated", member.User, changes))
	})
	return member, err
}

// RemoveMember takes a member out of the organization; what they made stays. It
// needs members:write and a role no less than theirs; leaving oneself needs
// neither. The last owner stays (last_owner).
func (o *Organization) RemoveMember(ctx context.Context, user domain.UserID) error {
	return o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := o.lock(ctx, tx); err != nil {
			return err
		}
		caller, isUser := o.caller.User()
		leaving := isUser && caller.User.ID == user
		if !leaving {
			if err := o.Authorize(domain.MembersWrite); err != nil {
				return err
			}
		}
		member, err := person(tx.GetMember(ctx, o.organization.Scope(), user))
		if err != nil {
			return err
		}
		if !leaving {
			if err := o.requireRoles(member.Role); err != nil {
				return err
			}
		}
		if err := o.keepAnOwner(ctx, tx, member.Role); err != nil {
			return err
		}
		if err := tx.RemoveMember(ctx, o.organization.Scope(), user); err != nil {
			return err
		}
		action := "member.removed"
		if leaving {
			action = "member.left"
		}
		changes := domain.Diff(map[string]any{"role": member.Role}, nil)
		return o.app.record(ctx, tx, o.caller, o.memberEvent(action, member.User, changes))
	})
}

// RemoveMemberAndKeys does RemoveMember and then RevokeKeysMadeBy, and needs
// the permissions of both. If it fails between the two, RevokeKeysMadeBy
// finishes it.
func (o *Organization) RemoveMemberAndKeys(ctx context.Context, user domain.UserID) error {
	if err := o.Authorize(domain.KeysWrite); err != nil {
		return err
	}
	if err := o.RemoveMember(ctx, user); err != nil {
		return err
	}
	_, err := o.RevokeKeysMadeBy(ctx, user)
	return err
}

// lock keeps others from changing the organization and its members until the
// transaction ends, and reads again what the caller is there: what the handle
// was made with may be a demotion old.
func (o *Organization) lock(ctx context.Context, tx *repository.Store) (err error) {
	if o.organization, err = tx.LockOrganization(ctx, o.organization.Scope()); err != nil {
		return err
	}
	o.suspended = o.organization.Suspended
	if user, ok := o.caller.User(); ok {
		member, err := tx.GetMember(ctx, o.organization.Scope(), user.User.ID)
		if err != nil {
			return err
		}
		o.role = member.Role
	}
	return nil
}

// requireRoles returns scope_not_held unless the caller may give and take all
// of roles.
func (o *Organization) requireRoles(roles ...domain.Role) error {
	for _, role := range roles {
		if !o.caller.IsSystem() && !o.role.MayGrant(role) {
			return domain.Errorf(domain.CodeScopeNotHeld, "Your role here is %s, so you cannot give or take the role %s.",
				o.role, role)
		}
	}
	return nil
}

// HasOneOwner reports whether the organization has a single owner, who can
// neither leave nor be demoted. It needs members:read.
func (o *Organization) HasOneOwner(ctx context.Context) (bool, error) {
	if err := o.Authorize(domain.MembersRead); err != nil {
		return false, err
	}
	owners, err := o.app.store.CountOwners(ctx, o.organization.Scope())
	return owners == 1, err
}

// keepAnOwner returns last_owner if taking role from a member would leave the
// organization without an owner. The organization must be locked.
func (o *Organization) keepAnOwner(ctx context.Context, tx *repository.Store, role domain.Role) error {
	if role != domain.Owner {
		return nil
	}
	owners, err := tx.CountOwners(ctx, o.organization.Scope())
	if err == nil && owners < 2 {
		err = domain.Errorf(domain.CodeLastOwner, "An organization needs an owner. Make another member the owner first.")
	}
	return err
}

func (o *Organization) memberEvent(action string, u domain.User, changes domain.Changes) domain.Event {
	return domain.Event{
		Action: action, Target: domain.Target{Kind: "member", ID: string(u.ID), Name: u.Email},
		OrganizationID: o.organization.ID, Changes: changes,
	}
}
