package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func testOrganizations(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann, bob := newUser(t, s, "ann@example.com"), newUser(t, s, "bob@example.com")
	org := newOrganization(t, s, "acme", ann)

	got, err := s.OrganizationAsMember(ctx, ann.ID, org.ID)
	equal(t, got, domain.MemberOf{Organization: org, Role: domain.Owner}, err)
	_, err = s.OrganizationAsMember(ctx, bob.ID, org.ID)
	code(t, err, domain.CodeNotFound)
	list, err := s.ListOrganizationsOf(ctx, bob.ID, domain.Page{Limit: 10})
	equal(t, len(list.Items), 0, err)

	again := org
	again.ID = domain.NewID[domain.OrganizationID](epoch)
	code(t, s.CreateOrganization(ctx, again), domain.CodeConflict)
	code(t, s.AddMember(ctx, org.Scope(), domain.Membership{UserID: ann.ID, Role: domain.Viewer, JoinedAt: epoch}), domain.CodeConflict)
	code(t, s.AddMember(ctx, org.Scope(), domain.Membership{UserID: "usr_none", Role: domain.Viewer, JoinedAt: epoch}), domain.CodeNotFound)

	org.Name, org.Revision = "Acme & Söhne", 2
	check(t, s.UpdateOrganization(ctx, org.Scope(), org))
	code(t, s.UpdateOrganization(ctx, org.Scope(), org), domain.CodeConflict) // not one revision ahead any more
	locked, err := s.LockOrganization(ctx, org.Scope())
	equal(t, locked, org, err)

	check(t, s.DeleteOrganization(ctx, org.Scope(), epoch))
	code(t, s.DeleteOrganization(ctx, org.Scope(), epoch), domain.CodeNotFound)
	_, err = s.OrganizationAsMember(ctx, ann.ID, org.ID)
	code(t, err, domain.CodeNotFound)
}

// testDeletion guarantees that a deleted organization is gone immediately, with
// everything that it owned, and that its rows are removed in batches, without
// touching others.
func testDeletion(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "acme")
	other, otherProject := newTenant(t, s, "other")
	for _, in := range []domain.Project{p, otherProject} {
		for i := range 5 {
			k := newKey(in, fmt.Sprint("k", i), epoch)
			check(t, s.CreateKey(ctx, in.Scope(), k))
			check(t, s.AddSecret(ctx, in.Scope(), newSecret(k, domain.TokenID(fmt.Sprint(in.ID, i)))))
			check(t, s.AddEvent(ctx, domain.Event{ID: domain.NewID[domain.EventID](epoch), At: epoch, Action: "key.created",
				OrganizationID: in.OrganizationID}))
		}
	}
	check(t, s.DeleteOrganization(ctx, org.Scope(), epoch))
	_, err := s.GetOrganization(ctx, org.ID)
	code(t, err, domain.CodeNotFound)
	_, err = s.GetOrganizationBySlug(ctx, org.Slug)
	code(t, err, domain.CodeNotFound)
	_, err = s.LockOrganization(ctx, org.Scope())
	code(t, err, domain.CodeNotFound)
	_, err = s.GetProject(ctx, p.ID)
	code(t, err, domain.CodeNotFound)
	_, _, err = s.CallingKey(ctx, domain.TokenID(fmt.Sprint(p.ID, 0)))
	code(t, err, domain.CodeNotFound)
	all, err := s.ListOrganizations(ctx, domain.Page{Limit: 10})
	equal(t, len(all.Items), 1, err)

	// 5 keys, 5 events and a project, two at a time, and the organization.
	calls := 0
	for more := true; more; calls++ {
		more, err = s.PurgeOrganizations(ctx, 2)
		check(t, err)
	}
	equal(t, calls, 3+3+1+1+1, nil)
	n, err := s.CountAllKeys(ctx)
	equal(t, n, 5, err)
	events, err := s.ListAllEvents(ctx, domain.EventFilter{}, domain.Page{Limit: 20})
	equal(t, len(events.Items), 5, err)
	_, err = s.GetOrganization(ctx, other.ID)
	check(t, err)
}

// testMembers guarantees that members are seen, changed and removed only within
// their organization.
func testMembers(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann, bob := newUser(t, s, "ann@example.com"), newUser(t, s, "bob@example.com")
	org, other := newOrganization(t, s, "acme", ann), newOrganization(t, s, "other", bob)
	check(t, s.AddMember(ctx, org.Scope(), domain.Membership{UserID: bob.ID, Role: domain.Viewer, JoinedAt: epoch.Add(time.Second)}))
	list, err := s.ListMembers(ctx, org.Scope(), domain.Page{Limit: 1})
	equal(t, list.Items, []domain.Member{{User: bob, Role: domain.Viewer, JoinedAt: epoch.Add(time.Second)}}, err)
	list, err = s.ListMembers(ctx, org.Scope(), domain.Page{Limit: 1, After: list.Next})
	equal(t, list.Items, []domain.Member{{User: ann, Role: domain.Owner, JoinedAt: epoch}}, err)

	_, err = s.GetMember(ctx, other.Scope(), ann.ID)
	code(t, err, domain.CodeNotFound)
	code(t, s.SetRole(ctx, other.Scope(), ann.ID, domain.Viewer), domain.CodeNotFound)
	code(t, s.RemoveMember(ctx, other.Scope(), ann.ID), domain.CodeNotFound)
	found, err := s.HasMemberWithEmail(ctx, other.Scope(), ann.Email)
	equal(t, found, false, err)

	check(t, s.SetRole(ctx, org.Scope(), bob.ID, domain.Owner))
	n, err := s.CountOwners(ctx, org.Scope())
	equal(t, n, 2, err)
	check(t, s.RemoveMember(ctx, org.Scope(), ann.ID))
	n, err = s.CountOwners(ctx, org.Scope())
	equal(t, n, 1, err)
	found, err = s.HasMemberWithEmail(ctx, org.Scope(), bob.Email)
	equal(t, found, true, err)
}

// testInvitations guarantees that an invitation is used once, and is seen and
// withdrawn only within its organization.
func testInvitations(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	org, other := newOrganization(t, s, "acme", ann), newOrganization(t, s, "other", ann)
	invite := func(email string) domain.Invitation {
		v := domain.Invitation{
			ID: domain.NewID[domain.InvitationID](epoch), OrganizationID: org.ID, Email: email, Role: domain.Viewer, InvitedBy: ann.Actor(),
			CreatedAt: epoch, ExpiresAt: epoch.Add(time.Hour),
		}
		check(t, s.CreateInvitation(ctx, org.Scope(), v, []byte(email)))
		return v
	}
	v, w := invite("bob@example.com"), invite("eve@example.com")
	got, in, err := s.InvitationByDigest(ctx, []byte("bob@example.com"))
	equal(t, got, v, err)
	equal(t, in, org, nil)
	_, _, err = s.InvitationByDigest(ctx, []byte("unknown@example.com"))
	code(t, err, domain.CodeNotFound)

	_, err = s.GetInvitation(ctx, other.Scope(), v.ID)
	code(t, err, domain.CodeNotFound)
	code(t, s.AcceptInvitation(ctx, other.Scope(), v.ID, epoch), domain.CodeConflict)
	code(t, s.DeleteInvitation(ctx, other.Scope(), v.ID), domain.CodeNotFound)
	list, err := s.ListInvitations(ctx, other.Scope(), domain.Page{Limit: 10})
	equal(t, len(list.Items), 0, err)

	check(t, s.AcceptInvitation(ctx, org.Scope(), v.ID, epoch))
	code(t, s.AcceptInvitation(ctx, org.Scope(), v.ID, epoch), domain.CodeConflict)
	code(t, s.DeleteInvitation(ctx, org.Scope(), v.ID), domain.CodeNotFound) // it is history now
	check(t, s.DeleteInvitation(ctx, org.Scope(), w.ID))
	list, err = s.ListInvitations(ctx, org.Scope(), domain.Page{Limit: 10})
	v.AcceptedAt = epoch
	equal(t, list.Items, []domain.Invitation{v}, err)
}
