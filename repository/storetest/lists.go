package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// listed is a list of a store, and what adds an item to it and returns its id.
type listed struct {
	add  func(at time.Time) string
	list func(ctx context.Context, p domain.Page) (ids []string, next domain.Cursor, err error)
}

func listOf[T any](read func(context.Context, domain.Page) (domain.List[T], error), id func(T) string) func(
	context.Context, domain.Page,
) ([]string, domain.Cursor, error) {
	return func(ctx context.Context, p domain.Page) ([]string, domain.Cursor, error) {
		page, err := read(ctx, p)
		var ids []string
		for _, item := range page.Items {
			ids = append(ids, id(item))
		}
		return ids, page.Next, err
	}
}

// testEveryList guarantees for every list that its pages together are the whole list,
// newest first and by id where times are equal, and that the last page says so.
func testEveryList(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	n, round := 0, 0
	number := func() string { n++; return fmt.Sprint("x", n) }
	org, p := newTenant(t, s, "acme")
	ann := newUser(t, s, "ann@example.com")
	check(t, s.AddMember(ctx, org.Scope(), domain.Membership{UserID: ann.ID, Role: domain.Viewer, JoinedAt: epoch.Add(-time.Hour)}))
	addEvent := func(of domain.OrganizationID) func(at time.Time) string {
		return func(at time.Time) string {
			e := filled(t, domain.Event{ID: domain.NewID[domain.EventID](at), At: at, Changes: domain.Changes{}}, 1)
			e.OrganizationID, e.ProjectID = of, ""
			check(t, s.AddEvent(ctx, e))
			return string(e.ID)
		}
	}
	addKey := func(at time.Time) string {
		k := newKey(p, number(), at)
		k.CreatedBy.ID = string(ann.ID)
		check(t, s.CreateKey(ctx, p.Scope(), k))
		return string(k.ID)
	}
	ofEvent := func(e domain.Event) string { return string(e.ID) }
	ofKey := func(k domain.Key) string { return string(k.ID) }
	ofOrganization := func(o domain.MemberOf) string { return string(o.ID) }
	addOrganization := func(at time.Time) string {
		o := domain.Organization{ID: domain.NewID[domain.OrganizationID](at), Slug: number(), Status: domain.Active, CreatedAt: at}
		o = filled(t, o, 1)
		check(t, s.CreateOrganization(ctx, o))
		check(t, s.AddMember(ctx, o.Scope(), domain.Membership{UserID: ann.ID, Role: domain.Viewer, JoinedAt: at}))
		return string(o.ID)
	}
	addUser := func(at time.Time) string {
		u := domain.User{ID: domain.NewID[domain.UserID](at), Email: number() + "@example.com", Status: domain.Active, CreatedAt: at}
		check(t, s.CreateUser(ctx, filled(t, u, 1), ""))
		return string(u.ID)
	}
	for name, l := range map[string]listed{
		"events of an organization": {addEvent(org.ID), listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.Event], error) {
			return s.ListEvents(ctx, org.Scope(), domain.EventFilter{}, p)
		}, ofEvent)},
		"events of accounts": {addEvent(""), listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.Event], error) {
			return s.ListAccountEvents(ctx, domain.EventFilter{}, p)
		}, ofEvent)},
		"keys": {addKey, listOf(func(ctx context.Context, page domain.Page) (domain.List[domain.Key], error) {
			return s.ListKeys(ctx, p.Scope(), domain.KeyFilter{}, page, epoch)
		}, ofKey)},
		"plans": {func(at time.Time) string {
			plan := newPlan(p, number(), at)
			check(t, s.CreatePlan(ctx, p.Scope(), plan))
			return string(plan.ID)
		}, listOf(func(ctx context.Context, page domain.Page) (domain.List[domain.Plan], error) {
			return s.ListPlans(ctx, p.Scope(), page)
		}, func(p domain.Plan) string { return string(p.ID) })},
		"entries of credits": {func(at time.Time) string {
			e := domain.CreditEntry{
				ID: domain.NewID[domain.CreditEntryID](at), Counter: counterOf(p, creditsOf(0), "customer").Counter,
				Kind: domain.EntryGrant, Amount: 1, CreatedAt: at,
			}
			_, _, err := s.ChangeCredits(ctx, p.Scope(), domain.Terms{Limit: creditsOf(0), At: at}, e)
			check(t, err)
			return string(e.ID)
		}, listOf(func(ctx context.Context, page domain.Page) (domain.List[domain.CreditEntry], error) {
			return s.ListCreditEntries(ctx, p.Scope(), repository.CreditFilter{}, page)
		}, func(e domain.CreditEntry) string { return string(e.ID) })},
		"organizations": {addOrganization, listOf(s.ListOrganizations, ofOrganization)},
		"organizations of a user": {addOrganization, listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.MemberOf], error) {
			return s.ListOrganizationsOf(ctx, ann.ID, p)
		}, ofOrganization)},
		"projects": {func(at time.Time) string {
			in := p
			in.ID, in.Slug, in.CreatedAt = domain.NewID[domain.ProjectID](at), number(), at
			check(t, s.CreateProject(ctx, org.Scope(), in))
			return string(in.ID)
		}, listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.Project], error) {
			return s.ListProjects(ctx, org.Scope(), p)
		}, func(p domain.Project) string { return string(p.ID) })},
		"users": {addUser, listOf(s.ListUsers, func(u domain.User) string { return string(u.ID) })},
		"members": {func(at time.Time) string {
			id := addUser(at)
			check(t, s.AddMember(ctx, org.Scope(), domain.Membership{UserID: domain.UserID(id), Role: domain.Viewer, JoinedAt: at}))
			return id
		}, listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.Member], error) {
			return s.ListMembers(ctx, org.Scope(), p)
		}, func(m domain.Member) string { return string(m.User.ID) })},
		"sessions": {func(at time.Time) string {
			v := domain.Session{ID: domain.NewID[domain.SessionID](at), UserID: ann.ID, CreatedAt: at, RefreshDigest: []byte(number())}
			v.LastUsedAt, v.ExpiresAt = epoch, epoch.Add(time.Hour)
			check(t, s.CreateSession(ctx, v))
			return string(v.ID)
		}, listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.Session], error) {
			return s.ListSessions(ctx, ann.ID, epoch, epoch, p)
		}, func(v domain.Session) string { return string(v.ID) })},
		"invitations": {func(at time.Time) string {
			v := domain.Invitation{ID: domain.NewID[domain.InvitationID](at), CreatedAt: at, Email: number(), Role: domain.Viewer}
			v = filled(t, v, 1)
			check(t, s.CreateInvitation(ctx, org.Scope(), v, []byte(v.Email)))
			return string(v.ID)
		}, listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.Invitation], error) {
			return s.ListInvitations(ctx, org.Scope(), p)
		}, func(v domain.Invitation) string { return string(v.ID) })},
		"keys of a maker": {addKey, listOf(func(ctx context.Context, p domain.Page) (domain.List[domain.Key], error) {
			return s.ListKeysMadeBy(ctx, org.Scope(), ann.ID, p)
		}, ofKey)},
	} {
		round++ // these items are newer than those of the other lists, of which some are in the same table
		at := epoch.AddDate(round, 0, 0)
		same := []string{l.add(at), l.add(at), l.add(at), l.add(at)}
		slices.Sort(same)
		slices.Reverse(same)
		want := append([]string{l.add(at.Add(time.Hour))}, append(same, l.add(at.Add(-time.Hour)))...)
		whole, next, err := l.list(ctx, domain.Page{Limit: 200})
		check(t, err)
		if !slices.Equal(whole[:len(want)], want) || !next.IsZero() {
			t.Errorf("%s: got %q, next %v, want %q first", name, whole, next, want)
		}
		var got []string
		for page, more := (domain.Page{Limit: 2}), true; more; {
			ids, next, err := l.list(ctx, page)
			check(t, err)
			got, page.After, more = append(got, ids...), next, !next.IsZero()
		}
		if !slices.Equal(got, whole) {
			t.Errorf("%s: got %q page by page, want %q", name, got, whole)
		}
		if _, next, err = l.list(ctx, domain.Page{Limit: len(whole)}); err != nil || !next.IsZero() {
			t.Errorf("%s: after the whole list: got %v, %v", name, next, err)
		}
	}
}
