package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// CreateInvitation asks the person with an address into the organization and
// returns the token that lets them accept, which cannot be had again. It needs
// members:write and a role no less than the one offered (scope_not_held). An
// address that is a member's gives conflict.
func (o *Organization) CreateInvitation(ctx context.Context, spec domain.InvitationSpec) (domain.Invitation, string, error) {
	if err := o.Require(domain.MembersWrite); err != nil {
		return domain.Invitation{}, "", err
	}
	if err := spec.Validate(); err != nil {
		return domain.Invitation{}, "", err
	}
	now := o.app.now()
	invitation := domain.Invitation{
		ID: domain.NewID[domain.InvitationID](now), OrganizationID: o.organization.ID, Email: domain.NormalizeEmail(spec.Email),
		Role: spec.Role, InvitedBy: o.caller.Actor(), CreatedAt: now, ExpiresAt: now.Add(domain.InvitationLifetime),
	}
	token := o.app.newMailedToken(forInvitation)
	err := o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := o.lock(ctx, tx); err != nil {
			return err
		}
		if err := o.Require(domain.MembersWrite); err != nil {
			return err
		}
		if err := o.requireRoles(spec.Role); err != nil {
			return err
		}
		switch member, err := tx.HasMemberWithEmail(ctx, o.organization.Scope(), invitation.Email); {
		case err != nil:
			return err
		case member:
			return domain.Errorf(domain.CodeConflict, "Whoever has this e-mail address is a member already.")
		}
		if err := tx.CreateInvitation(ctx, o.organization.Scope(), invitation, token.digest); err != nil {
			return err
		}
		return o.app.record(ctx, tx, o.caller, invitationEvent("invitation.created", invitation,
			domain.Diff(nil, map[string]any{"email": invitation.Email, "role": invitation.Role, "expires_at": invitation.ExpiresAt})))
	})
	return invitation, token.text, err
}

// ListInvitations returns the invitations to the organization, accepted and
// expired ones too, newest first. It needs members:write.
func (o *Organization) ListInvitations(ctx context.Context, p domain.Page) (domain.List[domain.Invitation], error) {
	if err := o.Require(domain.MembersWrite); err != nil {
		return domain.List[domain.Invitation]{}, err
	}
	return o.app.store.ListInvitations(ctx, o.organization.Scope(), p)
}

// RevokeInvitation withdraws an invitation; one that has been accepted gives
// conflict. It needs members:write and a role no less than the one offered.
func (o *Organization) RevokeInvitation(ctx context.Context, id domain.InvitationID) error {
	return o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := o.lock(ctx, tx); err != nil {
			return err
		}
		if err := o.Require(domain.MembersWrite); err != nil {
			return err
		}
		invitation, err := tx.GetInvitation(ctx, o.organization.Scope(), id)
		if err != nil {
			return err
		}
		if err := o.requireRoles(invitation.Role); err != nil {
			return err
		}
		if !invitation.AcceptedAt.IsZero() {
			return errInvitationUsed()
		}
		if err := tx.DeleteInvitation(ctx, o.organization.Scope(), id); err != nil {
			return err
		}
		return o.app.record(ctx, tx, o.caller, invitationEvent("invitation.revoked", invitation, nil))
	})
}

// Joined is what accepting an invitation gives: an organization and who one is
// in it.
type Joined struct {
	Organization domain.MemberOf
	Member       domain.Member
}

// AcceptInvitation makes the calling user a member of the organization that
// invited them. A token that is unknown, withdrawn or expired gives not_found;
// an invitation of another address, or by somebody who may no longer give the
// role, forbidden; one that has been used, or by a member, conflict.
func (a *App) AcceptInvitation(ctx context.Context, caller domain.Principal, token string) (Joined, error) {
	user, ok := caller.User()
	if !ok {
		return Joined{}, errAnonymous()
	}
	digest, ok := a.mailedTokenDigest(forInvitation, token)
	if !ok {
		return Joined{}, domain.NotFound()
	}
	var joined Joined
	err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		invitation, org, err := tx.InvitationByDigest(ctx, digest)
		if err != nil {
			return err
		}
		// The inviter's role must not change before the membership stands.
		if org, err = tx.LockOrganization(ctx, org.Scope()); err != nil {
			return err
		}
		now := a.now()
		if err := a.acceptable(ctx, tx, user.User, invitation, org.Scope()); err != nil {
			return err
		}
		if err := tx.AcceptInvitation(ctx, org.Scope(), invitation.ID, now); domain.CodeOf(err) == domain.CodeConflict {
			return errInvitationUsed()
		} else if err != nil {
			return err
		}
		err = tx.AddMember(ctx, org.Scope(), domain.Membership{UserID: user.User.ID, Role: invitation.Role, JoinedAt: now})
		if domain.CodeOf(err) == domain.CodeConflict {
			return domain.Errorf(domain.CodeConflict, "You are a member of this organization already.")
		}
		if err != nil {
			return err
		}
		joined = Joined{
			Organization: domain.MemberOf{Organization: org, Role: invitation.Role},
			Member:       domain.Member{User: user.User, Role: invitation.Role, JoinedAt: now},
		}
		return a.record(ctx, tx, caller, domain.Event{
			Action: "member.joined", Target: domain.Target{Kind: "member", ID: string(user.User.ID), Name: user.User.Email}, OrganizationID: org.ID,
			Changes: domain.Diff(nil, map[string]any{"role": invitation.Role, "invitation": invitation.ID}),
		})
	})
	return joined, err
}

// acceptable says whether user may accept the invitation now. The organization
// must be locked.
func (a *App) acceptable(
	ctx context.Context, tx *repository.Store, user domain.User, v domain.Invitation, scope domain.OrganizationScope,
) error {
	switch {
	case v.Email != user.Email:
		return domain.Errorf(domain.CodeForbidden, "This invitation is for another e-mail address. Sign in with the account that has it.")
	case !v.AcceptedAt.IsZero():
		return errInvitationUsed()
	case !a.now().Before(v.ExpiresAt):
		return domain.NotFound()
	}
	if v.InvitedBy.Kind == domain.ActorSystem {
		return nil
	}
	inviter, err := tx.GetMember(ctx, scope, domain.UserID(v.InvitedBy.ID))
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return err
	}
	if err != nil || inviter.User.Status != domain.Active || !inviter.Role.MayGrant(v.Role) {
		return domain.Errorf(domain.CodeForbidden, "Whoever invited you may no longer do so. Ask for a new invitation.")
	}
	return nil
}

func errInvitationUsed() error {
	return domain.Errorf(domain.CodeConflict, "The invitation has been accepted already.")
}

func invitationEvent(action string, v domain.Invitation, changes domain.Changes) domain.Event {
	return domain.Event{
		Action: action, Target: domain.Target{Kind: "invitation", ID: string(v.ID), Name: v.Email},
		OrganizationID: v.OrganizationID, Changes: changes,
	}
}

// purpose is what a mailed token is good for; one for another proves nothing.
type purpose string

const (
	forInvitation purpose = "invitation"
	forAddress    purpose = "verify-address"
	forPassword   purpose = "reset-password"
)

// mailedToken is a token that is good once, and what is stored of it.
type mailedToken struct {
	text   string
	digest []byte
}

const mailedTokenBytes = 32

func (a *App) newMailedToken(p purpose) mailedToken {
	var secret [mailedTokenBytes]byte
	rand.Read(secret[:]) // never fails
	text := base64.RawURLEncoding.EncodeToString(secret[:])
	return mailedToken{text, mac(a.keyring.mailed, string(p), text)}
}

// mailedTokenDigest returns what is stored of a token, and false for a text
// that cannot be one.
func (a *App) mailedTokenDigest(p purpose, text string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != mailedTokenBytes {
		return nil, false
	}
	return mac(a.keyring.mailed, string(p), base64.RawURLEncoding.EncodeToString(raw)), true
}
