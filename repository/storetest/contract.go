package storetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// Engines are the databases that every test of stored behavior runs on.
var Engines = map[string]func(testing.TB) string{"SQLite": SQLite, "PostgreSQL": Postgres}

// SQLite returns the address of a new database for the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db")
}

// New returns a migrated store over the database at dsn, closed with the test.
func New(t testing.TB, dsn string) *repository.Store {
	t.Helper()
	store, err := repository.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// Run is the contract of repository.Store: what the layers above rely on, with
// either database. open returns a new store for each part.
func Run(t *testing.T, open func(testing.TB) *repository.Store) {
	for name, test := range map[string]func(*testing.T, *repository.Store){
		"Organizations": testOrganizations, "Projects": testProjects, "Keys": testKeys, "KeyStatistics": testKeyStatistics, "KeyFilters": testKeyFilters,
		"Secrets": testSecrets, "Uses": testUses, "Tenancy": testTenancy, "Users": testUsers, "Sessions": testSessions, "Nodes": testNodes,
		"Members": testMembers, "Invitations": testInvitations, "MailedTokens": testMailedTokens, "Deletion": testDeletion, "ProjectDeletion": testProjectDeletion, "Events": testEvents, "Pages": testPages, "Transactions": testTransactions, "Settings": testSettings,
		"KeyFields": testKeyFields, "OtherFields": testOtherFields, "Revisions": testRevisions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// epoch is an arbitrary time with microseconds, the stored precision.
var epoch = time.Date(2026, 3, 14, 15, 9, 26, 535898000, time.UTC)

func newUser(t *testing.T, s *repository.Store, email string) domain.User {
	t.Helper()
	u := domain.User{ID: domain.NewID[domain.UserID](epoch), Email: email, Name: "Ann", Status: domain.Active, CreatedAt: epoch}
	check(t, s.CreateUser(t.Context(), u, "hash of "+email))
	return u
}

func newOrganization(t *testing.T, s *repository.Store, slug string, owner domain.User) domain.Organization {
	t.Helper()
	o := domain.Organization{
		ID: domain.NewID[domain.OrganizationID](epoch), Name: "Acme", Slug: slug, Status: domain.Active,
		CreatedAt: epoch, UpdatedAt: epoch, Revision: 1,
	}
	check(t, s.CreateOrganization(t.Context(), o))
	check(t, s.AddMember(t.Context(), o.Scope(), domain.Membership{UserID: owner.ID, Role: domain.Owner, JoinedAt: epoch}))
	return o
}

func newProject(t *testing.T, s *repository.Store, o domain.Organization, slug string) domain.Project {
	t.Helper()
	p := domain.Project{
		ID: domain.NewID[domain.ProjectID](epoch), OrganizationID: o.ID, Name: "API", Slug: slug, KeyPrefix: "lk", Status: domain.Active,
		CreatedAt: epoch, UpdatedAt: epoch, Revision: 1,
	}
	check(t, s.CreateProject(t.Context(), o.Scope(), p))
	return p
}

// tenant is an organization with a project.
func newTenant(t *testing.T, s *repository.Store, slug string) (domain.Organization, domain.Project) {
	t.Helper()
	o := newOrganization(t, s, slug, newUser(t, s, slug+"@example.com"))
	return o, newProject(t, s, o, "api")
}

func newKey(p domain.Project, name string, at time.Time) domain.Key {
	return domain.Key{
		ID: domain.NewID[domain.KeyID](at), ProjectID: p.ID, Name: name, Prefix: "lk_live_" + name, Environment: domain.Live,
		Scopes: []domain.Scope{"documents:read"}, Metadata: map[string]string{"team": "påyments"}, CreatedAt: at,
		CreatedBy: domain.Actor{Kind: domain.ActorUser, ID: "usr_1", Name: "Ann"}, Revision: 1,
	}
}

func newSecret(k domain.Key, id domain.TokenID) domain.Secret {
	return domain.Secret{
		TokenID: id, ProjectID: k.ProjectID, KeyID: k.ID, Prefix: "lk_live_" + string(id), Algorithm: domain.HMACSHA256, PepperVersion: 1,
		Digest: []byte{0, 1, 0xff, '\''}, CreatedAt: epoch,
	}
}

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
			check(t, s.AddEvent(ctx, domain.Event{ID: domain.NewID[domain.EventID](epoch), At: epoch, Action: "key.created", OrganizationID: in.OrganizationID}))
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

// testProjectDeletion guarantees that a deleted project is gone immediately,
// however many keys it has, and that its keys are removed in batches of a
// bounded size, without touching those of others.
func testProjectDeletion(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "acme")
	other := newProject(t, s, org, "other")
	const keys, batch = 3_000, 500
	for first := 0; first < keys; first += 1000 {
		imported := make([]domain.ImportedKey, 1000)
		for i := range imported {
			k := newKey(p, fmt.Sprint("k", first+i), epoch)
			imported[i] = domain.ImportedKey{Key: k, Secret: newSecret(k, domain.TokenID(fmt.Sprintf("t%011d", first+i)))}
		}
		check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
			return tx.AddImported(ctx, p.Scope(), int64(first/1000)+1, imported)
		}))
	}
	kept := newKey(other, "kept", epoch)
	check(t, s.CreateKey(ctx, other.Scope(), kept))

	count := func() int {
		n, err := s.CountAllKeys(ctx)
		check(t, err)
		return n
	}
	check(t, s.DeleteProject(ctx, p.Scope(), epoch))
	equal(t, count(), keys+1, nil)
	code(t, s.DeleteProject(ctx, p.Scope(), epoch), domain.CodeNotFound)
	_, err := s.GetProject(ctx, p.ID)
	code(t, err, domain.CodeNotFound)
	_, err = s.GetProjectBySlug(ctx, org.Scope(), p.Slug)
	code(t, err, domain.CodeNotFound)
	_, err = s.LockProject(ctx, p.Scope())
	code(t, err, domain.CodeNotFound)
	members, err := s.ListMembers(ctx, org.Scope(), domain.Page{Limit: 1})
	check(t, err)
	_, _, err = s.ProjectAsMember(ctx, members.Items[0].User.ID, p.ID)
	code(t, err, domain.CodeNotFound)
	_, _, err = s.CallingKey(ctx, "t00000000000")
	code(t, err, domain.CodeNotFound)
	list, err := s.ListProjects(ctx, org.Scope(), domain.Page{Limit: 10})
	equal(t, list.Items, []domain.Project{other}, err)
	newProject(t, s, org, p.Slug) // which is free

	left := keys + 1
	for more := true; more; {
		more, err = s.PurgeProjects(ctx, batch)
		check(t, err)
		now := count()
		if left-now > batch {
			t.Fatalf("a batch of %d removed %d keys", batch, left-now)
		}
		left = now
	}
	equal(t, left, 1, nil)
	_, err = s.GetKey(ctx, other.Scope(), kept.ID)
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

// testMailedTokens guarantees that a mailed token is valid once, for its
// purpose, until it expires, and not after the password that it should replace
// has changed.
func testMailedTokens(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann, bob := newUser(t, s, "ann@example.com"), newUser(t, s, "bob@example.com")
	add := func(u domain.User, digest string) {
		check(t, s.AddMailedToken(ctx, u.ID, "reset", []byte(digest), epoch.Add(time.Hour)))
	}
	owner := func(digest string, at time.Time, want domain.Code) {
		t.Helper()
		_, err := s.UserByMailedToken(ctx, "reset", []byte(digest), at)
		code(t, err, want)
	}
	add(ann, "one")
	add(ann, "two")
	add(bob, "three")
	id, err := s.UserByMailedToken(ctx, "reset", []byte("one"), epoch)
	equal(t, id, ann.ID, err)
	_, err = s.UserByMailedToken(ctx, "verify", []byte("one"), epoch)
	code(t, err, domain.CodeNotFound)
	owner("one", epoch.Add(time.Hour), domain.CodeNotFound)

	check(t, s.UseMailedToken(ctx, ann.ID, "reset", []byte("one")))
	code(t, s.UseMailedToken(ctx, ann.ID, "reset", []byte("one")), domain.CodeNotFound)
	owner("two", epoch, domain.CodeNotFound) // goes with the other
	add(ann, "four")
	check(t, s.SetPassword(ctx, ann.ID, "new"))
	owner("four", epoch, domain.CodeNotFound)
	check(t, s.ForgetMailedTokens(ctx, epoch.Add(time.Hour-time.Microsecond)))
	owner("three", epoch, "")
	check(t, s.ForgetMailedTokens(ctx, epoch.Add(time.Hour)))
	owner("three", epoch, domain.CodeNotFound)
}

func testProjects(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	org := newOrganization(t, s, "acme", ann)
	p := newProject(t, s, org, "api")

	got, in, err := s.ProjectAsMember(ctx, ann.ID, p.ID)
	equal(t, got, p, err)
	equal(t, in, domain.MemberOf{Organization: org, Role: domain.Owner}, nil)
	_, _, err = s.ProjectAsMember(ctx, newUser(t, s, "bob@example.com").ID, p.ID)
	code(t, err, domain.CodeNotFound)

	again := p
	again.ID = domain.NewID[domain.ProjectID](epoch)
	code(t, s.CreateProject(ctx, org.Scope(), again), domain.CodeConflict)
	newProject(t, s, newOrganization(t, s, "other", ann), "api") // a slug is unique in its organization only

	p.Status, p.Revision = domain.Disabled, 2
	check(t, s.UpdateProject(ctx, p.Scope(), p))
	code(t, s.UpdateProject(ctx, p.Scope(), p), domain.CodeConflict)

	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	check(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t1")))
	check(t, s.DeleteProject(ctx, p.Scope(), epoch))
	_, _, err = s.CallingKey(ctx, "t1")
	code(t, err, domain.CodeNotFound) // nothing of it is left
}

func testKeyStatistics(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	_, other := newTenant(t, s, "other")
	check(t, s.CreateKey(ctx, other.Scope(), newKey(other, "foreign", epoch)))
	day := epoch.Truncate(24 * time.Hour)
	now := day.Add(12 * time.Hour)
	for _, times := range [][3]time.Time{ // created, revoked, expiring
		{day},
		{day.Add(24*time.Hour - time.Microsecond), now, now.AddDate(0, 0, 1)},
		{day.AddDate(0, 0, -1), time.Time{}, now},
		{day.AddDate(0, 0, -40), time.Time{}, day.AddDate(0, 0, 7)},
		{day.AddDate(0, 0, -41)},
	} {
		k := newKey(p, "k", times[0])
		k.RevokedAt, k.ExpiresAt = times[1], times[2]
		check(t, s.CreateKey(ctx, p.Scope(), k))
	}
	got, err := s.KeyStatistics(ctx, p.Scope(), day.AddDate(0, 0, -30), now)
	equal(t, got, domain.KeyStatistics{Active: 3, Expired: 1, Revoked: 1, Days: []domain.KeyDay{
		{Day: day.AddDate(0, 0, -1), Created: 1}, {Day: day, Created: 2, Revoked: 1, Expiring: 1}, {Day: day.AddDate(0, 0, 7), Expiring: 1},
	}}, err)
	organizations, err := s.CountOrganizations(ctx)
	equal(t, organizations, 2, err)
	projects, err := s.CountProjects(ctx)
	equal(t, projects, 2, err)
}

func testKeys(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	got, err := s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got, key, err)
	n, err := s.CountKeys(ctx, p.Scope())
	equal(t, n, 1, err)

	key.Name, key.ExpiresAt, key.Revision = "renamed", epoch.Add(time.Hour), 2
	check(t, s.UpdateKey(ctx, p.Scope(), key))
	key.RevokedAt, key.RevokedReason, key.Revision = epoch, "lost", 3
	check(t, s.UpdateKey(ctx, p.Scope(), key))
	got, err = s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got, key, err)

	// Revocation is the last word, whatever the layers above believe.
	key.RevokedAt, key.RevokedReason, key.Revision = time.Time{}, "", 4
	code(t, s.UpdateKey(ctx, p.Scope(), key), domain.CodeConflict)
	got, err = s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got.Status(epoch), domain.KeyRevoked, err)

	check(t, s.DeleteKey(ctx, p.Scope(), key.ID))
	code(t, s.DeleteKey(ctx, p.Scope(), key.ID), domain.CodeNotFound)
}

func testKeyFilters(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	add := func(name string, change func(*domain.Key)) {
		k := newKey(p, name, epoch)
		change(&k)
		check(t, s.CreateKey(ctx, p.Scope(), k))
	}
	add("Live_100%", func(*domain.Key) {})
	add("Salón CAFÉ", func(k *domain.Key) { k.RevokedAt = epoch })
	add("test!", func(k *domain.Key) { k.Environment = domain.Test })
	add("past", func(k *domain.Key) { k.ExpiresAt = epoch.Add(-time.Second) })
	add("now", func(k *domain.Key) { k.ExpiresAt = epoch })
	add("future", func(k *domain.Key) { k.ExpiresAt, k.ExternalID = epoch.Add(time.Second), "cust_7" })
	add("gone", func(k *domain.Key) { k.RevokedAt, k.ExpiresAt = epoch, epoch.Add(-time.Second) })

	for _, test := range []struct {
		filter domain.KeyFilter
		want   []string
	}{
		{domain.KeyFilter{}, []string{"Live_100%", "Salón CAFÉ", "future", "gone", "now", "past", "test!"}},
		{domain.KeyFilter{Status: domain.KeyActive}, []string{"Live_100%", "future", "test!"}},
		{domain.KeyFilter{Status: domain.KeyExpired}, []string{"now", "past"}},
		{domain.KeyFilter{Status: domain.KeyRevoked}, []string{"Salón CAFÉ", "gone"}},
		{domain.KeyFilter{Environment: domain.Test}, []string{"test!"}},
		{domain.KeyFilter{ExternalID: "cust_7"}, []string{"future"}},
		{domain.KeyFilter{Search: "LIVE_1"}, []string{"Live_100%"}},
		{domain.KeyFilter{Search: "lk_live_FUT"}, []string{"future"}},
		{domain.KeyFilter{Search: "salón C"}, []string{"Salón CAFÉ"}},
		{domain.KeyFilter{Search: "salón cafÉ"}, []string{"Salón CAFÉ"}},
		{domain.KeyFilter{Search: "%"}, []string{"Live_100%"}}, // not a wildcard
		{domain.KeyFilter{Search: "!"}, []string{"test!"}},
		{domain.KeyFilter{Search: "' OR 1=1 --"}, nil},
		{domain.KeyFilter{Search: "cust_7"}, []string{"future"}}, // an external id
		{domain.KeyFilter{Search: "cust_"}, nil},                 // a part of one
		{domain.KeyFilter{Search: "test", Status: domain.KeyRevoked}, nil},
	} {
		list, err := s.ListKeys(ctx, p.Scope(), test.filter, domain.Page{Limit: 100}, epoch)
		var got []string
		for _, k := range list.Items {
			got = append(got, k.Name)
		}
		slices.Sort(got)
		equal(t, got, test.want, err)
	}
}

func testSecrets(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "acme")
	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	secret := newSecret(key, "t1")
	check(t, s.AddSecret(ctx, p.Scope(), secret))
	gotSecret, caller, err := s.CallingKey(ctx, "t1")
	equal(t, caller, domain.CallingKey{Key: key, Project: p, Organization: org}, err)
	if diff := cmp.Diff(secret, gotSecret); diff != "" {
		t.Error(diff)
	}
	_, _, err = s.CallingKey(ctx, "T1") // letter case is significant
	code(t, err, domain.CodeNotFound)

	code(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t2")), domain.CodeConflict) // two current secrets
	other := newKey(p, "other", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), other))
	code(t, s.AddSecret(ctx, p.Scope(), newSecret(other, "t1")), domain.CodeConflict) // the id is taken

	_, _, err = s.KeyByToken(ctx, "T1")
	code(t, err, domain.CodeNotFound)

	// After a rotation both tokens find the key, with what is left of the first.
	check(t, s.EndSecret(ctx, p.Scope(), "t1", epoch.Add(time.Hour)))
	check(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t2")))
	key.Prefix, key.RotatedAt, key.Revision = "lk_live_t2", epoch, 2
	key.Retiring = domain.Retiring{Prefix: "lk_live_t1", ValidUntil: epoch.Add(time.Hour)}
	check(t, s.UpdateKey(ctx, p.Scope(), key))
	got, err := s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got, key, err)
	check(t, s.RecordUses(ctx, []domain.Use{{ProjectID: p.ID, KeyID: key.ID, TokenID: "t1", First: epoch, Last: epoch}}))
	secret.ValidUntil = key.Retiring.ValidUntil
	for id, want := range map[domain.TokenID]domain.Secret{"t1": secret, "t2": newSecret(key, "t2")} {
		one, whole, err := s.CallingKey(ctx, id)
		equal(t, whole, domain.CallingKey{Key: key, Project: p, Organization: org}, err)
		other, alone, err := s.KeyByToken(ctx, id)
		equal(t, alone, key, err)
		if diff := cmp.Diff([]domain.Secret{want, want}, []domain.Secret{one, other}); diff != "" {
			t.Error(diff)
		}
	}
	live, err := s.LiveSecrets(ctx, p.Scope(), key.ID, epoch)
	equal(t, []time.Time{live[0].FirstUsedAt, live[1].FirstUsedAt}, []time.Time{{}, epoch}, err)
}

// testUses guarantees that uses of a key that is being deleted are dropped
// without losing those of other keys.
func testUses(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	var uses []domain.Use
	keys := make([]domain.Key, 3)
	for i := range keys {
		keys[i] = newKey(p, fmt.Sprint("k", i), epoch)
		secret := newSecret(keys[i], domain.TokenID(fmt.Sprint("t", i)))
		check(t, s.CreateKey(ctx, p.Scope(), keys[i]))
		check(t, s.AddSecret(ctx, p.Scope(), secret))
		uses = append(uses, domain.Use{ProjectID: p.ID, KeyID: keys[i].ID, TokenID: secret.TokenID, First: epoch, Last: epoch})
	}
	deleted, recorded := make(chan struct{}), make(chan error, 1)
	go func() {
		<-deleted
		recorded <- s.RecordUses(ctx, uses)
	}()
	check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		err := tx.DeleteKey(ctx, p.Scope(), keys[1].ID)
		close(deleted)
		select {
		case err := <-recorded:
			t.Errorf("the uses were recorded while the deletion was under way: %v", err)
		case <-time.After(100 * time.Millisecond): // long enough to reach the key
		}
		return err
	}))
	check(t, <-recorded)
	for i, want := range []time.Time{epoch, {}, epoch} {
		got, err := s.GetKey(ctx, p.Scope(), keys[i].ID)
		if i == 1 {
			code(t, err, domain.CodeNotFound)
			continue
		}
		equal(t, got.LastUsedAt, want, err)
	}
}

// testTenancy guarantees that with the scope of one tenant no row of another
// one is read, changed, removed or referred to.
func testTenancy(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	orgA, a := newTenant(t, s, "a")
	orgB, b := newTenant(t, s, "b")
	key := newKey(a, "k", epoch)
	check(t, s.CreateKey(ctx, a.Scope(), key))

	_, err := s.GetKey(ctx, b.Scope(), key.ID)
	code(t, err, domain.CodeNotFound)
	_, err = s.LockKey(ctx, b.Scope(), key.ID)
	code(t, err, domain.CodeNotFound)
	changed := key
	changed.Name, changed.Revision = "taken over", 2
	code(t, s.UpdateKey(ctx, b.Scope(), changed), domain.CodeConflict)
	code(t, s.DeleteKey(ctx, b.Scope(), key.ID), domain.CodeNotFound)
	code(t, s.AddSecret(ctx, b.Scope(), newSecret(key, "t1")), domain.CodeNotFound)
	list, err := s.ListKeys(ctx, b.Scope(), domain.KeyFilter{Search: "k"}, domain.Page{Limit: 10}, epoch)
	equal(t, len(list.Items), 0, err)
	projects, err := s.ListProjects(ctx, orgB.Scope(), domain.Page{Limit: 10})
	equal(t, projects.Items, []domain.Project{b}, err)

	// No valid code path gives this scope: B's project in A's organization.
	forged := domain.Project{ID: b.ID, OrganizationID: orgA.ID}.Scope()
	code(t, s.CreateKey(ctx, forged, newKey(b, "planted", epoch)), domain.CodeNotFound)
	_, err = s.LockProject(ctx, forged)
	code(t, err, domain.CodeNotFound)
	code(t, s.DeleteProject(ctx, forged, epoch), domain.CodeNotFound)

	got, err := s.GetKey(ctx, a.Scope(), key.ID)
	equal(t, got, key, err)
}

func testUsers(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	code(t, s.CreateUser(ctx, domain.User{ID: "usr_2", Email: ann.Email, Status: domain.Active, CreatedAt: epoch}, ""), domain.CodeConflict)
	ann.Name, ann.EmailVerified = "Ann O'Hara \\ \"?\"", true
	check(t, s.UpdateUser(ctx, ann))
	check(t, s.SetPassword(ctx, ann.ID, "$argon2id$new"))
	got, hash, err := s.GetUserByEmail(ctx, ann.Email)
	equal(t, got, ann, err)
	equal(t, hash, "$argon2id$new", nil)
	_, err = s.GetUser(ctx, "usr_none")
	code(t, err, domain.CodeNotFound)
	code(t, s.UpdateUser(ctx, domain.User{ID: "usr_none", Status: domain.Active}), domain.CodeNotFound)
	n, err := s.CountUsers(ctx)
	equal(t, n, 1, err)
}

func testSessions(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	session := func() domain.Session {
		v := domain.Session{
			ID: domain.NewID[domain.SessionID](epoch), UserID: ann.ID, CreatedAt: epoch, LastUsedAt: epoch, ExpiresAt: epoch.Add(time.Hour),
			IP: "192.0.2.1", UserAgent: "curl", RefreshDigest: []byte("first"), PreviousDigest: []byte{},
		}
		check(t, s.CreateSession(ctx, v))
		return v
	}
	one, two := session(), session()
	got, err := s.CallingUser(ctx, one.ID)
	equal(t, got, domain.CallingUser{User: ann, Session: one}, err)

	// If many exchange the same token at the same time, one wins.
	var wins sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := s.RotateRefresh(ctx, one.ID, []byte("first"), fmt.Append(nil, i), epoch.Add(time.Second))
			if err == nil {
				wins.Store(i, true)
			} else {
				code(t, err, domain.CodeConflict)
			}
		})
	}
	wg.Wait()
	winners := 0
	wins.Range(func(any, any) bool { winners++; return true })
	equal(t, winners, 1, nil)

	n, err := s.DeleteSessions(ctx, ann.ID, one.ID)
	equal(t, n, 1, err)
	_, err = s.CallingUser(ctx, two.ID)
	code(t, err, domain.CodeNotFound)
	code(t, s.DeleteSession(ctx, "usr_other", one.ID), domain.CodeNotFound)
	check(t, s.DeleteSession(ctx, ann.ID, one.ID))
}

func testEvents(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	orgA, p := newTenant(t, s, "a")
	orgB, _ := newTenant(t, s, "b")
	add := func(org domain.OrganizationID, action string, at time.Time) domain.Event {
		e := domain.Event{
			ID: domain.NewID[domain.EventID](at), At: at, Actor: domain.Actor{Kind: domain.ActorUser, ID: "usr_1", Name: "Ann"}, Action: action,
			Target: domain.Target{Kind: "key", ID: "key_1", Name: "k"}, OrganizationID: org, ProjectID: p.ID,
			Origin:  domain.Origin{IP: "192.0.2.1", UserAgent: "curl", RequestID: "r"},
			Changes: domain.Changes{"name": {nil, "k"}},
		}
		check(t, s.AddEvent(ctx, e))
		return e
	}
	first, second := add(orgA.ID, "key.created", epoch), add(orgA.ID, "key.revoked", epoch.Add(time.Minute))
	add(orgB.ID, "key.created", epoch)
	add("", "user.updated", epoch)

	for _, test := range []struct {
		filter domain.EventFilter
		want   []domain.Event
	}{
		{domain.EventFilter{}, []domain.Event{second, first}},
		{domain.EventFilter{Action: "key.created", Actor: "usr_1", Target: "key_1"}, []domain.Event{first}},
		{domain.EventFilter{Actor: "usr_2"}, []domain.Event{}},
		{domain.EventFilter{Since: epoch.Add(time.Minute)}, []domain.Event{second}},
		{domain.EventFilter{Until: epoch.Add(time.Minute)}, []domain.Event{first}},
	} {
		list, err := s.ListEvents(ctx, orgA.Scope(), test.filter, domain.Page{Limit: 10})
		equal(t, list.Items, test.want, err)
	}
}

// testPages guarantees that paging through a list that grows shows each of its
// items once.
func testPages(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	want := map[domain.KeyID]bool{}
	for i := range 7 {
		k := newKey(p, fmt.Sprint("k", i), epoch.Add(time.Duration(i/3)*time.Second)) // several share a time
		check(t, s.CreateKey(ctx, p.Scope(), k))
		want[k.ID] = true
	}
	page := domain.Page{Limit: 2}
	for n := 0; ; n++ {
		list, err := s.ListKeys(ctx, p.Scope(), domain.KeyFilter{}, page, epoch)
		check(t, err)
		for _, k := range list.Items {
			if !want[k.ID] {
				t.Fatalf("%s came twice, or was not there at first", k.Name)
			}
			delete(want, k.ID)
		}
		if list.Next.IsZero() {
			break
		}
		page.After = list.Next
		check(t, s.CreateKey(ctx, p.Scope(), newKey(p, fmt.Sprint("late", n), epoch.Add(time.Hour))))
	}
	equal(t, len(want), 0, nil)
}

func testTransactions(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	boom := errors.New("boom")
	err := s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		check(t, tx.AddSetting(ctx, "kept", []byte{1}))
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want the error that ended the transaction", err)
	}
	_, err = s.GetSetting(ctx, "kept")
	code(t, err, domain.CodeNotFound)

	// A taken value does not end the transaction.
	check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		check(t, tx.AddSetting(ctx, "once", []byte{1}))
		code(t, tx.AddSetting(ctx, "once", []byte{1}), domain.CodeConflict)
		return tx.AddSetting(ctx, "after", []byte{1})
	}))
	_, err = s.GetSetting(ctx, "after")
	check(t, err)

	canceled, cancel := context.WithDeadline(ctx, epoch)
	defer cancel()
	code(t, s.AddSetting(canceled, "late", []byte{1}), domain.CodeUnavailable)
}

func testSettings(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	check(t, s.AddSetting(ctx, "name", []byte{0, 0xff}))
	code(t, s.AddSetting(ctx, "name", []byte{1}), domain.CodeConflict)
	got, err := s.GetSetting(ctx, "name")
	equal(t, got, []byte{0, 0xff}, err)
	check(t, s.AddSigningKey(ctx, repository.SigningKey{ID: "old", SealedPrivate: []byte{1}, CreatedAt: epoch}))
	check(t, s.AddSigningKey(ctx, repository.SigningKey{ID: "new", SealedPrivate: []byte{2}, CreatedAt: epoch.Add(time.Hour)}))
	keys, err := s.ListSigningKeys(ctx)
	equal(t, keys, []repository.SigningKey{
		{ID: "new", SealedPrivate: []byte{2}, CreatedAt: epoch.Add(time.Hour)}, {ID: "old", SealedPrivate: []byte{1}, CreatedAt: epoch},
	}, err)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	check(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func code(t *testing.T, err error, want domain.Code) {
	t.Helper()
	if got := domain.CodeOf(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
