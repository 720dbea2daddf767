package storetest

import (
	"fmt"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// filled sets every zero field of v to a distinct value, so that a query that
// omits a field is noticed. round gives other values each time. A field of an
// unknown kind fails the test.
func filled[T any](t *testing.T, v T, round int) T {
	t.Helper()
	fill(t, reflect.ValueOf(&v).Elem(), reflect.TypeFor[T]().Name(), round)
	return v
}

func fill(t *testing.T, v reflect.Value, name string, round int) {
	t.Helper()
	if at, ok := reflect.TypeAssert[time.Time](v); ok {
		if at.IsZero() {
			v.Set(reflect.ValueOf(epoch.Add(time.Duration(len(name)*100+round) * time.Minute)))
		}
		return
	}
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), name+"."+v.Type().Field(i).Name, round)
		}
	case !v.IsZero():
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("%s %d", name, round))
	case v.CanInt():
		v.SetInt(int64(len(name) + round))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(fmt.Appendf(nil, "%s %d", name, round))
	case v.Type() == reflect.TypeFor[[]domain.Network]():
		v.Set(reflect.ValueOf([]domain.Network{domain.Network(fmt.Sprintf("203.0.113.%d/32", round))}))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		v.Set(reflect.Append(v, reflect.ValueOf(fmt.Sprintf("own:field%d", round)).Convert(v.Type().Elem())))
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(strconv.Itoa(round)))
	default:
		t.Fatalf("%s is of a kind that this test cannot fill: %s", name, v.Type())
	}
}

// except leaves fields of T out of a comparison. Say why at each use.
func except[T any](fields ...string) cmp.Option { return cmpopts.IgnoreFields(*new(T), fields...) }

func same[T any](t *testing.T, where string, got, want T, err error, left ...cmp.Option) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	if diff := cmp.Diff(want, got, left...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", where, diff)
	}
}

// Every field of a key and its secret is stored, changed by an update, found by
// both look-ups, and kept by the form in which keys lie in memory.
func testKeyFields(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "acme")
	plan, other := newPlan(p, "Pro", epoch), newPlan(p, "Free", epoch)
	check(t, s.CreatePlan(ctx, p.Scope(), plan))
	check(t, s.CreatePlan(ctx, p.Scope(), other))
	base := domain.Key{
		ID: domain.NewID[domain.KeyID](epoch), ProjectID: p.ID, Environment: domain.Test,
		CreatedBy: domain.Actor{Kind: domain.ActorKey}, Prefix: "lk_test_000000000001",
	}
	first := base
	first.Plan, first.Limits = plan.ForKeys(), someLimits(1)
	key := filled(t, first, 1)
	key.RevokedAt = time.Time{}                                     // a revoked key cannot be updated; the second round has it
	used := except[domain.Key]("LastUsedAt", "Retiring.LastUsedAt") // it lies in a table of its own, which no change of a key touches
	check(t, s.CreateKey(ctx, p.Scope(), key))
	got, err := s.GetKey(ctx, p.Scope(), key.ID)
	same(t, "GetKey", got, key, err, used)

	secret := filled(t, domain.Secret{
		TokenID: "000000000001", ProjectID: p.ID, KeyID: key.ID, Algorithm: domain.HMACSHA256, PepperVersion: 1, Prefix: key.Prefix,
	}, 1)
	check(t, s.AddSecret(ctx, p.Scope(), secret))

	changed := base // what never changes
	changed.CreatedAt, changed.CreatedBy, changed.Revision = key.CreatedAt, key.CreatedBy, key.Revision+1
	changed.Plan, changed.Limits = other.ForKeys(), someLimits(2)
	changed = filled(t, changed, 2)
	check(t, s.UpdateKey(ctx, p.Scope(), changed))
	got, err = s.GetKey(ctx, p.Scope(), key.ID)
	same(t, "GetKey after UpdateKey", got, changed, err, used)
	list, err := s.ListKeys(ctx, p.Scope(), domain.KeyFilter{}, domain.Page{Limit: 10}, epoch)
	same(t, "ListKeys", list.Items, []domain.Key{changed}, err, used)

	// A tag is checked before the look-up, the first use matters to those who change
	// keys, and the others belong to imports.
	proving := except[domain.Secret]("Tagged", "FirstUsedAt", "LastUsedAt", "Locator", "ImportDigest")
	foundSecret, calling, err := s.CallingKey(ctx, secret.TokenID)
	same(t, "CallingKey's secret", foundSecret, secret, err, proving)
	same(t, "CallingKey", calling, domain.CallingKey{Key: changed, Project: p, Organization: org, HasPlans: true}, err, used)
	foundSecret, foundKey, err := s.KeyByToken(ctx, secret.TokenID)
	same(t, "KeyByToken's secret", foundSecret, secret, err, proving)
	same(t, "KeyByToken", foundKey, changed, err, used)

	packed := domain.NewProvenKey(string(domain.PackKey(nil, secret, changed)), &domain.Tenant{Project: p, Organization: org})
	same(t, "the packed key", packed.CallingKey().Key, changed, nil, used)
}

// Every field of a tenant's and a person's rows is stored, and changed by an
// update.
func testOtherFields(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	user := filled(t, domain.User{
		ID: domain.NewID[domain.UserID](epoch), Kind: domain.PersonUser, Email: "ada@example.com", Status: domain.Active,
	}, 1)
	user.MayDeleteProjects = false // which only service accounts have
	check(t, s.CreateUser(ctx, user, "hash"))
	gotUser, err := s.GetUser(ctx, user.ID)
	same(t, "GetUser", gotUser, user, err)
	changedUser := filled(t, domain.User{
		ID: user.ID, Kind: user.Kind, Email: user.Email, Status: domain.Disabled, CreatedAt: user.CreatedAt,
	}, 2)
	changedUser.MayDeleteProjects = false
	check(t, s.UpdateUser(ctx, changedUser))
	gotUser, err = s.GetUser(ctx, user.ID)
	same(t, "GetUser after UpdateUser", gotUser, changedUser, err)

	org := filled(t, domain.Organization{ID: domain.NewID[domain.OrganizationID](epoch), Status: domain.Active}, 1)
	check(t, s.CreateOrganization(ctx, org))
	gotOrg, err := s.GetOrganization(ctx, org.ID)
	same(t, "GetOrganization", gotOrg, org, err)
	org = filled(t, domain.Organization{ID: org.ID, Status: domain.Disabled, CreatedAt: org.CreatedAt, Revision: org.Revision + 1}, 2)
	check(t, s.UpdateOrganization(ctx, org.Scope(), org))
	gotOrg, err = s.GetOrganization(ctx, org.ID)
	same(t, "GetOrganization after UpdateOrganization", gotOrg, org, err)

	project := filled(t, domain.Project{
		ID: domain.NewID[domain.ProjectID](epoch), OrganizationID: org.ID, Status: domain.Active, Limits: someLimits(1),
	}, 1)
	check(t, s.CreateProject(ctx, org.Scope(), project))
	gotProject, err := s.GetProject(ctx, project.ID)
	same(t, "GetProject", gotProject, project, err)
	project = filled(t, domain.Project{
		ID: project.ID, OrganizationID: org.ID, Status: domain.Disabled, CreatedAt: project.CreatedAt, Revision: project.Revision + 1,
		Limits: someLimits(2),
	}, 2)
	check(t, s.UpdateProject(ctx, project.Scope(), project))
	gotProject, err = s.GetProject(ctx, project.ID)
	same(t, "GetProject after UpdateProject", gotProject, project, err)

	member := filled(t, domain.Membership{OrganizationID: org.ID, UserID: user.ID, Role: domain.Admin}, 1)
	check(t, s.AddMember(ctx, org.Scope(), member))
	gotMember, err := s.GetMember(ctx, org.Scope(), user.ID)
	same(t, "GetMember", gotMember, domain.Member{User: changedUser, Role: member.Role, JoinedAt: member.JoinedAt}, err)

	session := filled(t, domain.Session{ID: domain.NewID[domain.SessionID](epoch), UserID: user.ID}, 1)
	check(t, s.CreateSession(ctx, session))
	session.PreviousDigest, session.RefreshDigest = session.RefreshDigest, domain.Digest("successor")
	session.RotatedAt, session.LastUsedAt = epoch.Add(time.Minute), epoch.Add(time.Minute)
	check(t, s.RotateRefresh(ctx, session.ID, session.PreviousDigest, session.RefreshDigest, session.RotatedAt))
	calling, err := s.CallingUser(ctx, session.ID)
	same(t, "CallingUser", calling, domain.CallingUser{User: changedUser, Session: session}, err)

	invitation := filled(t, domain.Invitation{
		ID: domain.NewID[domain.InvitationID](epoch), OrganizationID: org.ID, Role: domain.Viewer,
		InvitedBy: domain.Actor{Kind: domain.ActorUser},
	}, 1)
	check(t, s.CreateInvitation(ctx, org.Scope(), invitation, []byte("digest")))
	gotInvitation, err := s.GetInvitation(ctx, org.Scope(), invitation.ID)
	same(t, "GetInvitation", gotInvitation, invitation, err)

	event := filled(t, domain.Event{
		ID: domain.NewID[domain.EventID](epoch), Actor: domain.Actor{Kind: domain.ActorUser}, OrganizationID: org.ID, ProjectID: project.ID,
		Changes: domain.Changes{"name": {"before", "after"}},
	}, 1)
	check(t, s.AddEvent(ctx, event))
	events, err := s.ListEvents(ctx, org.Scope(), domain.EventFilter{}, domain.Page{Limit: 10})
	same(t, "ListEvents", events.Items, []domain.Event{event}, err)
}
