package service_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// missedChange is a change that a node does not hear of, and a question whose answer it
// makes another one.
type missedChange struct {
	name   string
	kind   domain.StaleKind // of its note
	change func(by *service.App) error
	ask    func(of *service.App) error
	before domain.Code
	after  domain.Code
}

// tenancy has the objects that the questions are about.
type tenancy struct {
	*world

	session  service.SignedIn // of ann, who owns it
	ann, bob domain.Principal
	org      domain.OrganizationID
	project  domain.ProjectID
	key      domain.Key
	token    string
	late     string // a token that the change makes good
}

func newTenancy(w *world) *tenancy {
	w.Helper()
	var err error
	c := &tenancy{world: w}
	c.session, err = w.SignUp(w.Context(), domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: password})
	w.check(err)
	user, err := w.ProveUser(w.Context(), c.session.AccessToken)
	w.check(err)
	c.ann = domain.NewPrincipal(nil, user, domain.Origin{})
	o, p := w.tenant(c.ann)
	c.org, c.project = w.id(o), w.projectID(p)
	c.bob = w.invite(o, "bob@example.com", domain.Admin)
	c.key, c.token, _ = w.key(p, "documents:read")
	return c
}

func (c *tenancy) proves(text func() string) func(*service.App) error {
	return func(a *service.App) error {
		_, err := a.ProveKey(c.Context(), text(), nil)
		return err
	}
}

// at is a change to the project.
func (c *tenancy) at(change func(context.Context, *service.Project) error) func(*service.App) error {
	return func(a *service.App) error {
		p, err := a.Project(c.Context(), c.ann, c.project)
		c.check(err)
		return change(c.Context(), p)
	}
}

// of is a change to the organization.
func (c *tenancy) of(change func(context.Context, *service.Organization) error) func(*service.App) error {
	return func(a *service.App) error {
		o, err := a.Organization(c.Context(), c.ann, c.org)
		c.check(err)
		return change(c.Context(), o)
	}
}

// execute runs a statement that no note tells of.
func (c *tenancy) execute(statements ...string) error {
	driver, address := "pgx", c.DSN
	if path, ok := strings.CutPrefix(c.DSN, "sqlite:"); ok {
		driver, address = "latchkey-sqlite", "file:"+path
	}
	db, err := sql.Open(driver, address)
	c.check(err)
	defer db.Close()
	for _, s := range statements {
		_, err = db.ExecContext(c.Context(), s)
		c.check(err)
	}
	return nil
}

// misses are the changes: at least one for each kind of note, and one for each use
// of memory.
func (c *tenancy) misses() []missedChange {
	disabled := domain.Disabled
	own, made := func() string { return c.token }, func() string { return c.late }
	asAnn := func(a *service.App) error {
		_, err := a.ProveUser(c.Context(), c.session.AccessToken)
		return err
	}
	asBrowser := func(a *service.App) error {
		_, err := a.ProveSession(c.Context(), c.session.Cookie)
		return err
	}
	bobWrites := func(a *service.App) error {
		p, err := a.Project(c.Context(), c.bob, c.project)
		if err == nil {
			_, err = p.Update(c.Context(), domain.ProjectPatch{})
		}
		return err
	}
	bobEnters := func(a *service.App) error {
		_, err := a.Organization(c.Context(), c.bob, c.org)
		return err
	}
	revoke := c.at(func(ctx context.Context, p *service.Project) error {
		_, err := p.RevokeKey(ctx, c.key.ID, "")
		return err
	})
	signOut := func(a *service.App) error {
		account, err := a.Account(c.Context(), c.ann)
		c.check(err)
		return account.LogOut(c.Context())
	}
	disable := func(a *service.App) error {
		_, err := a.SetUserStatus(c.Context(), domain.System(), userID(c.ann), domain.Disabled)
		return err
	}
	demote := c.of(func(ctx context.Context, o *service.Organization) error {
		_, err := o.UpdateMember(ctx, userID(c.bob), domain.Viewer)
		return err
	})
	remove := c.of(func(ctx context.Context, o *service.Organization) error { return o.RemoveMember(ctx, userID(c.bob)) })
	return []missedChange{
		{"revoked key", domain.StaleToken, revoke, c.proves(own), "", domain.CodeKeyRevoked},
		{"disabled project", domain.StaleProject, c.at(func(ctx context.Context, p *service.Project) error {
			_, err := p.Update(ctx, domain.ProjectPatch{Status: &disabled})
			return err
		}), c.proves(own), "", domain.CodeProjectDisabled},
		{"deleted project", domain.StaleProject, c.at(func(ctx context.Context, p *service.Project) error { return p.Delete(ctx) }),
			bobWrites,
			"", domain.CodeNotFound},
		{"disabled organization", domain.StaleOrganization, c.of(func(ctx context.Context, o *service.Organization) error {
			_, err := o.Update(ctx, domain.OrganizationPatch{Status: &disabled})
			return err
		}), c.proves(own), "", domain.CodeProjectDisabled},
		{"deleted organization", domain.StaleOrganization,
			c.of(func(ctx context.Context, o *service.Organization) error { return o.Delete(ctx) }), bobEnters,
			"", domain.CodeNotFound},
		{"signed-out program", domain.StaleSession, signOut, asAnn, "", domain.CodeInvalidToken},
		{"signed-out browser", domain.StaleSession, signOut, asBrowser, "", domain.CodeInvalidToken},
		{"disabled user", domain.StaleUser, disable, asAnn, "", domain.CodeInvalidToken},
		{"disabled user in a browser", domain.StaleUser, disable, asBrowser, "", domain.CodeInvalidToken},
		{"demoted member", domain.StaleUser, demote, bobWrites, "", domain.CodeForbidden},
		{"removed member", domain.StaleUser, remove, bobEnters, "", domain.CodeNotFound},
		{"signing key given up", domain.StaleSigningKeys, func(a *service.App) error {
			_, err := a.RotateSigningKey(c.Context(), domain.System(), true)
			return err
		}, asAnn, "", domain.CodeInvalidToken},
		{"key made by 0.1", domain.StaleUntagged, func(a *service.App) error {
			defer c.olderNode()()
			return c.at(func(ctx context.Context, p *service.Project) error {
				_, t, err := p.CreateKey(ctx, domain.KeySpec{Name: "k"})
				c.late = t.Reveal()
				return err
			})(a)
		}, c.proves(made), domain.CodeInvalidAPIKey, ""},
		{"imported key", "", func(a *service.App) error {
			return c.at(func(ctx context.Context, p *service.Project) error {
				c.late = "a-token-that-was-made-elsewhere"
				digest := sha256.Sum256([]byte(c.late))
				row := domain.ImportRow{Name: "k", Algorithm: domain.SHA256Hex, Hash: domain.Hidden(hex.EncodeToString(digest[:]))}
				_, err := p.ImportKeys(ctx, slices.Values([]domain.ImportRow{row}))
				return err
			})(a)
		}, c.proves(func() string { return "a-token-that-was-made-elsewhere" }), domain.CodeInvalidAPIKey, ""},
		{"what is not known any more", domain.StaleEverything, func(a *service.App) error {
			c.check(revoke(a))
			return c.execute("DELETE FROM changes")
		}, c.proves(own), "", domain.CodeKeyRevoked},
	}
}

// answered fails unless the node answers the question so, the first time and from
// memory.
func (m missedChange) answered(w *world, who string, node *service.App, want domain.Code) {
	w.Helper()
	for range 2 {
		if err := m.ask(node); domain.CodeOf(err) != want {
			w.Errorf("%s: %s answers %v, want %q", m.name, who, err, want)
		}
	}
}

// Guarantees that nothing stale is served: not by a node that was cut off from the
// changes and follows them again, not by that node while it is cut off, and not by a
// process that never follows, for each kind of change and each use of memory.
func TestMissedChangesAreNotKept(t *testing.T) {
	t.Parallel()
	for engine, dsn := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for i := range (&tenancy{}).misses() {
				dsn := dsn(t)
				w := prepare(t, storetest.New(t, dsn), dsn)
				w.App = w.Another(service.Options{})
				c := newTenancy(w)
				m := c.misses()[i]
				alone, elsewhere := w.node(), w.node()

				cut := servicetest.Follow(t, w.App)
				m.answered(w, "a node", w.App, m.before)
				m.answered(w, "a process without a follower", alone, m.before)
				cut()
				w.check(m.change(elsewhere))
				m.answered(w, "a node that is cut off", w.App, m.after)
				m.answered(w, "a process without a follower", alone, m.after)
				cut = servicetest.Follow(t, w.App)
				servicetest.Eventually(w, m.name+" is known again", func() bool { return m.after != "" || m.ask(w.App) == nil })
				m.answered(w, "a node that follows again", w.App, m.after)
				cut()
			}
		})
	}
}

// harmless are the kinds of notes that a node may miss. The list of nodes is read again
// when it follows again, a limit that was reset allows less until then, never more, and
// those who wait for changes then get a reset.
var harmless = []domain.StaleKind{domain.StaleNodes, domain.StaleLimit, domain.StaleReset}

// Guarantees that each kind of note has its change in the law above.
func TestEveryKindOfNoteIsMissed(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../domain/stale.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	missed, found := (&tenancy{}).misses(), 0
	ast.Inspect(file, func(n ast.Node) bool {
		text, ok := n.(*ast.BasicLit)
		if !ok || text.Kind != token.STRING {
			return true
		}
		found++
		kind, err := strconv.Unquote(text.Value)
		if err != nil {
			t.Fatal(err)
		}
		tried := slices.ContainsFunc(missed, func(m missedChange) bool { return string(m.kind) == kind })
		if !tried && !slices.Contains(harmless, domain.StaleKind(kind)) {
			t.Errorf("no change is missed whose note is %q", kind)
		}
		return true
	})
	if found < 8 {
		t.Errorf("found only %d kinds", found)
	}
}
