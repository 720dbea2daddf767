package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// failEach makes each statement of a use case fail in turn, from the first to the last.
// It reports an error unless the use case then returns unavailable, and is done in the
// end. It is FailOnce without a look at the database, so that a plain run can afford
// every statement.
func failEach(t *testing.T, u storetest.UseCase) (tried int) {
	t.Helper()
	act := u.Prepare()
	for at := 1; at < 100; at++ {
		f := &storetest.Fault{At: at}
		err := act(f.Context(t.Context()))
		if !f.Hit() {
			if err != nil {
				t.Errorf("%s: in the end: %v", u.Name, err)
			}
			return tried
		}
		tried++
		switch {
		case err == nil && slices.Contains(f.Seen()[:at-1], "COMMIT"):
			// It was done before the statement.
		case domain.CodeOf(err) != domain.CodeUnavailable && !u.InSteps:
			t.Errorf("%s, statement %d (%.100s): got %v, want unavailable", u.Name, at, f.Seen()[at-1], err)
		case err == nil:
			t.Errorf("%s, statement %d (%.100s): got no error", u.Name, at, f.Seen()[at-1])
		}
	}
	t.Errorf("%s: no end", u.Name)
	return tried
}

// asOwner makes a use case of what an owner does with an organization and a project
// that were just made, and a key of it.
func (b *breaking) asOwner(
	name string, act func(ctx context.Context, o *service.Organization, p *service.Project, k domain.Key) error,
) storetest.UseCase {
	return storetest.UseCase{Name: name, Prepare: func() func(context.Context) error {
		organization, project := b.tenant(b.owner)
		key, _, _ := b.key(project)
		of, in := b.id(organization), b.projectID(project)
		return func(ctx context.Context) error {
			o, err := b.app.Organization(ctx, b.owner, of)
			if err != nil {
				return err
			}
			p, err := b.app.Project(ctx, b.owner, in)
			if err != nil {
				return err
			}
			return act(ctx, o, p, key)
		}
	}}
}

// asPerson makes a use case of what a person who has just signed in does with their
// account.
func (b *breaking) asPerson(name string, act func(ctx context.Context, a *service.Account) error) storetest.UseCase {
	return storetest.UseCase{Name: name, Prepare: func() func(context.Context) error {
		caller := b.signUp(b.email())
		return func(ctx context.Context) error {
			account, err := b.app.Account(ctx, caller)
			if err != nil {
				return err
			}
			return act(ctx, account)
		}
	}}
}

// ignoring drops what a use case returns beside an error.
func ignoring[T any](_ T, err error) error { return err }

// ofOrganizations are the use cases of organizations and their members.
func (b *breaking) ofOrganizations() []storetest.UseCase {
	page := domain.Page{Limit: 10}
	type organization = *service.Organization
	on := func(name string, act func(context.Context, organization) error) storetest.UseCase {
		return b.asOwner(name, func(ctx context.Context, o *service.Organization, _ *service.Project, _ domain.Key) error {
			return act(ctx, o)
		})
	}
	onMember := func(name string, act func(context.Context, organization, domain.UserID) error) storetest.UseCase {
		return storetest.UseCase{Name: name, Prepare: func() func(context.Context) error {
			o, _ := b.tenant(b.owner)
			member, of := userID(b.invite(o, b.email(), domain.Developer)), b.id(o)
			return func(ctx context.Context) error {
				handle, err := b.app.Organization(ctx, b.owner, of)
				if err != nil {
					return err
				}
				return act(ctx, handle, member)
			}
		}}
	}
	return []storetest.UseCase{
		on("events", func(ctx context.Context, o organization) error {
			return ignoring(o.ListEvents(ctx, domain.EventFilter{}, page))
		}),
		on("invite", func(ctx context.Context, o organization) error {
			_, _, err := o.CreateInvitation(ctx, domain.InvitationSpec{Email: "new@example.com", Role: domain.Viewer})
			return err
		}),
		on("invitations", func(ctx context.Context, o organization) error { return ignoring(o.ListInvitations(ctx, page)) }),
		on("members", func(ctx context.Context, o organization) error { return ignoring(o.ListMembers(ctx, page)) }),
		on("one owner", func(ctx context.Context, o organization) error { return ignoring(o.HasOneOwner(ctx)) }),
		on("rename", func(ctx context.Context, o organization) error {
			return ignoring(o.Update(ctx, domain.OrganizationPatch{Name: new("other"), Slug: new(strings.ToLower(string(b.id(o))[4:]))}))
		}),
		on("delete", func(ctx context.Context, o organization) error { return o.Delete(ctx) }),
		on("a project", func(ctx context.Context, o organization) error {
			return ignoring(o.CreateProject(ctx, domain.ProjectSpec{Name: "Two"}))
		}),
		b.onOrganization("a project by slug", func(ctx context.Context, o organization) error {
			_, err := o.CreateProject(ctx, domain.ProjectSpec{Name: "Two", Slug: "two"})
			if err != nil && domain.CodeOf(err) != domain.CodeConflict {
				return err
			}
			return ignoring(o.ProjectBySlug(ctx, "two"))
		}),
		on("usage", func(ctx context.Context, o organization) error {
			return ignoring(o.Usage(ctx, domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByProject}}))
		}),
		onMember("member", func(ctx context.Context, o organization, u domain.UserID) error { return ignoring(o.Member(ctx, u)) }),
		onMember("change a role", func(ctx context.Context, o organization, u domain.UserID) error {
			return ignoring(o.UpdateMember(ctx, u, domain.Viewer))
		}),
		onMember("remove a member", func(ctx context.Context, o organization, u domain.UserID) error { return o.RemoveMember(ctx, u) }),
		onMember("keys of a member", func(ctx context.Context, o organization, u domain.UserID) error {
			return ignoring(o.KeysMadeBy(ctx, u, page))
		}),
		{Name: "revoke an invitation", Prepare: func() func(context.Context) error {
			o, _ := b.tenant(b.owner)
			v, _, err := o.CreateInvitation(b.Context(), domain.InvitationSpec{Email: b.email(), Role: domain.Viewer})
			b.check(err)
			of := b.id(o)
			return func(ctx context.Context) error {
				handle, err := b.app.Organization(ctx, b.owner, of)
				if err != nil {
					return err
				}
				return handle.RevokeInvitation(ctx, v.ID)
			}
		}},
		{Name: "accept an invitation", Prepare: func() func(context.Context) error {
			o, _ := b.tenant(b.owner)
			email := b.email()
			_, token, err := o.CreateInvitation(b.Context(), domain.InvitationSpec{Email: email, Role: domain.Viewer})
			b.check(err)
			caller := b.signUp(email)
			return func(ctx context.Context) error { return ignoring(b.AcceptInvitation(ctx, caller, token)) }
		}},
		{Name: "resume", Prepare: func() func(context.Context) error {
			o, _ := b.tenant(b.owner)
			of := b.id(o)
			return func(ctx context.Context) error {
				handle, err := b.app.Organization(ctx, domain.System(), of)
				if err != nil {
					return err
				}
				if _, err := handle.Suspend(ctx, "unpaid"); err != nil {
					return err
				}
				return ignoring(handle.Resume(ctx))
			}
		}},
	}
}

// ofProjects are the use cases of projects, their keys and plans.
func (b *breaking) ofProjects() []storetest.UseCase {
	page := domain.Page{Limit: 10}
	type project = *service.Project
	on := func(name string, act func(context.Context, project, domain.Key) error) storetest.UseCase {
		return b.asOwner(name, func(ctx context.Context, _ *service.Organization, p *service.Project, k domain.Key) error {
			return act(ctx, p, k)
		})
	}
	withPlan := func(name string, act func(context.Context, project, domain.PlanID) error) storetest.UseCase {
		plans := map[domain.KeyID]domain.PlanID{}
		return on(name, func(ctx context.Context, p project, k domain.Key) error {
			if plans[k.ID] == "" {
				plan, err := p.CreatePlan(ctx, domain.PlanSpec{Name: "Pro"})
				if err != nil {
					return err
				}
				plans[k.ID] = plan.ID
			}
			return act(ctx, p, plans[k.ID])
		})
	}
	row := domain.ImportRow{Name: "k", Algorithm: domain.SHA256Hex}
	return []storetest.UseCase{
		on("import", func(ctx context.Context, p project, _ domain.Key) error {
			row := row
			row.Hash = domain.Hidden(fmt.Sprintf("%064x", len(b.projectID(p))))
			return ignoring(p.ImportKeys(ctx, slices.Values([]domain.ImportRow{row})))
		}),
		on("limits of a key", func(ctx context.Context, p project, k domain.Key) error { return ignoring(p.KeyLimits(ctx, k.ID)) }),
		on("count of keys", func(ctx context.Context, p project, _ domain.Key) error { return ignoring(p.CountKeys(ctx)) }),
		on("statistics", func(ctx context.Context, p project, _ domain.Key) error {
			return ignoring(p.KeyStatistics(ctx, b.Now().AddDate(0, 0, -30)))
		}),
		on("change a key", func(ctx context.Context, p project, k domain.Key) error {
			return ignoring(p.UpdateKey(ctx, k.ID, domain.KeyPatch{Name: new("other")}))
		}),
		on("revoke", func(ctx context.Context, p project, k domain.Key) error {
			return ignoring(p.RevokeKey(ctx, k.ID, "lost"))
		}),
		on("delete a key", func(ctx context.Context, p project, k domain.Key) error { return p.DeleteKey(ctx, k.ID) }),
		on("rotate", func(ctx context.Context, p project, k domain.Key) error {
			_, _, err := p.RotateKey(ctx, k.ID, domain.Rotation{IdempotencyKey: "rotate-once-please"})
			return err
		}),
		on("create once", func(ctx context.Context, p project, _ domain.Key) error {
			_, _, err := p.CreateKey(ctx, domain.KeySpec{Name: "k", IdempotencyKey: "create-once-please"})
			return err
		}),
		on("verify", func(ctx context.Context, p project, _ domain.Key) error {
			const golden = "lk_live_000000000000_00000000000000000000000000000000000000000002wRDVT"
			return ignoring(p.VerifyKey(ctx, service.Question{Token: golden}))
		}),
		on("change a project", func(ctx context.Context, p project, _ domain.Key) error {
			return ignoring(p.Update(ctx, domain.ProjectPatch{Name: new("other"), Slug: new("other")}))
		}),
		on("delete a project", func(ctx context.Context, p project, _ domain.Key) error { return p.Delete(ctx) }),
		on("usage of a project", func(ctx context.Context, p project, _ domain.Key) error {
			return ignoring(p.Usage(ctx, domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByKey}}))
		}),
		on("usage of keys", func(ctx context.Context, p project, k domain.Key) error {
			return ignoring(p.UsageOfKeys(ctx, []domain.KeyID{k.ID}, b.Now().AddDate(0, 0, -1)))
		}),
		on("export of usage", func(ctx context.Context, p project, _ domain.Key) error {
			export, _, err := p.ExportUsage(ctx, domain.UsageQuery{})
			if err != nil {
				return err
			}
			return export.All(func([]domain.UsageItem) error { return nil })
		}),
		on("spend", func(ctx context.Context, p project, k domain.Key) error {
			return ignoring(p.SpendKey(ctx, domain.Spending{KeyID: k.ID, Cost: map[string]int64{"tokens": 1}}))
		}),
		on("credits", func(ctx context.Context, p project, k domain.Key) error {
			return ignoring(p.ListCreditEntries(ctx, domain.CreditFilter{KeyID: k.ID}, page))
		}),
		on("customers", func(ctx context.Context, p project, _ domain.Key) error {
			_, _, err := p.ListCustomers(ctx, domain.CustomerPage{Limit: 1})
			return err
		}),
		on("plans", func(ctx context.Context, p project, _ domain.Key) error { return ignoring(p.ListPlans(ctx, page)) }),
		withPlan("a plan", func(ctx context.Context, p project, id domain.PlanID) error { return ignoring(p.GetPlan(ctx, id)) }),
		withPlan("change a plan", func(ctx context.Context, p project, id domain.PlanID) error {
			return ignoring(p.UpdatePlan(ctx, id, domain.PlanPatch{Name: new("Free")}))
		}),
		withPlan("rehearsal", func(ctx context.Context, p project, id domain.PlanID) error {
			return ignoring(p.Rehearse(ctx, domain.RehearsalSpec{PlanID: id}))
		}),
		withPlan("delete a plan", func(ctx context.Context, p project, id domain.PlanID) error { return p.DeletePlan(ctx, id) }),
		withPlan("project of a plan", func(ctx context.Context, _ project, id domain.PlanID) error {
			return ignoring(b.app.ProjectOfPlan(ctx, domain.System(), id))
		}),
	}
}

// ofPeople are the use cases of accounts.
func (b *breaking) ofPeople() []storetest.UseCase {
	page := domain.Page{Limit: 10}
	type account = *service.Account
	return []storetest.UseCase{
		b.asPerson("new name", func(ctx context.Context, a account) error { return ignoring(a.Rename(ctx, "other")) }),
		b.asPerson("sessions", func(ctx context.Context, a account) error { return ignoring(a.ListSessions(ctx, page)) }),
		b.asPerson("log out", func(ctx context.Context, a account) error { return a.LogOut(ctx) }),
		b.asPerson("revoke others", func(ctx context.Context, a account) error { return a.RevokeOtherSessions(ctx) }),
		b.asPerson("new password", func(ctx context.Context, a account) error {
			return a.ChangePassword(ctx, password, "violet otters read maps")
		}),
		only("events of accounts", func(ctx context.Context) error {
			return ignoring(b.app.ListAccountEvents(ctx, domain.System(), domain.EventFilter{}, page))
		}),
		only("ready", func(ctx context.Context) error { return b.app.Ready(ctx) }),
		only("nodes", func(ctx context.Context) error { return ignoring(b.app.Nodes(ctx)) }),
		only("organizations", func(ctx context.Context) error { return ignoring(b.app.ListOrganizations(ctx, b.owner, page)) }),
		only("policy", func(ctx context.Context) error {
			_, _, err := b.app.Signup(ctx)
			return err
		}),
		{Name: "sign up", Prepare: func() func(context.Context) error {
			spec, from := domain.SignUp{Email: b.email(), Password: password}, b.from()
			return func(ctx context.Context) error { return ignoring(b.app.SignUp(ctx, from, spec)) }
		}},
		{Name: "guest", Prepare: func() func(context.Context) error {
			spec := domain.SignUp{Email: b.email(), Password: password}
			return func(ctx context.Context) error { return ignoring(b.app.CreateGuest(ctx, domain.System(), spec)) }
		}},
		{Name: "find", Prepare: func() func(context.Context) error {
			u := b.user()
			return func(ctx context.Context) error {
				if _, err := b.app.FindUser(ctx, domain.System(), string(u.ID)); err != nil {
					return err
				}
				return ignoring(b.app.FindUser(ctx, domain.System(), u.Email))
			}
		}},
		{Name: "forgot", Prepare: func() func(context.Context) error {
			u, from := b.user(), b.from()
			return func(ctx context.Context) error { return b.app.ForgotPassword(ctx, from, u.Email) }
		}},
		{Name: "reset", Prepare: func() func(context.Context) error {
			link, err := b.app.CreateResetLink(b.Context(), domain.System(), b.user().ID)
			b.check(err)
			from := b.from()
			return func(ctx context.Context) error {
				return b.app.ResetForgottenPassword(ctx, from, link.Token.Reveal(), "violet otters read maps")
			}
		}},
		{Name: "keys of a person", Prepare: func() func(context.Context) error {
			id := userID(b.owner)
			return func(ctx context.Context) error { return ignoring(b.app.KeysMadeBy(ctx, domain.System(), id)) }
		}},
		{Name: "what a key asks about itself", Prepare: func() func(context.Context) error {
			_, p := b.tenant(b.owner)
			_, token, caller := b.key(p, domain.UsageRead, domain.KeysVerify)
			return func(ctx context.Context) error {
				if _, err := b.app.ProveKey(ctx, token, nil); err != nil {
					return err
				}
				return ignoring(b.app.OwnUsage(ctx, caller))
			}
		}},
	}
}

// Guarantees that no use case takes a statement that fails for success, whichever of
// its statements it is: it says unavailable, and is done when the database is back.
func TestEveryStatementFails(t *testing.T) {
	t.Parallel()
	dsn := storetest.SQLite(t)
	w := prepare(t, storetest.NewBreakable(t, dsn), dsn)
	w.App = w.Another(service.Options{})
	b := &breaking{world: w, app: w.Another(service.Options{Mailer: &postOffice{}})}
	tried := 0
	for _, u := range slices.Concat(b.useCases(), b.jobs(), b.ofOrganizations(), b.ofProjects(), b.ofPeople()) {
		tried += failEach(t, u)
	}
	if tried < 300 {
		t.Errorf("only %d statements failed", tried)
	}
}
