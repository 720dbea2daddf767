package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// Engines are the databases that every test of stored behavior runs on.
var Engines = map[string]func(testing.TB) string{"SQLite": SQLite, "PostgreSQL": Postgres}

// Run is the contract of repository.Store: what the layers above rely on, with
// either database. open returns a new store for each part.
func Run(t *testing.T, open func(testing.TB) *repository.Store) {
	for name, test := range map[string]func(*testing.T, *repository.Store){
		"Organizations": testOrganizations, "Projects": testProjects, "Keys": testKeys, "KeyStatistics": testKeyStatistics,
		"Customers": testCustomers, "HourlyUses": testHourlyUses,
		"KeyFilters": testKeyFilters, "Usage": testUsage, "UsageGroups": testUsageGroups,
		"Secrets": testSecrets, "Uses": testUses, "Tenancy": testTenancy, "Users": testUsers, "Sessions": testSessions,
		"Nodes":   testNodes,
		"Members": testMembers, "ServiceAccounts": testServiceAccounts, "ServiceTokens": testServiceTokens,
		"Invitations": testInvitations, "MailedTokens": testMailedTokens, "Deletion": testDeletion,
		"ProjectDeletion": testProjectDeletion, "Events": testEvents, "Pages": testPages, "Transactions": testTransactions,
		"Settings":  testSettings,
		"KeyFields": testKeyFields, "OtherFields": testOtherFields, "Revisions": testRevisions,
		"Counters": testCounters, "ManyCounters": testManyCounters, "Credits": testCredits, "SweptCounters": testSweptCounters,
		"FailedVisit": testFailedVisit,
		"Plans":       testPlans, "PlansAreNoted": testPlansAreNoted,
		"Webhooks": testWebhooks, "QueuedDeliveries": testQueuedDeliveries, "ClaimedDeliveries": testClaimedDeliveries,
		"Outbox": testOutbox, "PostedMail": testPostedMail, "Feeds": testFeeds, "Notes": testNotes,
		"OwnersOfTokens": testOwnersOfTokens, "DisplacedSessions": testDisplacedSessions,
		"Imports": testImports, "UntaggedTokens": testUntaggedTokens, "Idempotency": testIdempotency, "Health": testHealth,
		"Makers": testMakers, "Outages": testOutages, "EveryList": testEveryList,
		"Finding": testFinding, "People": testPeople, "Refusals": testRefusals, "LastUses": testLastUses,
		"OutagesInSteps": testOutagesInSteps,
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
	u := domain.User{ID: domain.NewID[domain.UserID](epoch), Kind: domain.PersonUser, Email: email, Name: "Ann",
		Status: domain.Active, CreatedAt: epoch}
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
