package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func newServiceAccount(t *testing.T, s *repository.Store, of domain.Organization) domain.ServiceAccount {
	t.Helper()
	a := domain.ServiceAccount{
		ID:             domain.NewID[domain.UserID](epoch),
		OrganizationID: of.ID,
		Name:           "ci",
		Role:           domain.Viewer,
		Status:         domain.Active,
		CreatedAt:      epoch,
		UpdatedAt:      epoch,
		Revision:       1,
	}
	check(t, s.CreateServiceAccount(t.Context(), of.Scope(), a))
	return a
}

// testServiceAccounts guarantees that a service account is stored with every field, is
// found in its own organization only, is never taken for a person, and cannot become a
// member elsewhere.
func testServiceAccounts(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	org, other := newOrganization(t, s, "acme", ann), newOrganization(t, s, "other", ann)
	a := newServiceAccount(t, s, org)
	got, err := s.GetServiceAccount(ctx, org.Scope(), a.ID)
	equal(t, got, a, err)
	_, err = s.GetServiceAccount(ctx, other.Scope(), a.ID)
	code(t, err, domain.CodeNotFound)
	_, err = s.GetServiceAccount(ctx, org.Scope(), ann.ID)
	code(t, err, domain.CodeNotFound)

	changed := filled(t, domain.ServiceAccount{
		ID: a.ID, OrganizationID: org.ID, Role: domain.Admin, Status: domain.Disabled, CreatedAt: epoch, Revision: 2,
	}, 1)
	code(t, s.UpdateServiceAccount(ctx, other.Scope(), changed), domain.CodeConflict)
	check(t, s.UpdateServiceAccount(ctx, org.Scope(), changed))
	code(t, s.UpdateServiceAccount(ctx, org.Scope(), changed), domain.CodeConflict)
	got, err = s.GetServiceAccount(ctx, org.Scope(), a.ID)
	equal(t, got, changed, err)

	_, err = s.GetUser(ctx, a.ID)
	code(t, err, domain.CodeNotFound)
	_, _, err = s.GetUserByEmail(ctx, string(a.ID))
	code(t, err, domain.CodeNotFound)
	_, _, err = s.LockUser(ctx, a.ID)
	code(t, err, domain.CodeNotFound)
	members, err := s.ListMembers(ctx, org.Scope(), domain.Page{Limit: 10})
	equal(t, len(members.Items), 1, err)
	people, err := s.CountUsers(ctx)
	equal(t, people, 1, err)
	n, err := s.CountServiceAccounts(ctx, org.Scope())
	equal(t, n, 1, err)

	elsewhere := domain.Membership{UserID: a.ID, Role: domain.Viewer, JoinedAt: epoch}
	if err := s.AddMember(ctx, other.Scope(), elsewhere); err == nil {
		t.Error("a service account became a member of another organization")
	}
	code(t, s.DeleteServiceAccount(ctx, other.Scope(), a.ID), domain.CodeNotFound)
	code(t, s.DeleteServiceAccount(ctx, org.Scope(), ann.ID), domain.CodeNotFound)
	check(t, s.DeleteServiceAccount(ctx, org.Scope(), a.ID))
	_, err = s.GetMember(ctx, org.Scope(), a.ID)
	code(t, err, domain.CodeNotFound)

	last := newServiceAccount(t, s, org)
	check(t, s.DeleteOrganization(ctx, org.Scope(), epoch))
	_, err = s.GetServiceAccount(ctx, org.Scope(), last.ID)
	code(t, err, domain.CodeNotFound)
}

// testServiceTokens guarantees that a token of a service account is a session that no
// node ends for idling, and ends with its session.
func testServiceTokens(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	org := newOrganization(t, s, "acme", ann)
	a, b := newServiceAccount(t, s, org), newServiceAccount(t, s, org)
	add := func(expires time.Time) (domain.Session, domain.ServiceToken) {
		t.Helper()
		token := domain.ServiceToken{ID: domain.NewTokenID(), Name: "ci", Prefix: "lks_live_x", CreatedAt: epoch}
		if !expires.Equal(domain.Forever) {
			token.ExpiresAt = expires
		}
		session := domain.Session{
			ID: domain.NewID[domain.SessionID](epoch), UserID: a.ID, CreatedAt: epoch, LastUsedAt: domain.Forever, ExpiresAt: expires,
			RefreshDigest: domain.Digest("none"),
		}
		check(t, s.CreateServiceToken(ctx, session, token, []byte("digest of "+string(token.ID))))
		return session, token
	}
	session, forever := add(domain.Forever)
	_, brief := add(epoch.Add(time.Hour))
	code(t, s.CreateServiceToken(ctx, domain.Session{
		ID: domain.NewID[domain.SessionID](epoch), UserID: b.ID, CreatedAt: epoch, LastUsedAt: epoch, ExpiresAt: epoch,
		RefreshDigest: domain.Digest("none"),
	}, forever, []byte("another")), domain.CodeConflict)

	secret, err := s.ServiceSecret(ctx, forever.ID)
	equal(t, secret, repository.ServiceSecret{Session: session.ID, Digest: []byte("digest of " + string(forever.ID))}, err)
	calling, err := s.CallingUser(ctx, secret.Session)
	equal(t, calling.User.IsService(), true, err)
	check(t, s.UseServiceToken(ctx, forever.ID, epoch.Add(time.Minute)))
	forever.LastUsedAt = epoch.Add(time.Minute)

	list := func(user domain.UserID, now time.Time) []domain.ServiceToken {
		t.Helper()
		found, err := s.ListServiceTokens(ctx, user, now, domain.Page{Limit: 10})
		check(t, err)
		n, err := s.CountServiceTokens(ctx, user, now)
		equal(t, n, len(found.Items), err)
		return found.Items
	}
	equal(t, len(list(a.ID, epoch)), 2, nil)
	equal(t, len(list(b.ID, epoch)), 0, nil)
	late := epoch.AddDate(100, 0, 0)
	check(t, s.ForgetSessions(ctx, late, late.AddDate(0, 0, -14)))
	equal(t, list(a.ID, late), []domain.ServiceToken{forever}, nil)
	_, err = s.ServiceSecret(ctx, brief.ID)
	code(t, err, domain.CodeNotFound)

	_, err = s.DeleteServiceToken(ctx, b.ID, forever.ID)
	code(t, err, domain.CodeNotFound)
	gone, err := s.DeleteServiceToken(ctx, a.ID, forever.ID)
	equal(t, gone, forever, err)
	_, err = s.ServiceSecret(ctx, forever.ID)
	code(t, err, domain.CodeNotFound)
	_, kept := add(domain.Forever)
	check(t, s.DeleteServiceAccount(ctx, org.Scope(), a.ID))
	_, err = s.ServiceSecret(ctx, kept.ID)
	code(t, err, domain.CodeNotFound)
}
