package repository_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Guarantees that no two transactions wait for each other in a circle when a
// project is deleted while its keys are used and others are made and changed:
// PostgreSQL counts no deadlock, and only operations on deleted rows fail.
func TestProjectDeletedUnderLoad(t *testing.T) {
	t.Parallel()
	dsn := storetest.Postgres(t)
	s := storetest.New(t, dsn)
	ctx := t.Context()
	now := time.Now()
	org := domain.Organization{
		ID: domain.NewID[domain.OrganizationID](now), Name: "Acme", Slug: "acme", Status: domain.Active, CreatedAt: now, UpdatedAt: now,
		Revision: 1,
	}
	check(t, s.CreateOrganization(ctx, org))
	project := domain.Project{
		ID: domain.NewID[domain.ProjectID](now), OrganizationID: org.ID, Name: "API", Slug: "api", KeyPrefix: "lk",
		Status: domain.Active, CreatedAt: now, UpdatedAt: now, Revision: 1,
	}
	check(t, s.CreateProject(ctx, org.Scope(), project))
	const keys = 1_000
	imported := make([]domain.ImportedKey, keys)
	uses := make([]domain.Use, keys)
	for i, n := range rand.Perm(keys) { // the order on disk is not that of the ids
		k := domain.Key{
			ID: domain.KeyID(fmt.Sprintf("key_%026d", n)), ProjectID: project.ID, Name: "k", Environment: domain.Live, CreatedAt: now,
			Revision: 1,
		}
		token := domain.TokenID(fmt.Sprintf("t%011d", n))
		imported[i] = domain.ImportedKey{Key: k, Secret: domain.Secret{
			TokenID: token, ProjectID: project.ID, KeyID: k.ID, Algorithm: domain.SHA256Hex, Digest: []byte{1}, CreatedAt: now,
			Locator: string(token), ImportDigest: []byte(token),
		}}
		uses[i] = domain.Use{ProjectID: project.ID, KeyID: k.ID, TokenID: token, First: now}
	}
	check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		return tx.AddImported(ctx, project.Scope(), 1, imported)
	}))

	done := make(chan struct{})
	var load sync.WaitGroup
	for node := range 4 {
		load.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				later := now.Add(time.Duration(n) * time.Hour)
				some := make([]domain.Use, 0, keys/2)
				for _, i := range rand.Perm(keys)[:keys/2] {
					u := uses[i]
					u.Last = later
					some = append(some, u)
				}
				if err := s.RecordUses(ctx, some); err != nil {
					t.Errorf("record uses: %v", err)
					return
				}
				if _, err := s.Visit(ctx, someVisits(project.ID, uses[:100], fmt.Sprint("node ", node), later)); err != nil {
					t.Errorf("visit counters: %v", err)
					return
				}
			}
		})
	}
	check(t, s.DeleteProject(ctx, project.Scope(), time.Now()))
	for more := true; more; {
		var err error
		if more, err = s.PurgeProjects(ctx, 100); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	load.Wait()
	db, err := sql.Open("pgx", dsn)
	check(t, err)
	defer db.Close()
	var deadlocks int
	check(t, db.QueryRowContext(ctx, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks))
	if deadlocks != 0 {
		t.Errorf("got %d deadlocks, want none", deadlocks)
	}
}

// someVisits are visits of the quotas of keys, in any order.
func someVisits(p domain.ProjectID, of []domain.Use, node string, at time.Time) domain.Visits {
	v := domain.Visits{Node: node, Nodes: 4, At: at.Truncate(time.Microsecond)}
	limit := domain.Limit{Name: "daily", Type: domain.Quota, Limit: domain.Allow(1000), Period: domain.PeriodDay}.WithDefaults()
	for _, i := range rand.Perm(len(of)) {
		v.All = append(v.All, domain.Visit{
			Counter: domain.ProjectCounter{Project: p, Counter: domain.Counter{
				Owner: string(p), Type: limit.Type, Name: limit.Name, Per: limit.Per, Subject: string(of[i].KeyID),
			}},
			Limit:  limit,
			Report: domain.Report{Want: 10, Need: 1},
		})
	}
	return v
}

// Guarantees that a transaction that the database undid for the sake of another one
// runs once more, whole, and that its caller hears unavailable when that is of no
// use, never an internal error.
func TestUndoneTransactionsRunAgain(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Postgres(t))
	for _, code := range []string{"40P01", "40001"} {
		runs := 0
		err := s.InTx(t.Context(), func(ctx context.Context, tx *repository.Store) error {
			runs++
			if err := tx.AddSetting(ctx, code, []byte("v")); err != nil {
				return err
			}
			if runs == 1 {
				return &pgconn.PgError{Code: code}
			}
			return nil
		})
		value, readErr := s.GetSetting(t.Context(), code)
		if err != nil || runs != 2 || string(value) != "v" || readErr != nil {
			t.Errorf("%s: got %v after %d runs and %q, %v; want no error after 2", code, err, runs, value, readErr)
		}
		runs = 0
		err = s.InTx(t.Context(), func(context.Context, *repository.Store) error {
			runs++
			return domain.Unavailable(&pgconn.PgError{Code: code})
		})
		if domain.CodeOf(err) != domain.CodeUnavailable || runs != 2 {
			t.Errorf("%s: got %v after %d runs, want unavailable after 2", code, err, runs)
		}
	}
	runs := 0
	failure := errors.New("no")
	err := s.InTx(t.Context(), func(context.Context, *repository.Store) error { runs++; return failure })
	if !errors.Is(err, failure) || runs != 1 {
		t.Errorf("got %v after %d runs, want the error after 1", err, runs)
	}
}
