package storetest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// eachFault calls act with each of its statements failing once, in each way. It fails
// the test unless act then returns unavailable.
func eachFault(t *testing.T, name string, act func(ctx context.Context) error) (statements int) {
	t.Helper()
	for hit := true; hit; statements++ {
		hit = false
		for _, kind := range []FaultKind{Refused, Cut} {
			f := &Fault{At: statements + 1, Kind: kind, Again: true}
			err := act(f.Context(t.Context()))
			if !f.Hit() {
				continue
			}
			hit = true
			got := domain.CodeOf(err)
			if got == domain.CodeInternal && kind == Cut {
				continue // it failed by itself before its rows could break off
			}
			if got != domain.CodeUnavailable {
				t.Errorf("%s, statement %d %s (%.80s): got %v, want unavailable", name, f.At, f.Kind, f.Seen()[f.At-1], err)
			}
		}
	}
	return statements - 1
}

// withoutStatements are methods that send no statement for what testOutages gives them,
// or that are tested with what they need.
var withoutStatements = map[string]string{
	"InTx":              "takes a function; testOutagesInSteps has transactions",
	"AddImported":       "needs a transaction; the same",
	"Backup":            "writes a file",
	"Feed":              "has connections of its own",
	"Migrate":           "the library that migrates has its own errors",
	"Migrations":        "the same",
	"UnknownMigrations": "the same",
}

// testOutages guarantees that no method of a store answers as if nothing were there
// when the database does not answer: it returns unavailable and nothing else.
func testOutages(t *testing.T, s *repository.Store) {
	store := reflect.ValueOf(s)
	for i := range store.NumMethod() {
		name, method := store.Type().Method(i).Name, store.Method(i)
		kind := method.Type()
		last := kind.NumOut() - 1
		if kind.NumIn() == 0 || kind.In(0) != reflect.TypeFor[context.Context]() || withoutStatements[name] != "" {
			continue
		}
		statements := eachFault(t, name, func(ctx context.Context) error {
			arguments := []reflect.Value{reflect.ValueOf(ctx)}
			for n := 1; n < kind.NumIn(); n++ {
				arguments = append(arguments, argument(kind.In(n)))
			}
			results := method.Call(arguments)
			err, _ := reflect.TypeAssert[error](results[last])
			for _, r := range results[:last] {
				if name != "Empty" && domain.CodeOf(err) == domain.CodeUnavailable && !nothing(r) {
					t.Errorf("%s: got %v beside %v, want nothing", name, r, err)
				}
			}
			return err
		})
		if statements == 0 {
			t.Errorf("%s: no statement was seen", name)
		}
	}
}

// argument returns a value with which a method reaches its first statement.
func argument(kind reflect.Type) reflect.Value {
	v := reflect.New(kind).Elem()
	switch kind {
	case reflect.TypeFor[domain.ProjectScope]():
		return reflect.ValueOf(domain.Project{ID: "prj_1", OrganizationID: "org_1"}.Scope())
	case reflect.TypeFor[domain.OrganizationScope]():
		return reflect.ValueOf(domain.Organization{ID: "org_1"}.Scope())
	case reflect.TypeFor[time.Time]():
		return reflect.ValueOf(epoch)
	}
	switch kind.Kind() {
	case reflect.Slice:
		return reflect.Append(v, argument(kind.Elem()))
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	default:
	}
	return v
}

// nothing reports whether a result is empty.
func nothing(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.String, reflect.Int, reflect.Bool:
		return v.IsZero()
	case reflect.Struct:
		items := v.FieldByName("Items")
		return !items.IsValid() || items.Len() == 0
	default:
		return true
	}
}

// testOutagesInSteps guarantees the same for each of the statements of methods that
// have several.
func testOutagesInSteps(t *testing.T, s *repository.Store) {
	org, p := newTenant(t, s, "acme")
	user := newUser(t, s, "ann@example.com")
	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(t.Context(), p.Scope(), key))
	check(t, s.AddSecret(t.Context(), p.Scope(), newSecret(key, "t1")))
	inTx := func(act func(ctx context.Context, tx *repository.Store) error) func(ctx context.Context) error {
		return func(ctx context.Context) error { return s.InTx(ctx, act) }
	}
	n := 0
	fresh := func() string {
		n++
		return string(domain.NewID[domain.KeyID](epoch.Add(time.Duration(n) * time.Second)))
	}
	for name, c := range map[string]struct {
		act  func(ctx context.Context) error
		want int // statements, at least
	}{
		"SetPassword": {inTx(func(ctx context.Context, tx *repository.Store) error { return tx.SetPassword(ctx, user.ID, "hash") }), 4},
		"UseMailedToken": {inTx(func(ctx context.Context, tx *repository.Store) error {
			digest := []byte(fresh())
			if err := tx.AddMailedToken(ctx, user.ID, "reset", digest, epoch); err != nil {
				return err
			}
			return tx.UseMailedToken(ctx, user.ID, "reset", digest)
		}), 5},
		"DisplaceSessions": {inTx(func(ctx context.Context, tx *repository.Store) error {
			v := filled(t, domain.Session{ID: domain.NewID[domain.SessionID](epoch), UserID: user.ID, RefreshDigest: []byte(fresh())}, 1)
			if err := tx.CreateSession(ctx, v); err != nil {
				return err
			}
			_, err := tx.DisplaceSessions(ctx, user.ID, 0)
			return err
		}), 5},
		"RecordUsage": {func(ctx context.Context) error {
			return s.RecordUsage(ctx, domain.UsageBatch{NodeID: fresh(), Number: 1, At: epoch, Counts: []domain.UsageCount{
				{OrganizationID: org.ID, ProjectID: p.ID, KeyID: key.ID, Outcome: domain.OutcomeValid, Count: 1},
			}})
		}, 6},
		"Visit": {func(ctx context.Context) error {
			limit := creditsOf(5)
			_, err := s.Visit(ctx, domain.Visits{Node: "n", Nodes: 1, At: epoch, All: []domain.Visit{{
				Counter: counterOf(p, limit, fresh()), Limit: limit, Report: domain.Report{Need: 1},
			}}})
			return err
		}, 6},
		"AddImported": {inTx(func(ctx context.Context, tx *repository.Store) error {
			batch, err := tx.NextImportBatch(ctx)
			if err != nil {
				return err
			}
			return tx.AddImported(ctx, p.Scope(), batch, []domain.ImportedKey{importedKey(p, fresh(), fresh())})
		}), 5},
		"KnownImports": {func(ctx context.Context) error {
			_, err := s.KnownImports(ctx, p.Scope(), []domain.Secret{{Locator: "x", ImportDigest: []byte("x")}})
			return err
		}, 2},
		"DeleteKey": {inTx(func(ctx context.Context, tx *repository.Store) error {
			k := newKey(p, "k", epoch.Add(time.Hour))
			if err := tx.CreateKey(ctx, p.Scope(), k); err != nil {
				return err
			}
			return tx.DeleteKey(ctx, p.Scope(), k.ID)
		}), 5},
		"names": {func(ctx context.Context) error {
			names, err := s.KeyNames(ctx, p.Scope(), []string{string(key.ID)})
			if err == nil && names[string(key.ID)] != key.Name {
				t.Errorf("got %v, want the name of the key", names)
			}
			return err
		}, 1},
		"PurgeOrganizations": {func(ctx context.Context) error {
			o, in := newTenant(t, s, fresh())
			check(t, s.CreateKey(t.Context(), in.Scope(), newKey(in, "k", epoch)))
			check(t, s.DeleteOrganization(t.Context(), o.Scope(), epoch))
			for more := true; more; {
				var err error
				if more, err = s.PurgeOrganizations(ctx, 10); err != nil {
					equal(t, more, false, nil)
					return err
				}
			}
			return nil
		}, 8},
		"PurgeProjects": {func(ctx context.Context) error {
			in := newProject(t, s, org, fresh())
			check(t, s.CreateKey(t.Context(), in.Scope(), newKey(in, "k", epoch)))
			check(t, s.DeleteProject(t.Context(), in.Scope(), epoch))
			for more := true; more; {
				var err error
				if more, err = s.PurgeProjects(ctx, 10); err != nil {
					equal(t, more, false, nil)
					return err
				}
			}
			return nil
		}, 8},
		"ForgetUsage": {func(ctx context.Context) error {
			_, err := s.ForgetUsage(ctx, epoch.AddDate(-1, 0, 0), epoch.AddDate(-1, 0, 0), 10)
			return err
		}, 3},
		"ClaimIdempotency": {inTx(func(ctx context.Context, tx *repository.Store) error {
			v := filled(t, repository.Idempotency{Digest: []byte(fresh()), CreatedAt: epoch}, 1)
			_, _, err := tx.ClaimIdempotency(ctx, v, epoch.Add(-time.Hour))
			return err
		}), 3},
	} {
		if got := eachFault(t, name, c.act); got < c.want {
			t.Errorf("%s: got %d statements, want at least %d", name, got, c.want)
		}
		check(t, c.act(t.Context()))
	}
}
