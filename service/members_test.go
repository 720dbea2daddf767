package service_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// invite makes a new account a member of the organization, by invitation.
func (w *world) invite(o *service.Organization, email string, role domain.Role) domain.Principal {
	w.Helper()
	_, token, err := o.CreateInvitation(w.Context(), domain.InvitationSpec{Email: email, Role: role})
	w.check(err)
	caller := w.signUp(email)
	_, err = w.AcceptInvitation(w.Context(), caller, token)
	w.check(err)
	return caller
}

// organization returns caller's own handle of an organization.
func (w *world) organization(caller domain.Principal, o *service.Organization) *service.Organization {
	w.Helper()
	own, err := w.Organization(w.Context(), caller, w.id(o))
	w.check(err)
	return own
}

func (w *world) id(o *service.Organization) domain.OrganizationID {
	w.Helper()
	got, err := o.Get()
	w.check(err)
	return got.ID
}

func (w *world) projectID(p *service.Project) domain.ProjectID {
	w.Helper()
	got, err := p.Get()
	w.check(err)
	return got.ID
}

func userID(caller domain.Principal) domain.UserID {
	user, _ := caller.User()
	return user.User.ID
}

// actions counts the events of the organization's audit trail by action.
func (w *world) actions(o *service.Organization) map[string]int {
	w.Helper()
	events, err := o.ListEvents(w.Context(), domain.EventFilter{}, domain.Page{Limit: 200})
	w.check(err)
	actions := map[string]int{}
	for _, e := range events.Items {
		actions[e.Action]++
	}
	return actions
}

// Guarantees that no one gives or takes a role above their own, that what a role
// allows ends with it on handles made before, and that each change leaves one
// event and a refused one none.
func TestMembers(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		owner := w.signUp("owner@example.com")
		acme, _ := w.tenant(owner)
		admin := w.invite(acme, "admin@example.com", domain.Admin)
		viewer := w.invite(acme, "viewer@example.com", domain.Viewer)
		byAdmin, byViewer := w.organization(admin, acme), w.organization(viewer, acme)
		before := w.actions(acme)

		list, err := byViewer.ListMembers(ctx, domain.Page{Limit: 10})
		w.check(err)
		got := map[string]domain.Role{}
		for _, m := range list.Items {
			got[m.User.Email] = m.Role
		}
		want := map[string]domain.Role{"owner@example.com": domain.Owner, "admin@example.com": domain.Admin,
			"viewer@example.com": domain.Viewer}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Error(diff)
		}

		_, err = byViewer.UpdateMember(ctx, userID(viewer), domain.Developer)
		w.code(err, domain.CodeForbidden)
		_, err = byAdmin.UpdateMember(ctx, userID(viewer), domain.Owner)
		w.code(err, domain.CodeScopeNotHeld)
		_, err = byAdmin.UpdateMember(ctx, userID(owner), domain.Viewer)
		w.code(err, domain.CodeScopeNotHeld)
		_, err = byAdmin.UpdateMember(ctx, userID(viewer), "root")
		w.code(err, domain.CodeValidationFailed)
		_, err = byAdmin.UpdateMember(ctx, "usr_none", domain.Viewer)
		w.code(err, domain.CodeNotFound)
		w.code(byAdmin.RemoveMember(ctx, userID(owner)), domain.CodeScopeNotHeld)
		w.code(byViewer.RemoveMember(ctx, userID(admin)), domain.CodeForbidden)
		_, err = acme.UpdateMember(ctx, userID(owner), domain.Admin)
		w.code(err, domain.CodeLastOwner)
		w.code(acme.RemoveMember(ctx, userID(owner)), domain.CodeLastOwner)
		_, err = acme.UpdateMember(ctx, userID(viewer), domain.Viewer) // nothing changes
		w.check(err)
		if diff := cmp.Diff(before, w.actions(acme)); diff != "" {
			w.Errorf("refusals left events:\n%s", diff)
		}

		_, err = byAdmin.UpdateMember(ctx, userID(viewer), domain.Developer)
		w.check(err)
		_, err = acme.UpdateMember(ctx, userID(admin), domain.Viewer)
		w.check(err)
		_, err = byAdmin.UpdateMember(ctx, userID(viewer), domain.Viewer) // the handle is older than the demotion
		w.code(err, domain.CodeForbidden)
		_, _, err = byAdmin.CreateInvitation(ctx, domain.InvitationSpec{Email: "x@example.com", Role: domain.Viewer})
		w.code(err, domain.CodeForbidden)
		w.check(byViewer.RemoveMember(ctx, userID(viewer))) // leaves
		_, err = w.Organization(ctx, viewer, w.id(acme))
		w.code(err, domain.CodeNotFound)
		w.code(byViewer.RemoveMember(ctx, userID(admin)), domain.CodeNotFound)
		w.check(acme.RemoveMember(ctx, userID(admin)))
		_, err = w.Organization(ctx, admin, w.id(acme))
		w.code(err, domain.CodeNotFound)

		after := before
		after["member.updated"], after["member.left"], after["member.removed"] = 2, 1, 1
		if diff := cmp.Diff(after, w.actions(acme)); diff != "" {
			w.Error(diff)
		}
	})
}

// Guarantees that an organization keeps an owner when its two owners demote or
// remove each other at the same moment, however often they try.
func TestOwnersDemotingEachOther(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann := w.signUp("ann@example.com")
		acme, _ := w.tenant(ann)
		bob := w.invite(acme, "bob@example.com", domain.Owner)
		var failed int
		all := rounds(500)
		for round := range all {
			byAnn, byBob := w.organization(ann, acme), w.organization(bob, acme)
			var errs [2]error
			var both sync.WaitGroup
			both.Go(func() { _, errs[0] = byAnn.UpdateMember(ctx, userID(bob), domain.Admin) })
			both.Go(func() { _, errs[1] = byBob.UpdateMember(ctx, userID(ann), domain.Admin) })
			both.Wait()

			list, err := byAnn.ListMembers(ctx, domain.Page{Limit: 10})
			w.check(err)
			var owners []domain.UserID
			for _, m := range list.Items {
				if m.Role == domain.Owner {
					owners = append(owners, m.User.ID)
				}
			}
			if len(owners) != 1 {
				w.Fatalf("round %d: got owners %v after %v, want exactly one", round, owners, errs)
			}
			for _, err := range errs {
				if err != nil {
					failed++
					w.code(err, domain.CodeScopeNotHeld)
				}
			}
			loser, winner := ann, byBob
			if owners[0] == userID(ann) {
				loser, winner = bob, byAnn
			}
			_, err = winner.UpdateMember(ctx, userID(loser), domain.Owner)
			w.check(err)
		}
		if got, want := failed, all; got != want {
			w.Errorf("got %d refusals, want %d: one a round", got, want)
		}
	})
}

// Guarantees that an invitation serves the address it is for, once, for seven
// days, and only while who wrote it could still write it.
func TestInvitations(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		acme, _ := w.tenant(w.signUp("owner@example.com"))
		admin := w.invite(acme, "admin@example.com", domain.Admin)
		byAdmin := w.organization(admin, acme)
		invite := func(by *service.Organization, email string, role domain.Role) (domain.Invitation, string) {
			w.Helper()
			v, token, err := by.CreateInvitation(ctx, domain.InvitationSpec{Email: email, Role: role})
			w.check(err)
			return v, token
		}
		accept := func(caller domain.Principal, token string) error {
			_, err := w.AcceptInvitation(ctx, caller, token)
			return err
		}

		_, _, err := byAdmin.CreateInvitation(ctx, domain.InvitationSpec{Email: "x@example.com", Role: domain.Owner})
		w.code(err, domain.CodeScopeNotHeld)
		_, _, err = byAdmin.CreateInvitation(ctx, domain.InvitationSpec{Email: "x", Role: "king"})
		w.code(err, domain.CodeValidationFailed)
		_, _, err = byAdmin.CreateInvitation(ctx, domain.InvitationSpec{Email: "OWNER@example.com", Role: domain.Viewer})
		w.code(err, domain.CodeConflict)

		bob, eve := w.signUp("bob@example.com"), w.signUp("eve@example.com")
		_, token := invite(byAdmin, " Bob@Example.com ", domain.Developer)
		w.code(accept(eve, token), domain.CodeForbidden)
		w.code(accept(domain.Principal{}, token), domain.CodeUnauthenticated)
		for _, forged := range []string{"", "x", token + "A", token[:len(token)-1], token[1:] + "A"} {
			w.code(accept(bob, forged), domain.CodeNotFound)
		}

		// Many at the same time: it is used once.
		var accepted, refused int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				err := accept(bob, token)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					accepted++
				} else if domain.CodeOf(err) == domain.CodeConflict {
					refused++
				}
			})
		}
		all.Wait()
		if accepted != 1 || refused != 9 {
			w.Errorf("got %d accepted and %d refused, want 1 and 9", accepted, refused)
		}
		if got := w.organization(bob, acme).Authorize(domain.KeysWrite); got != nil {
			w.Errorf("got %v, want the role that was offered", got)
		}

		withdrawn, token := invite(acme, "eve@example.com", domain.Owner)
		w.code(byAdmin.RevokeInvitation(ctx, withdrawn.ID), domain.CodeScopeNotHeld)
		w.check(acme.RevokeInvitation(ctx, withdrawn.ID))
		w.code(acme.RevokeInvitation(ctx, withdrawn.ID), domain.CodeNotFound)
		w.code(accept(eve, token), domain.CodeNotFound)

		_, token = invite(acme, "eve@example.com", domain.Viewer)
		w.Pass(domain.InvitationLifetime)
		w.code(accept(eve, token), domain.CodeNotFound)

		_, token = invite(byAdmin, "eve@example.com", domain.Admin)
		_, err = acme.UpdateMember(ctx, userID(admin), domain.Viewer)
		w.check(err)
		w.code(accept(eve, token), domain.CodeForbidden)
		_, err = acme.UpdateMember(ctx, userID(admin), domain.Owner)
		w.check(err)
		w.check(accept(eve, token))

		list, err := acme.ListInvitations(ctx, domain.Page{Limit: 10})
		w.check(err)
		used := 0
		for _, v := range list.Items {
			if !v.AcceptedAt.IsZero() {
				used++
				w.code(acme.RevokeInvitation(ctx, v.ID), domain.CodeConflict)
			}
		}
		if got, want := used, 3; got != want {
			w.Errorf("got %d accepted invitations in the list, want %d", got, want)
		}
	})
}

// Guarantees that with sign-up by invitation an account needs the token of an
// invitation for its address, which is still open, so that knowing an address
// that was invited is not enough; and that with sign-up closed there is none.
func TestSignupPolicies(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		acme, _ := w.tenant(w.signUp("owner@example.com"))
		byInvitation, closed := w.Another(service.Options{Signup: service.SignupInvite}),
			w.Another(service.Options{Signup: service.SignupClosed})
		signUp := func(app *service.App, email, token string) error {
			_, err := app.SignUp(ctx, domain.Origin{},
				domain.SignUp{Email: email, Password: password, InvitationToken: domain.Hidden(token)})
			return err
		}
		w.code(signUp(byInvitation, "bob@example.com", ""), domain.CodeSignupClosed)
		invitation, token, err := acme.CreateInvitation(ctx, domain.InvitationSpec{Email: "bob@example.com", Role: domain.Viewer})
		w.check(err)
		w.code(signUp(closed, "bob@example.com", token), domain.CodeSignupClosed)
		for _, wrong := range []string{"", "garbage", token[1:] + "A", strings.Repeat("x", 1000), string(invitation.ID)} {
			w.code(signUp(byInvitation, "bob@example.com", wrong), domain.CodeSignupClosed)
		}
		w.code(signUp(byInvitation, "eve@example.com", token), domain.CodeSignupClosed)
		w.check(signUp(byInvitation, "BOB@example.com", token))

		revoked, token, err := acme.CreateInvitation(ctx, domain.InvitationSpec{Email: "eve@example.com", Role: domain.Viewer})
		w.check(err)
		w.check(acme.RevokeInvitation(ctx, revoked.ID))
		w.code(signUp(byInvitation, "eve@example.com", token), domain.CodeSignupClosed)
		_, token, err = acme.CreateInvitation(ctx, domain.InvitationSpec{Email: "eve@example.com", Role: domain.Viewer})
		w.check(err)
		w.Pass(domain.InvitationLifetime)
		w.code(signUp(byInvitation, "eve@example.com", token), domain.CodeSignupClosed)
		w.check(signUp(w.App, "eve@example.com", token)) // ignored where sign-up is open
	})
}
