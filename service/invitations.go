package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// invited is what CreateInvitation answers, and what is kept of it for a
// repetition.
type invited struct {
	Invitation domain.Invitation

	// Not exported, so never stored.
	token mailedToken
	made  bool // now, and not by the request that this one repeats
}

// CreateInvitation asks the person with an address into the organization and
// returns the token that lets them accept, which cannot be had again but by the
// same Idempotency-Key; an empty one says that the invitation was made before
// (see TokenOnce). It needs members:write and a role no less than the one
// offered (scope_not_held). An address that is a member's gives conflict.
func (o *Organization) CreateInvitation(ctx context.Context, spec domain.InvitationSpec) (domain.Invitation, string, error) {
	if err := o.Authorize(domain.MembersWrite); err != nil {
		return domain.Invitation{}, "", err
	}
	if err := spec.Validate(); err != nil {
		return domain.Invitation{}, "", err
	}
	spec.Email = canonicalEmail(spec.Email)
	request, err := o.app.newRequest(o.caller, spec.IdempotencyKey.Reveal(), "createInvitation", o.organization.ID, spec)
	if err != nil {
		return domain.Invitation{}, "", err
	}
	answer, err := once(ctx, o.app, request, func(ctx context.Context, tx *repository.Store, random source) (invited, error) {
		return o.invite(ctx, tx, spec, random)
	}, func(ctx context.Context, tx *repository.Store, answer *invited, random source) error {
		if err := o.mayInvite(ctx, tx, spec.Role); err != nil {
			return err
		}
		if answer.token, err = o.app.newMailedToken(forInvitation, random); err != nil {
			return err
		}
		_, _, err := tx.InvitationByDigest(ctx, answer.token.digest)
		return ended(err)
	})
	if err != nil {
		return domain.Invitation{}, "", err
	}
	if spec.TokenOnce && !answer.made {
		return answer.Invitation, "", nil
	}
	return answer.Invitation, answer.token.text, nil
}

// mayInvite locks the organization and returns nil when the caller may offer a
// role there.
func (o *Organization) mayInvite(ctx context.Context, tx *repository.Store, role domain.Role) error {
	if err := o.lock(ctx, tx); err != nil {
		return err
	}
	if err := o.Authorize(domain.MembersWrite); err != nil {
		return err
	}
	return o.requireRoles(role)
}

func (o *Organization) invite(ctx context.Context, tx *repository.Store, spec domain.InvitationSpec, random source) (invited, error) {
	if err := o.mayInvite(ctx, tx, spec.Role); err != nil {
		return invited{}, err
	}
	switch member, err := tx.HasMemberWithEmail(ctx, o.organization.Scope(), spec.Email); {
	case err != nil:
		return invited{}, err
	case member:
		return invited{}, domain.Errorf(domain.CodeConflict, "The person with this email address is already a member.")
	}
	token, err := o.app.newMailedToken(forInvitation, random)
	if err != nil {
		return invited{}, err
	}
	now := o.app.now()
	v := domain.Invitation{
		ID:             domain.NewID[domain.InvitationID](now),
		OrganizationID: o.organization.ID,
		Email:          spec.Email,
		Role:           spec.Role,
		InvitedBy:      o.caller.Actor(),
		CreatedAt:      now,
		ExpiresAt:      now.Add(domain.InvitationLifetime),
	}
	if err := tx.CreateInvitation(ctx, o.organization.Scope(), v, token.digest); err != nil {
		return invited{}, err
	}
	if err := o.postInvitation(ctx, tx, v, token); err != nil {
		return invited{}, err
	}
	return invited{v, token, true}, o.app.record(ctx, tx, o.caller, invitationEvent("invitation.created", v,
		domain.Diff(nil, map[string]any{"email": v.Email, "role": v.Role, "expires_at": v.ExpiresAt})))
}

// postInvitation sends an invitation, if the inviter has not sent the address too
// many. Who pays is the inviter, so that a person with many organizations has one
// turn to send.
func (o *Organization) postInvitation(ctx context.Context, tx *repository.Store, v domain.Invitation, token mailedToken) error {
	payer := "inviter " + v.InvitedBy.ID
	if !o.app.mayMail(mailInvitation, v.Email, payer) {
		return nil
	}
	letter := o.app.invitationLetter(v, o.organization, token.text)
	return o.app.post(ctx, tx, posting{
		kind:   mailInvitation,
		to:     v.Email,
		letter: &letter,
		payer:  payer,
		known:  true,
		good:   sendLetters,
	})
}

// ListInvitations returns the invitations to the organization, accepted and
// expired ones too, newest first. It needs members:write.
func (o *Organization) ListInvitations(ctx context.Context, p domain.Page) (domain.List[domain.Invitation], error) {
	if err := o.Authorize(domain.MembersWrite); err != nil {
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
		if err := o.Authorize(domain.MembersWrite); err != nil {
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
// an invitation of another address, or by a person who may no longer give the
// role, forbidden; one that has been used, or by a member, conflict.
func (a *App) AcceptInvitation(ctx context.Context, caller domain.Principal, token string) (Joined, error) {
	user, ok := caller.User()
	if !ok {
		return Joined{}, errAnonymous()
	}
	if err := requirePerson(caller); err != nil {
		return Joined{}, err
	}
	digest, ok := a.mailedTokenDigest(forInvitation, token)
	if !ok {
		return Joined{}, domain.NotFound()
	}
	var joined Joined
	err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		_, org, err := tx.InvitationByDigest(ctx, digest)
		if err != nil {
			return err
		}
		// Neither the inviter's role nor the invitation may change before the
		// membership exists, so both are read under the lock.
		if org, err = tx.LockOrganization(ctx, org.Scope()); err != nil {
			return err
		}
		invitation, _, err := tx.InvitationByDigest(ctx, digest)
		if err != nil {
			return err
		}
		if org.Suspended.Active() {
			return domain.Errorf(domain.CodeForbidden,
				"The operator of this instance has suspended this organization. It takes no members now.")
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
			return domain.Errorf(domain.CodeConflict, "You are already a member of this organization.")
		}
		if err != nil {
			return err
		}
		joined = Joined{
			Organization: domain.MemberOf{Organization: org, Role: invitation.Role},
			Member:       domain.Member{User: user.User, Role: invitation.Role, JoinedAt: now},
		}
		return a.record(ctx, tx, caller, domain.Event{
			Action: "member.joined", Target: domain.Target{Kind: "member", ID: string(user.User.ID), Name: user.User.Email},
			OrganizationID: org.ID,
			Changes:        domain.Diff(nil, map[string]any{"role": invitation.Role, "invitation": invitation.ID}),
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
	case a.mailing.on && !user.EmailVerified:
		return domain.Errorf(domain.CodeEmailUnverified,
			"Confirm your email address first, with the link in the email that you got when you signed up.")
	case canonicalEmail(v.Email) != canonicalEmail(user.Email):
		return domain.Errorf(domain.CodeForbidden,
			"This invitation is for another email address. Sign in with the account that has that address.")
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
		return domain.Errorf(domain.CodeForbidden, "The person who invited you is no longer allowed to invite. Ask for a new invitation.")
	}
	return nil
}

func errInvitationUsed() error {
	return domain.Errorf(domain.CodeConflict, "The invitation has already been accepted.")
}

func invitationEvent(action string, v domain.Invitation, changes domain.Changes) domain.Event {
	return domain.Event{
		Action: action, Target: domain.Target{Kind: "invitation", ID: string(v.ID), Name: v.Email},
		OrganizationID: v.OrganizationID, Changes: changes,
	}
}
