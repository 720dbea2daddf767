package service_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// faultSeed draws the sample of statements that a plain run has fail.
const faultSeed = 52

// breaking is a world whose statements can fail, and an App in it that remembers
// nothing.
type breaking struct {
	*world

	app   *service.App
	owner domain.Principal // of what use cases of the command line act on
	fresh int
}

// email is an address that nothing has used.
func (b *breaking) email() string {
	b.fresh++
	return fmt.Sprintf("person-%d@example.com", b.fresh)
}

// from is a network that nothing has been counted for.
func (b *breaking) from() domain.Origin {
	return domain.Origin{IP: fmt.Sprintf("10.%d.%d.1", b.fresh/250, b.fresh%250)}
}

func (b *breaking) user() domain.User {
	u, err := b.CreateUser(b.Context(), domain.System(), domain.SignUp{Email: b.email(), Password: password}, false)
	b.check(err)
	return u
}

// only makes a use case of what needs no preparation.
func only(name string, act func(context.Context) error) storetest.UseCase {
	return storetest.UseCase{Name: name, Prepare: func() func(context.Context) error { return act }}
}

// onOrganization makes a use case of what the command line does with an organization
// that was just made.
func (b *breaking) onOrganization(name string, act func(context.Context, *service.Organization) error) storetest.UseCase {
	return storetest.UseCase{Name: name, Prepare: func() func(context.Context) error {
		organization, _ := b.tenant(b.owner)
		made, err := organization.Get()
		b.check(err)
		return func(ctx context.Context) error {
			handle, err := b.app.Organization(ctx, domain.System(), made.ID)
			if err != nil {
				return err
			}
			return act(ctx, handle)
		}
	}}
}

// onKey makes a use case of what the command line does with a key that was just made.
func (b *breaking) onKey(name string, act func(context.Context, *service.Project, domain.Key) error) storetest.UseCase {
	return storetest.UseCase{Name: name, Prepare: func() func(context.Context) error {
		_, project := b.tenant(b.owner)
		key, _, _ := b.key(project)
		return func(ctx context.Context) error {
			handle, err := b.app.ProjectOfKey(ctx, domain.System(), key.ID)
			if err != nil {
				return err
			}
			return act(ctx, handle, key)
		}
	}}
}

// useCases are those that no operation of the contract reaches: of the command
// line and of the console's own session.
func (b *breaking) useCases() []storetest.UseCase {
	system := domain.System()
	b.owner = b.signUp(b.email())
	organization, project := b.tenant(b.owner)
	key, _, _ := b.key(project)
	acme, err := organization.Get()
	b.check(err)
	return []storetest.UseCase{
		{Name: "user create", Prepare: func() func(context.Context) error {
			spec := domain.SignUp{Email: b.email(), Password: password}
			return func(ctx context.Context) error {
				_, err := b.app.CreateUser(ctx, system, spec, false)
				return err
			}
		}},
		{Name: "user disable", Prepare: func() func(context.Context) error {
			u := b.user()
			return func(ctx context.Context) error {
				_, err := b.app.SetUserStatus(ctx, system, u.ID, domain.Disabled)
				return err
			}
		}},
		{Name: "sign in", Prepare: func() func(context.Context) error {
			u := b.user()
			return func(ctx context.Context) error {
				_, err := b.app.LogIn(ctx, b.from(), u.Email, password)
				return err
			}
		}},
		{Name: "session of the console", Prepare: func() func(context.Context) error {
			in, err := b.app.LogIn(b.Context(), b.from(), b.user().Email, password)
			b.check(err)
			return func(ctx context.Context) error {
				_, err := b.app.ProveSession(ctx, in.Cookie)
				return err
			}
		}},
		{Name: "lost answer of a refresh", Prepare: func() func(context.Context) error {
			in, err := b.app.LogIn(b.Context(), b.from(), b.user().Email, password)
			b.check(err)
			_, err = b.app.Refresh(b.Context(), b.from(), in.RefreshToken)
			b.check(err)
			return func(ctx context.Context) error {
				_, err := b.app.Refresh(ctx, b.from(), in.RefreshToken)
				return err
			}
		}},
		{Name: "user operator", Prepare: func() func(context.Context) error {
			u := b.user()
			return func(ctx context.Context) error {
				_, err := b.app.SetOperator(ctx, system, u.ID, true)
				return err
			}
		}},
		{Name: "user reset-password", Prepare: func() func(context.Context) error {
			u := b.user()
			return func(ctx context.Context) error {
				_, err := b.app.CreateResetLink(ctx, system, u.ID)
				return err
			}
		}},
		{Name: "user disable --revoke-keys", InSteps: true, Prepare: func() func(context.Context) error {
			owner := b.signUp(b.email())
			_, project := b.tenant(owner)
			b.key(project)
			return func(ctx context.Context) error {
				_, err := b.app.RevokeKeysMadeBy(ctx, system, userID(owner))
				return err
			}
		}},
		{Name: "organization create", Prepare: func() func(context.Context) error {
			owner, name := b.user(), b.email()
			return func(ctx context.Context) error {
				_, err := b.app.CreateOrganization(ctx, system, domain.OrganizationSpec{Name: name, Owner: owner.ID})
				return err
			}
		}},
		b.onOrganization("organization disable", func(ctx context.Context, o *service.Organization) error {
			_, err := o.Update(ctx, domain.OrganizationPatch{Status: new(domain.Disabled)})
			return err
		}),
		b.onOrganization("organization suspend", func(ctx context.Context, o *service.Organization) error {
			_, err := o.Suspend(ctx, "unpaid")
			return err
		}),
		b.onOrganization("project create", func(ctx context.Context, o *service.Organization) error {
			_, err := o.CreateProject(ctx, domain.ProjectSpec{Name: "API"})
			return err
		}),
		b.onOrganization("project list", func(ctx context.Context, o *service.Organization) error {
			_, err := o.ListProjects(ctx, domain.Page{Limit: 10})
			return err
		}),
		b.onKey("key create", func(ctx context.Context, p *service.Project, _ domain.Key) error {
			_, _, err := p.CreateKey(ctx, domain.KeySpec{Name: "k"})
			return err
		}),
		b.onKey("key rotate", func(ctx context.Context, p *service.Project, k domain.Key) error {
			_, _, err := p.RotateKey(ctx, k.ID, domain.Rotation{})
			return err
		}),
		b.onKey("key revoke", func(ctx context.Context, p *service.Project, k domain.Key) error {
			_, err := p.RevokeKey(ctx, k.ID, "lost")
			return err
		}),
		b.onKey("key delete", func(ctx context.Context, p *service.Project, k domain.Key) error { return p.DeleteKey(ctx, k.ID) }),
		b.onKey("key show", func(ctx context.Context, p *service.Project, k domain.Key) error {
			_, err := p.GetKey(ctx, k.ID)
			return err
		}),
		b.onKey("key list", func(ctx context.Context, p *service.Project, _ domain.Key) error {
			_, err := p.ListKeys(ctx, domain.KeyFilter{}, domain.Page{Limit: 10})
			return err
		}),
		only("user list", func(ctx context.Context) error {
			_, err := b.app.ListUsers(ctx, system, domain.Page{Limit: 10})
			return err
		}),
		only("key count", func(ctx context.Context) error {
			_, err := b.app.CountKeys(ctx, system)
			return err
		}),
		only("audit list", func(ctx context.Context) error {
			_, err := b.app.ListEvents(ctx, system, domain.EventFilter{}, domain.Page{Limit: 10})
			return err
		}),
		only("organization by slug", func(ctx context.Context) error {
			_, err := b.app.OrganizationBySlug(ctx, system, acme.Slug)
			return err
		}),
		only("project of a key", func(ctx context.Context) error {
			_, err := b.app.ProjectOfKey(ctx, system, key.ID)
			return err
		}),
		only("signing-key rotate", func(ctx context.Context) error {
			_, err := b.app.RotateSigningKey(ctx, system, false)
			return err
		}),
	}
}

// jobs are the background jobs of a node, each with something to do.
func (b *breaking) jobs() (all []storetest.UseCase) {
	work := map[string]func(){
		"remove what deleted organizations and projects owned": func() {
			organization, _ := b.tenant(b.signUp(b.email()))
			b.check(organization.Delete(b.Context()))
		},
		"claim an email": func() {
			_, err := b.app.SignUp(b.Context(), b.from(), domain.SignUp{Email: b.email(), Password: password})
			b.check(err)
		},
		"record refusals": func() {
			_, err := b.app.LogIn(b.Context(), b.from(), b.user().Email, "a wrong passphrase")
			b.code(err, domain.CodeInvalidCredentials)
		},
		"forget usage of long ago": func() {
			_, project := b.tenant(b.signUp(b.email()))
			key, _, _ := b.key(project)
			of, err := project.Get()
			b.check(err)
			b.check(b.Store.RecordUsage(b.Context(), domain.UsageBatch{
				NodeID: string(key.ID), Number: 1, At: b.Now().AddDate(0, 0, -service.DefaultUsageDays-1),
				Counts: []domain.UsageCount{{
					OrganizationID: of.OrganizationID, ProjectID: of.ID, KeyID: key.ID,
					Environment: key.Environment, Outcome: domain.OutcomeValid, Count: 1,
				}},
			}))
		},
		"record uses": func() {
			_, project := b.tenant(b.signUp(b.email()))
			_, token, err := project.CreateKey(b.Context(), domain.KeySpec{Name: "k"})
			b.check(err)
			_, err = b.app.ProveKey(b.Context(), token.Reveal(), nil)
			b.check(err)
		},
	}
	jobs := b.app.Jobs()
	for name := range work {
		if jobs[name] == nil {
			b.Errorf("there is work for %q, which is no job", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		job := jobs[name]
		all = append(all, storetest.UseCase{Name: name, InSteps: true, Prepare: func() func(context.Context) error {
			if prepare, ok := work[name]; ok {
				prepare()
			}
			return job
		}})
	}
	return all
}

// Guarantees that no use case of the command line, the console's session or the
// background takes a statement that fails for success, whichever it is: it says
// unavailable, leaves no half of its change behind, and succeeds afterwards.
func TestEveryStatementOfAUseCaseFailsOnce(t *testing.T) {
	t.Parallel()
	for engine, database := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			w := prepare(t, storetest.NewBreakable(t, dsn), dsn)
			w.App = w.Another(service.Options{})
			b := &breaking{world: w, app: w.Another(service.Options{Mailer: &postOffice{}})}
			dump := storetest.NewDumper(t, dsn)
			random, share := rand.New(rand.NewPCG(faultSeed, 0)), 0.15
			if *long {
				share = 1
			}
			tried := 0
			for _, u := range append(b.useCases(), b.jobs()...) {
				tried += u.FailOnce(t, dump, share, random)
			}
			t.Logf("seed %d: %d statements", faultSeed, tried)
		})
	}
}
