package service_test

import (
	"context"
	"crypto/rand"
	"flag"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

var long = flag.Bool("long", false, "run the races for all their rounds")

const password = servicetest.Password

// world is a node, its database, and the test that uses them.
type world struct {
	*testing.T
	*servicetest.World
}

// onEach runs a test in a world on each database.
func onEach(t *testing.T, test func(w *world)) {
	t.Parallel()
	for name, dsn := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, dsn(t)))
		})
	}
}

// newWorld returns a world whose node follows the changes of others.
func newWorld(t *testing.T, dsn string) *world {
	t.Helper()
	return &world{t, servicetest.New(t, dsn, service.Options{})}
}

// prepare returns a world without a node, so that the test can prepare the database.
func prepare(t *testing.T, store *repository.Store, dsn string) *world {
	t.Helper()
	return &world{t, servicetest.Prepare(t, store, dsn)}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) code(err error, want domain.Code) {
	w.Helper()
	if got := domain.CodeOf(err); got != want {
		w.Errorf("got %v, want %s", err, want)
	}
}

// countEvents counts the instance's audit events of an action, also of those
// that concern only a person.
func (w *world) countEvents(action string) int {
	w.Helper()
	list, err := w.ListEvents(w.Context(), domain.System(), domain.EventFilter{Action: action}, domain.Page{Limit: domain.MaxPageSize})
	w.check(err)
	return len(list.Items)
}

// signUp makes an account and returns it as a caller.
func (w *world) signUp(email string) domain.Principal {
	w.Helper()
	_, caller := w.Person(email)
	return caller
}

// tenant makes an organization with a project and returns handles of its owner.
func (w *world) tenant(owner domain.Principal) (*service.Organization, *service.Project) {
	w.Helper()
	o := w.NewOrganization(owner, "Acme")
	return o, w.NewProject(o, "API")
}

func (w *world) project(caller domain.Principal, id domain.ProjectID) *service.Project {
	w.Helper()
	p, err := w.Project(w.Context(), caller, id)
	w.check(err)
	return p
}

// key makes a key and returns it, its token, and itself as a caller.
func (w *world) key(p *service.Project, scopes ...domain.Scope) (domain.Key, string, domain.Principal) {
	w.Helper()
	k, token, err := p.CreateKey(w.Context(), domain.KeySpec{Name: "k", Scopes: scopes})
	w.check(err)
	calling, err := w.ProveKey(w.Context(), token.Reveal(), nil)
	w.check(err)
	return k, token.Reveal(), domain.ProvenPrincipal(calling, nil, domain.Origin{})
}

func TestMainJob(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("Ann@Example.com")
		org, project := w.tenant(ann)
		key, token, caller := w.key(project, "documents:read")

		// The key brings its project along, and reaches it without naming it.
		got, err := w.project(caller, "").Get()
		w.check(err)
		want, err := project.Get()
		w.check(err)
		if diff := cmp.Diff(want, got); diff != "" {
			w.Error(diff)
		}
		v, err := project.VerifyKey(w.Context(), service.Question{Token: token, Scopes: []domain.Scope{"documents:read"}})
		if err != nil || !v.Valid() || v.Key.ID() != key.ID {
			w.Errorf("got %+v, %v, want valid", v, err)
		}
		v, err = project.VerifyKey(w.Context(), service.Question{Token: token, Scopes: []domain.Scope{"documents:write"}})
		if err != nil || v.Code != service.VerifiedInsufficientScope {
			w.Errorf("got %+v, %v, want insufficient_scope", v, err)
		}
		_, err = project.RevokeKey(w.Context(), key.ID, "lost")
		w.check(err)
		_, err = w.ProveKey(w.Context(), token, nil)
		w.code(err, domain.CodeKeyRevoked)

		events, err := org.ListEvents(w.Context(), domain.EventFilter{}, domain.Page{Limit: 10})
		w.check(err)
		var actions []string
		for _, e := range events.Items {
			actions = append(actions, e.Action)
		}
		if diff := cmp.Diff([]string{"key.created", "key.revoked", "organization.created", "project.created"},
			slices.Sorted(slices.Values(actions))); diff != "" {
			w.Error(diff)
		}
	})
}

// Guarantees that a key ends with the project and the organization above it,
// and comes back with them, but never after its own revocation.
func TestParentsOfKey(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		_, token, _ := w.key(project)
		disabled, active := domain.Disabled, domain.Active
		proves := func(want domain.Code) {
			w.Helper()
			_, err := w.ProveKey(w.Context(), token, nil)
			w.code(err, want)
		}
		setProject := func(s *domain.Status) {
			_, err := project.Update(w.Context(), domain.ProjectPatch{Status: s})
			w.check(err)
		}
		setOrganization := func(s *domain.Status) {
			_, err := org.Update(w.Context(), domain.OrganizationPatch{Status: s})
			w.check(err)
		}
		for _, set := range []func(*domain.Status){setProject, setOrganization} {
			set(&disabled)
			proves(domain.CodeProjectDisabled)
			set(&active)
			proves("")
		}
		w.check(project.Delete(w.Context()))
		proves(domain.CodeInvalidAPIKey)
	})
}

// Guarantees that a caller who does not belong to a tenant gets the answer of what
// does not exist.
func TestStrangers(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		eve := w.signUp("eve@example.com")
		_, evesProject := w.tenant(eve)
		_, token, annsKey := w.key(project)
		_, _, evesKey := w.key(evesProject, domain.KeysVerify)
		mine, err := project.Get()
		w.check(err)

		for name, stranger := range map[string]domain.Principal{"user": eve, "key": evesKey} {
			if _, err := w.Project(w.Context(), stranger, mine.ID); domain.CodeOf(err) != domain.CodeNotFound {
				w.Errorf("%s: got %v, want not_found", name, err)
			}
		}
		_, err = w.Organization(w.Context(), eve, mine.OrganizationID)
		w.code(err, domain.CodeNotFound)
		_, err = w.Organization(w.Context(), annsKey, mine.OrganizationID)
		w.code(err, domain.CodeUnauthenticated) // an organization is no place for keys
		_, err = w.Project(w.Context(), domain.Principal{}, mine.ID)
		w.code(err, domain.CodeUnauthenticated)

		v, err := w.project(evesKey, "").VerifyKey(w.Context(), service.Question{Token: token})
		if want := (service.Verification{Code: service.VerifiedNotFound, Keep: v.Keep}); err != nil || !reflect.DeepEqual(v, want) {
			w.Errorf("got %v, %v, want %v", v, err, want)
		}
	})
}

// Guarantees that no one gives a key what they do not hold themselves, and that
// a key acts only on keys that hold no more than it does.
func TestNoEscalation(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		strong, _, _ := w.key(project, domain.KeysWrite, "documents:write")
		weak, _, weakKey := w.key(project, domain.KeysWrite, domain.KeysRead)
		byKey := w.project(weakKey, "")

		_, _, err := byKey.CreateKey(w.Context(), domain.KeySpec{Name: "k", Scopes: []domain.Scope{"documents:write"}})
		w.code(err, domain.CodeScopeNotHeld)
		more := []domain.Scope{domain.KeysWrite, domain.KeysRead, domain.ProjectWrite}
		_, err = byKey.UpdateKey(w.Context(), weak.ID, domain.KeyPatch{Scopes: &more})
		w.code(err, domain.CodeScopeNotHeld)
		name := "renamed"
		_, err = byKey.UpdateKey(w.Context(), strong.ID, domain.KeyPatch{Name: &name})
		w.code(err, domain.CodeScopeNotHeld)
		_, err = byKey.RevokeKey(w.Context(), strong.ID, "")
		w.code(err, domain.CodeScopeNotHeld)
		w.code(byKey.DeleteKey(w.Context(), strong.ID), domain.CodeScopeNotHeld)
		_, err = byKey.VerifyKey(w.Context(), service.Question{Token: "x"})
		w.code(err, domain.CodeForbidden)

		unchanged, err := project.GetKey(w.Context(), strong.ID)
		w.check(err)
		unchanged.LastUsedAt = time.Time{} // recorded since, or not yet
		if diff := cmp.Diff(strong, unchanged); diff != "" {
			w.Error(diff)
		}
	})
}

// Guarantees that a key's row proves nothing when someone who can write to the
// database, but lacks the master key, moves it to another project.
func TestPlantedSecret(t *testing.T) {
	onEach(t, func(w *world) {
		_, a := w.tenant(w.signUp("ann@example.com"))
		_, b := w.tenant(w.signUp("eve@example.com"))
		_, token, _ := w.key(b)
		victim, _, _ := w.key(a)
		parsed, err := domain.ParseToken(token)
		w.check(err)
		secret, _, err := w.Store.CallingKey(w.Context(), parsed.ID())
		w.check(err)
		project, err := a.Get()
		w.check(err)
		mine, err := b.Get()
		w.check(err)

		w.check(w.Store.InTx(w.Context(), func(ctx context.Context, tx *repository.Store) error {
			return tx.DeleteKey(ctx, mine.Scope(), secret.KeyID)
		}))
		secret.KeyID, secret.ProjectID, secret.ValidUntil = victim.ID, project.ID, w.Now().Add(time.Hour)
		w.check(w.Store.AddSecret(w.Context(), project.Scope(), secret))
		_, err = w.ProveKey(w.Context(), token, nil)
		w.code(err, domain.CodeInvalidAPIKey)
	})
}

// Guarantees that a token whose public id is taken is drawn again, and that the
// one who had the id first keeps it.
func TestPrefixCollision(t *testing.T) {
	t.Parallel()
	seed := make([]byte, 128)
	rand.Read(seed)
	twice := io.MultiReader(strings.NewReader(string(seed)), strings.NewReader(string(seed)), rand.Reader)
	w := &world{t, servicetest.New(t, storetest.SQLite(t), service.Options{Random: twice})}
	_, project := w.tenant(w.signUp("ann@example.com"))
	first, token, _ := w.key(project)
	second, other, _ := w.key(project)
	if first.Prefix == second.Prefix || token == other {
		t.Errorf("two keys share the prefix %s", first.Prefix)
	}
	if calling, err := w.ProveKey(t.Context(), token, nil); err != nil || calling.Key().ID != first.ID {
		t.Errorf("got %v, %v, want the first key", calling, err)
	}
}

// Guarantees that a refresh token is good once, brings the same successor again
// for ten seconds, and ends its session when it comes back later; and that what
// was never one of our tokens ends nothing.
func TestRefresh(t *testing.T) {
	onEach(t, func(w *world) {
		w.signUp("ann@example.com")
		in, err := w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", password)
		w.check(err)
		refresh := func(token string) (string, error) {
			next, err := w.Refresh(w.Context(), domain.Origin{}, token)
			return next.RefreshToken, err
		}
		second, err := refresh(in.RefreshToken)
		w.check(err)
		again, err := refresh(in.RefreshToken)
		w.check(err)
		if second != again || second == in.RefreshToken {
			w.Error("a lost answer must bring the same successor")
		}
		tag := strings.LastIndex(second, ".")
		for _, forged := range []string{"", "x", in.AccessToken, second[:tag], second[:tag] + ".AAAAAAAAAAAAAAAAAAAAAA", second + "A",
			"." + second} {
			_, err := refresh(forged)
			w.code(err, domain.CodeInvalidToken)
		}
		third, err := refresh(second)
		w.check(err)
		w.Pass(11 * time.Second)
		_, err = refresh(second)
		w.code(err, domain.CodeInvalidToken)
		_, err = refresh(third)
		w.code(err, domain.CodeInvalidToken)
		_, err = w.ProveUser(w.Context(), in.AccessToken)
		w.code(err, domain.CodeInvalidToken)
	})
}

func TestSessionEnds(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		in, err := w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", password)
		w.check(err)
		_, err = w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", "another passphrase")
		w.code(err, domain.CodeInvalidCredentials)
		_, err = w.LogIn(w.Context(), domain.Origin{}, "no-one@example.com", password)
		w.code(err, domain.CodeInvalidCredentials)

		account, err := w.Account(w.Context(), ann)
		w.check(err)
		w.code(account.ChangePassword(w.Context(), "not it", "a new passphrase"), domain.CodeInvalidCredentials)
		w.check(account.ChangePassword(w.Context(), password, "a new passphrase"))
		_, err = w.ProveUser(w.Context(), in.AccessToken) // the other session
		w.code(err, domain.CodeInvalidToken)
		_, err = w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", password)
		w.code(err, domain.CodeInvalidCredentials)

		in, err = w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", "a new passphrase")
		w.check(err)
		w.Pass(6 * time.Minute)
		_, err = w.ProveUser(w.Context(), in.AccessToken)
		w.code(err, domain.CodeTokenExpired)
		w.Pass(15 * 24 * time.Hour)
		_, err = w.Refresh(w.Context(), domain.Origin{}, in.RefreshToken)
		w.code(err, domain.CodeInvalidToken)
	})
}

// Guarantees that what cannot be undone needs a sign-in of the last ten minutes.
func TestFreshSignIn(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		w.Pass(11 * time.Minute)
		w.code(project.Delete(w.Context()), domain.CodeReauthenticationRequired)
		w.code(org.Delete(w.Context()), domain.CodeReauthenticationRequired)
		w.Pass(-2 * time.Minute)
		w.check(org.Delete(w.Context()))
	})
}

// Guarantees that a database refuses every master key but its first.
func TestForeignMasterKey(t *testing.T) {
	t.Parallel()
	store := storetest.New(t, storetest.SQLite(t))
	known := func() bool {
		has, err := service.HasMasterKey(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		return has
	}
	open := func(ctx context.Context, key byte) error {
		_, err := service.New(ctx, service.Options{Store: store, MasterKey: [32]byte{key}, Issuer: "http://localhost"})
		return err
	}
	if known() {
		t.Error("a fresh database claims to know a master key")
	}
	if err := open(t.Context(), 1); err != nil || !known() {
		t.Fatal(err, known())
	}
	if err := open(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "original LATCHKEY_MASTER_KEY") {
		t.Errorf("got %v, want a refusal that says what to bring back", err)
	}
	if err := open(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func TestParseMasterKey(t *testing.T) {
	t.Parallel()
	good := service.NewMasterKey()
	for text, ok := range map[string]bool{
		good: true, " " + good + "\n": true, strings.TrimRight(good, "="): true,
		"": false, "short": false, good[4:]: false, good + good: false,
		strings.Repeat("A", 43) + "=": false, strings.Repeat("!", 44): false,
	} {
		if _, err := service.ParseMasterKey(text); (err == nil) != ok {
			t.Errorf("%q: got %v, want ok %t", text, err, ok)
		}
	}
}
