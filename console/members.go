package console

import (
	"crypto/rand"
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type membersPage struct {
	Members     domain.List[domain.Member]
	Invitations []domain.Invitation // pending ones
	Form        form
	Roles       []domain.Role // the roles that the caller may give
	Me          domain.UserID
	MayWrite    bool
	Link        string // only in the answer to its creation
	Invited     string // email of the person invited
	OneOwner    bool   // the only owner can neither leave nor be demoted
	Notice      string
}

// Stays reports whether a member with the role is the last owner.
func (m membersPage) Stays(role domain.Role) bool { return m.OneOwner && role == domain.Owner }

// Mine reports whether the caller may change or remove a member with the role.
func (m membersPage) Mine(role domain.Role) bool { return slices.Contains(m.Roles, role) }

func showMembers(v *visit) error {
	o, organization, err := v.organization()
	if err != nil {
		return err
	}
	return v.membersPage(o, organization, invitationForm(), "", "")
}

func invitationForm() form { return newForm("role", string(domain.Developer), "nonce", rand.Text()) }

func (v *visit) membersPage(o *service.Organization, organization domain.MemberOf, f form, link, invited string) error {
	page, err := domain.NewPage(domain.MaxPageSize, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	members, err := o.ListMembers(v.ctx(), page)
	if err != nil {
		return err
	}
	m := membersPage{
		Members:  members,
		Form:     f,
		Me:       v.layout.User.ID,
		MayWrite: o.Holds(domain.MembersWrite),
		Link:     link,
		Invited:  invited,
		Notice: map[string]string{
			"role":    "The role has been changed.",
			"removed": "Removed. Their access has ended.",
			"revoked": "The invitation is withdrawn.",
		}[v.QueryParam("notice")],
	}
	if m.OneOwner, err = o.HasOneOwner(v.ctx()); err != nil {
		return err
	}
	for _, role := range domain.Roles {
		if organization.Role.MayGrant(role) {
			m.Roles = append(m.Roles, role)
		}
	}
	if m.MayWrite {
		invitations, err := o.ListInvitations(v.ctx(), domain.Page{Limit: domain.MaxPageSize})
		if err != nil {
			return err
		}
		for _, invitation := range invitations.Items {
			if invitation.AcceptedAt.IsZero() && v.layout.Now.Before(invitation.ExpiresAt) {
				m.Invitations = append(m.Invitations, invitation)
			}
		}
	}
	v.at("Members")
	return v.render(f.status, "members", "Members", m)
}

func membersURL(o domain.MemberOf) string { return organizationURL(o.Organization) + "/members" }

func updateMember(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	user, err := domain.ParseID[domain.UserID](v.Param("user"))
	if err != nil {
		return err
	}
	if _, err := o.UpdateMember(v.ctx(), user, domain.Role(f.Get("role"))); err != nil {
		return v.membersRefused(o, organization, err)
	}
	return v.redirect(membersURL(organization) + "?notice=role")
}

// removalPage asks for confirmation before a member is removed or leaves.
type removalPage struct {
	Member    domain.Member
	Leaving   bool
	Keys      domain.List[domain.Key] // some of the keys that they made, which keep working
	MayRevoke bool
}

func showRemoval(v *visit) error {
	o, _, err := v.organization()
	if err != nil {
		return err
	}
	user, err := domain.ParseID[domain.UserID](v.Param("user"))
	if err != nil {
		return err
	}
	member, err := o.Member(v.ctx(), user)
	if err != nil {
		return err
	}
	keys, err := o.KeysMadeBy(v.ctx(), user, domain.Page{Limit: domain.DefaultPageSize})
	if err != nil {
		return err
	}
	v.at("Members")
	return v.render(done, "member-removal", "Remove a member", removalPage{
		Member: member, Leaving: user == v.layout.User.ID, Keys: keys, MayRevoke: o.Holds(domain.KeysWrite),
	})
}

func removeMember(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	user, err := domain.ParseID[domain.UserID](v.Param("user"))
	if err != nil {
		return err
	}
	remove := o.RemoveMember
	if f.Get("revoke_keys") != "" {
		remove = o.RemoveMemberAndKeys
	}
	if err := remove(v.ctx(), user); err != nil {
		return v.membersRefused(o, organization, err)
	}
	if user == v.layout.User.ID {
		return v.redirect("/console")
	}
	return v.redirect(membersURL(organization) + "?notice=removed")
}

// membersRefused shows the members again, with the error.
func (v *visit) membersRefused(o *service.Organization, organization domain.MemberOf, err error) error {
	f := invitationForm()
	if err := f.refuse(err); err != nil {
		return err
	}
	f.Faults = nil
	return v.membersPage(o, organization, f, "", "")
}

// createInvitation answers with the link. No other page shows it.
func createInvitation(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	invitation, token, err := o.CreateInvitation(v.ctx(), domain.InvitationSpec{
		Email: f.Text("email"), Role: domain.Role(f.Get("role")), IdempotencyKey: domain.Hidden(f.Get("nonce")), TokenOnce: true,
	})
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.membersPage(o, organization, f, "", "")
	}
	if token == "" {
		return v.redirect(membersURL(organization)) // the form was already sent
	}
	return v.membersPage(o, organization, invitationForm(), v.console.invitationURL(token), invitation.Email)
}

// invitationURL returns the link with which the person accepts the invitation. The
// email has the same one.
func (c *console) invitationURL(token string) string {
	return c.site.URL("/console/invitation#token=") + token
}

func revokeInvitation(v *visit, o *service.Organization, organization domain.MemberOf, _ form) error {
	id, err := domain.ParseID[domain.InvitationID](v.Param("invitation"))
	if err != nil {
		return err
	}
	if err := o.RevokeInvitation(v.ctx(), id); err != nil {
		return v.membersRefused(o, organization, err)
	}
	return v.redirect(membersURL(organization) + "?notice=revoked")
}

// showInvitation is the page that an invitation's link opens, signed in or not.
func showInvitation(v *visit) error {
	return v.recovery("invitation", "You are invited", newForm(), false)
}

func acceptInvitation(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	joined, err := v.app.AcceptInvitation(v.ctx(), v.caller, f.token())
	if domain.CodeOf(err) == domain.CodeNotFound {
		err = domain.Errorf(domain.CodeConflict, "This invitation does not exist, has expired or was withdrawn. Ask for a new one.")
	}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.recovery("invitation", "You are invited", f, false)
	}
	return v.redirect(organizationURL(joined.Organization.Organization))
}
