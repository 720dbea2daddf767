package service_test

import (
	"iter"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/watch"
)

// asked is one use of a handle, with the action that it needs. None changes
// anything: each names what is not there, or is refused for its content.
type asked struct {
	name   string
	needs  domain.Action
	result func() (any, error)
	also   domain.Action // empty: one action is enough
}

func ask[T any](name string, needs domain.Action, call func() (T, error)) asked {
	return asked{name: name, needs: needs, result: func() (any, error) { return call() }}
}

// both makes a question of one that needs another action, too.
func both(also domain.Action, a asked) asked {
	a.also = also
	return a
}

// wholly makes a question of an export that is read to its end.
func wholly[T any](name string, needs domain.Action, begin func() (service.Export[T], error)) asked {
	return ask(name, needs, func() (service.Export[T], error) {
		export, err := begin()
		if err == nil {
			err = export.All(func([]T) error { return nil })
		}
		return export, err
	})
}

// usageExport checks that a refused export of usage says nothing about what it has.
func (w *world) usageExport(
	export service.Export[domain.UsageItem], usage domain.Usage, err error,
) (service.Export[domain.UsageItem], error) {
	if err != nil && !reflect.ValueOf(usage).IsZero() {
		w.Errorf("a refused export answers %+v", usage)
	}
	return export, err
}

// notAsked has the methods of a handle that its table does not need, with the reason.
var notAsked = map[string]string{
	"Authorize": "it is the question itself",
	"Caller":    "it returns the caller that the handle was made for",
	"Expect":    "it changes the handle alone",
	"Holds":     "it is the question itself",

	"ProjectBySlug": "it needs the command line and no action: TestHandlesCountAndFind",
	"Suspend":       "it needs the command line and no action: TestMembersOfWhatIsSuspended",
	"Resume":        "it needs the command line and no action: TestMembersOfWhatIsSuspended",
}

// Guarantees that the tables below have everything that a handle does.
func TestEveryMethodOfAHandleIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	organization, project := w.tenant(w.signUp("ann@example.com"))
	for _, handle := range []struct {
		of  reflect.Type
		all []asked
	}{
		{reflect.TypeOf(organization), askedOfOrganization(w, organization)},
		{reflect.TypeOf(project), askedOfProject(w, project)},
	} {
		var methods []string
		for method := range handle.of.Methods() {
			methods = append(methods, method.Name)
			in := slices.ContainsFunc(handle.all, func(a asked) bool { return a.name == method.Name })
			if reason := notAsked[method.Name]; in == (reason != "") {
				t.Errorf("%v.%s: in the table %v, left out because %q: want one of them", handle.of, method.Name, in, reason)
			}
		}
		for _, a := range handle.all {
			if !slices.Contains(methods, a.name) {
				t.Errorf("%v has no method %s", handle.of, a.name)
			}
		}
	}
	for name := range notAsked {
		_, ofOrganization := reflect.TypeOf(organization).MethodByName(name)
		if _, ofProject := reflect.TypeOf(project).MethodByName(name); !ofOrganization && !ofProject {
			t.Errorf("no handle has a method %s", name)
		}
	}
}

func askedOfProject(w *world, p *service.Project) []asked {
	ctx, page := w.Context(), domain.Page{Limit: 10}
	key, plan := domain.NewID[domain.KeyID](w.Now()), domain.NewID[domain.PlanID](w.Now())
	webhook, noName := domain.NewID[domain.WebhookID](w.Now()), ""
	none := func(call func() error) func() (string, error) { return func() (string, error) { return "", call() } }
	return []asked{
		ask("Get", domain.ProjectRead, func() (domain.Project, error) { return p.Get() }),
		ask("Update", domain.ProjectWrite, func() (domain.Project, error) { return p.Update(ctx, domain.ProjectPatch{Name: &noName}) }),
		ask("ListKeys", domain.KeysRead, func() (domain.List[domain.Key], error) { return p.ListKeys(ctx, domain.KeyFilter{}, page) }),
		ask("CountKeys", domain.KeysRead, func() (int, error) { return p.CountKeys(ctx) }),
		ask("KeyStatistics", domain.KeysRead, func() (domain.KeyStatistics, error) { return p.KeyStatistics(ctx, w.Now()) }),
		ask("GetKey", domain.KeysRead, func() (domain.Key, error) { return p.GetKey(ctx, key) }),
		ask("CreateKey", domain.KeysWrite, func() (domain.Key, error) {
			k, token, err := p.CreateKey(ctx, domain.KeySpec{})
			if !token.IsZero() {
				w.Error("a refused key has a token")
			}
			return k, err
		}),
		ask("UpdateKey", domain.KeysWrite, func() (domain.Key, error) { return p.UpdateKey(ctx, key, domain.KeyPatch{}) }),
		ask("RevokeKey", domain.KeysWrite, func() (domain.Key, error) { return p.RevokeKey(ctx, key, "") }),
		ask("RotateKey", domain.KeysWrite, func() (domain.Key, error) {
			k, token, err := p.RotateKey(ctx, key, domain.Rotation{})
			if !token.IsZero() {
				w.Error("a refused rotation has a token")
			}
			return k, err
		}),
		ask("DeleteKey", domain.KeysWrite, none(func() error { return p.DeleteKey(ctx, key) })),
		ask("VerifyKey", domain.KeysVerify, func() (service.Verification, error) { return p.VerifyKey(ctx, service.Question{Token: "x"}) }),
		ask("SpendKey", domain.KeysVerify, func() (domain.Spent, error) {
			return p.SpendKey(ctx, domain.Spending{Token: "x", Cost: map[string]int64{"tokens": 1}})
		}),
		ask("SyncKeys", domain.KeysVerify, func() (watch.Answer, error) { return p.SyncKeys(ctx, service.Following{}) }),
		ask("ImportKeys", domain.KeysImport, func() (domain.ImportResult, error) {
			var rows iter.Seq[domain.ImportRow] = func(func(domain.ImportRow) bool) {}
			return p.ImportKeys(ctx, rows)
		}),
		ask("ListCustomers", domain.KeysRead, func() ([]domain.Customer, error) {
			customers, _, err := p.ListCustomers(ctx, domain.CustomerPage{Limit: 1})
			return customers, err
		}),
		ask("KeyLimits", domain.LimitsRead, func() (service.KeyLimits, error) { return p.KeyLimits(ctx, key) }),
		ask("ResetLimit", domain.LimitsWrite, func() (service.KeyLimits, error) { return p.ResetLimit(ctx, key, "requests", "") }),
		ask("GrantCredits", domain.LimitsWrite, func() (domain.Granted, error) { return p.GrantCredits(ctx, domain.CreditGrant{}) }),
		ask("ListCreditEntries", domain.LimitsRead, func() (domain.List[domain.CreditEntry], error) {
			return p.ListCreditEntries(ctx, domain.CreditFilter{}, page)
		}),
		wholly("ExportCreditEntries", domain.LimitsRead, func() (service.Export[domain.CreditEntry], error) {
			return p.ExportCreditEntries(ctx, domain.CreditFilter{}, domain.Cursor{})
		}),
		ask("ListWebhooks", domain.WebhooksRead, func() (domain.List[domain.Webhook], error) { return p.ListWebhooks(ctx, page) }),
		ask("GetWebhook", domain.WebhooksRead, func() (domain.Webhook, error) { return p.GetWebhook(ctx, webhook) }),
		ask("ListWebhookDeliveries", domain.WebhooksRead, func() (domain.List[domain.Delivery], error) {
			return p.ListWebhookDeliveries(ctx, webhook, page)
		}),
		ask("CreateWebhook", domain.WebhooksWrite, func() (domain.Webhook, error) {
			w, _, err := p.CreateWebhook(ctx, domain.WebhookSpec{})
			return w, err
		}),
		ask("UpdateWebhook", domain.WebhooksWrite, func() (domain.Webhook, error) {
			return p.UpdateWebhook(ctx, webhook, domain.WebhookPatch{URL: &noName})
		}),
		ask("RotateWebhookSecret", domain.WebhooksWrite, func() (domain.Webhook, error) {
			w, _, err := p.RotateWebhookSecret(ctx, webhook, "")
			return w, err
		}),
		ask("TestWebhook", domain.WebhooksWrite, func() (domain.Delivery, error) { return p.TestWebhook(ctx, webhook) }),
		ask("Redeliver", domain.WebhooksWrite, func() (domain.Delivery, error) {
			return p.Redeliver(ctx, webhook, domain.NewID[domain.EventID](w.Now()))
		}),
		ask("DeleteWebhook", domain.WebhooksWrite, none(func() error { return p.DeleteWebhook(ctx, webhook) })),
		ask("ListPlans", domain.LimitsRead, func() (domain.List[domain.Plan], error) { return p.ListPlans(ctx, page) }),
		ask("GetPlan", domain.LimitsRead, func() (domain.Plan, error) { return p.GetPlan(ctx, plan) }),
		ask("CreatePlan", domain.LimitsWrite, func() (domain.Plan, error) { return p.CreatePlan(ctx, domain.PlanSpec{}) }),
		ask("UpdatePlan", domain.LimitsWrite, func() (domain.Plan, error) {
			return p.UpdatePlan(ctx, plan, domain.PlanPatch{Name: &noName})
		}),
		both(domain.UsageRead, ask("Rehearse", domain.LimitsWrite, func() (domain.Rehearsal, error) {
			return p.Rehearse(ctx, domain.RehearsalSpec{})
		})),
		ask("DeletePlan", domain.LimitsWrite, none(func() error { return p.DeletePlan(ctx, plan) })),
		ask("Usage", domain.UsageRead, func() (domain.Usage, error) { return p.Usage(ctx, domain.UsageQuery{}) }),
		wholly("ExportUsage", domain.UsageRead, func() (service.Export[domain.UsageItem], error) {
			return w.usageExport(p.ExportUsage(ctx, domain.UsageQuery{}))
		}),
		ask("UsageOfCustomers", domain.UsageRead, func() (map[string][]domain.UsageItem, error) {
			return p.UsageOfCustomers(ctx, []string{"x"}, w.Now().AddDate(0, 0, -1))
		}),
		ask("RevokeKeys", domain.KeysWrite, func() (domain.Revocation, error) {
			return p.RevokeKeys(ctx, domain.KeySelection{}, "", true)
		}),
		ask("UsageOfKeys", domain.UsageRead, func() (map[domain.KeyID][]domain.UsageItem, error) {
			return p.UsageOfKeys(ctx, []domain.KeyID{key}, w.Now().AddDate(0, 0, -1))
		}),
		ask("Delete", domain.ProjectDelete, none(func() error {
			unchanged := *p
			unchanged.Expect(domain.AtRevision()) // which no project has
			return unchanged.Delete(ctx)
		})),
	}
}

func askedOfOrganization(w *world, o *service.Organization) []asked {
	ctx, page := w.Context(), domain.Page{Limit: 10}
	user, noName := domain.NewID[domain.UserID](w.Now()), ""
	none := func(call func() error) func() (string, error) { return func() (string, error) { return "", call() } }
	return []asked{
		ask("Get", domain.OrganizationRead, func() (domain.MemberOf, error) { return o.Get() }),
		ask("ListMembers", domain.MembersRead, func() (domain.List[domain.Member], error) { return o.ListMembers(ctx, page) }),
		ask("Member", domain.MembersRead, func() (domain.Member, error) { return o.Member(ctx, user) }),
		ask("HasOneOwner", domain.MembersRead, func() (bool, error) { return o.HasOneOwner(ctx) }),
		ask("ListProjects", domain.ProjectsRead, func() (domain.List[domain.Project], error) { return o.ListProjects(ctx, page) }),
		ask("KeysMadeBy", domain.KeysRead, func() (domain.List[domain.Key], error) { return o.KeysMadeBy(ctx, user, page) }),
		ask("RevokeKeysMadeBy", domain.KeysWrite, func() (int, error) { return o.RevokeKeysMadeBy(ctx, user) }),
		ask("ListEvents", domain.AuditRead, func() (domain.List[domain.Event], error) {
			return o.ListEvents(ctx, domain.EventFilter{}, page)
		}),
		wholly("ExportEvents", domain.AuditRead, func() (service.Export[domain.Event], error) {
			return o.ExportEvents(ctx, domain.EventFilter{}, domain.Cursor{})
		}),
		ask("Usage", domain.UsageRead, func() (domain.Usage, error) { return o.Usage(ctx, domain.UsageQuery{}) }),
		wholly("ExportUsage", domain.UsageRead, func() (service.Export[domain.UsageItem], error) {
			return w.usageExport(o.ExportUsage(ctx, domain.UsageQuery{}))
		}),
		ask("CreateProject", domain.ProjectsWrite, func() (domain.Project, error) { return o.CreateProject(ctx, domain.ProjectSpec{}) }),
		ask("UpdateMember", domain.MembersWrite, func() (domain.Member, error) { return o.UpdateMember(ctx, user, domain.Viewer) }),
		ask("RemoveMember", domain.MembersWrite, none(func() error { return o.RemoveMember(ctx, user) })),
		ask("RemoveMemberAndKeys", domain.MembersWrite, none(func() error { return o.RemoveMemberAndKeys(ctx, user) })),
		ask("ListServiceAccounts", domain.ServiceAccountsRead, func() (domain.List[domain.ServiceAccount], error) {
			return o.ListServiceAccounts(ctx, page)
		}),
		ask("GetServiceAccount", domain.ServiceAccountsRead, func() (domain.ServiceAccount, error) {
			return o.GetServiceAccount(ctx, user)
		}),
		ask("CreateServiceAccount", domain.ServiceAccountsWrite, func() (domain.ServiceAccount, error) {
			return o.CreateServiceAccount(ctx, domain.ServiceAccountSpec{})
		}),
		ask("UpdateServiceAccount", domain.ServiceAccountsWrite, func() (domain.ServiceAccount, error) {
			return o.UpdateServiceAccount(ctx, user, domain.ServiceAccountPatch{})
		}),
		ask("DeleteServiceAccount", domain.ServiceAccountsWrite, none(func() error { return o.DeleteServiceAccount(ctx, user) })),
		ask("ListServiceTokens", domain.ServiceAccountsRead, func() (domain.List[domain.ServiceToken], error) {
			return o.ListServiceTokens(ctx, user, page)
		}),
		ask("CreateServiceToken", domain.ServiceAccountsWrite, func() (domain.ServiceToken, error) {
			made, token, err := o.CreateServiceToken(ctx, user, domain.ServiceTokenSpec{})
			if !token.IsZero() {
				w.Error("a refused service token has a text")
			}
			return made, err
		}),
		ask("DeleteServiceToken", domain.ServiceAccountsWrite, none(func() error {
			return o.DeleteServiceToken(ctx, user, domain.NewTokenID())
		})),
		ask("ListInvitations", domain.MembersWrite, func() (domain.List[domain.Invitation], error) { return o.ListInvitations(ctx, page) }),
		ask("CreateInvitation", domain.MembersWrite, func() (domain.Invitation, error) {
			invitation, token, err := o.CreateInvitation(ctx, domain.InvitationSpec{Email: "x", Role: domain.Viewer})
			if token != "" {
				w.Error("a refused invitation has a token")
			}
			return invitation, err
		}),
		ask("RevokeInvitation", domain.MembersWrite, none(func() error {
			return o.RevokeInvitation(ctx, domain.NewID[domain.InvitationID](w.Now()))
		})),
		ask("Update", domain.OrganizationWrite, func() (domain.MemberOf, error) {
			return o.Update(ctx, domain.OrganizationPatch{Name: &noName})
		}),
		ask("Delete", domain.OrganizationDelete, none(func() error {
			unchanged := *o
			unchanged.Expect(domain.AtRevision()) // which no organization has
			return unchanged.Delete(ctx)
		})),
	}
}

// Guarantees that everything that a handle does needs its action, for each role and
// for each scope of a key; and that what is refused returns nothing.
func TestHandlesNeedTheirActions(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		org, project := w.tenant(ann)
		o, err := project.Get()
		w.check(err)
		judge := func(who string, all []asked, holds func(domain.Action) bool) {
			w.Helper()
			for _, a := range all {
				result, err := a.result()
				refused := domain.CodeOf(err) == domain.CodeForbidden
				may := holds(a.needs) && (a.also == "" || holds(a.also))
				if refused == may {
					w.Errorf("%s, %s: got %v, want it refused: %v", who, a.name, err, !may)
				}
				if refused && a.name != "Update" && !reflect.ValueOf(result).IsZero() {
					w.Errorf("%s, %s: got %+v with the refusal", who, a.name, result)
				}
			}
		}
		for _, role := range domain.Roles {
			member := w.signUp(string(role) + "@example.com")
			id, _ := member.UserID()
			w.check(w.Store.AddMember(w.Context(), mustGet(w, org).Scope(), domain.Membership{UserID: id, Role: role, JoinedAt: w.Now()}))
			theirs, err := w.Organization(w.Context(), member, o.OrganizationID)
			w.check(err)
			judge(string(role), append(askedOfProject(w, w.project(member, o.ID)), askedOfOrganization(w, theirs)...), role.Holds)
		}
		for _, scope := range append(domain.KeyScopes, "documents:read") {
			_, _, caller := w.key(project, scope)
			all := askedOfProject(w, w.project(caller, ""))[1:] // every key may see its own project
			judge("a key with "+string(scope), all, func(a domain.Action) bool { return a == scope })
		}
		judge("the command line", append(askedOfProject(w, w.project(domain.System(), o.ID)),
			askedOfOrganization(w, w.organization(domain.System(), org))...), func(domain.Action) bool { return true })
	})
}

// What a handle counts and finds is what is there.
func TestHandlesCountAndFind(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		org, project := w.tenant(ann)
		p, err := project.Get()
		w.check(err)
		k, _, _ := w.key(project)
		w.key(project)
		n, err := project.CountKeys(w.Context())
		if n != 2 || err != nil {
			w.Errorf("got %d keys, %v, want 2", n, err)
		}
		n, err = w.CountKeys(w.Context(), domain.System())
		if n != 2 || err != nil {
			w.Errorf("got %d keys, %v, want 2", n, err)
		}
		_, err = w.CountKeys(w.Context(), ann)
		w.code(err, domain.CodeForbidden)
		statistics, err := project.KeyStatistics(w.Context(), w.Now().Add(-time.Hour))
		if statistics.Total() != 2 || err != nil {
			w.Errorf("got %+v, %v, want 2 keys", statistics, err)
		}

		bySystem := w.organization(domain.System(), org)
		for _, find := range []func() (*service.Project, error){
			func() (*service.Project, error) { return bySystem.ProjectBySlug(w.Context(), p.Slug) },
			func() (*service.Project, error) { return w.ProjectOfKey(w.Context(), domain.System(), k.ID) },
		} {
			found, err := find()
			w.check(err)
			if got, err := found.Get(); err != nil || got.ID != p.ID {
				w.Errorf("got %+v, %v, want %+v", got, err, p)
			}
		}
		_, err = bySystem.ProjectBySlug(w.Context(), "absent")
		w.code(err, domain.CodeNotFound)
		_, err = org.ProjectBySlug(w.Context(), p.Slug)
		w.code(err, domain.CodeForbidden)
		_, err = w.ProjectOfKey(w.Context(), ann, k.ID)
		w.code(err, domain.CodeForbidden)

		bob := w.signUp("bob@example.com")
		bobs, _ := bob.UserID()
		for _, owners := range []int{1, 2} {
			if one, err := org.HasOneOwner(w.Context()); err != nil || one != (owners == 1) {
				w.Errorf("%d owners: got %v, %v", owners, one, err)
			}
			if owners == 1 {
				second := domain.Membership{UserID: bobs, Role: domain.Owner, JoinedAt: w.Now()}
				w.check(w.Store.AddMember(w.Context(), mustGet(w, org).Scope(), second))
			}
		}
		for caller, want := range map[*domain.Principal]int{&ann: 1, &bob: 1} {
			list, err := w.ListOrganizations(w.Context(), *caller, domain.Page{Limit: 10})
			if len(list.Items) != want || err != nil {
				w.Errorf("got %+v, %v, want %d", list.Items, err, want)
			}
		}
		other, _ := w.tenant(w.signUp("eve@example.com"))
		list, err := w.ListOrganizations(w.Context(), domain.System(), domain.Page{Limit: 10})
		if len(list.Items) != 2 || err != nil {
			w.Errorf("got %+v, %v, want every organization", list.Items, err)
		}
		_, err = w.ListOrganizations(w.Context(), domain.Principal{}, domain.Page{Limit: 10})
		w.code(err, domain.CodeUnauthenticated)
		_, err = other.Member(w.Context(), bobs)
		w.code(err, domain.CodeNotFound)
		member, err := org.Member(w.Context(), bobs)
		if member.User.ID != bobs || member.Role != domain.Owner || err != nil {
			w.Errorf("got %+v, %v, want bob as an owner", member, err)
		}
	})
}
