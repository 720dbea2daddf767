package repository

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/migrations"
)

// oldestProgram is the setting with the oldest version that may use the
// database. A migration that is not additive raises it.
const oldestProgram = "oldest_program"

// checkProgram refuses a database that this program would misread or damage.
func (s *Store) checkProgram(ctx context.Context) error {
	if empty, err := s.Empty(ctx); empty || err != nil {
		return err
	}
	oldest, err := s.GetSetting(ctx, oldestProgram)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil // no migration has noted it yet
	}
	if err != nil {
		return err
	}
	if !domain.VersionAtLeast(domain.Version, string(oldest)) {
		return &UnfitError{fmt.Sprintf(
			"a newer Latchkey has changed this database in a way that only %s or newer can work with, and this is %s: "+

				"run the newer one, or restore the backup from before the upgrade", oldest, domain.Version)}
	}
	return nil
}

// Empty reports whether no migration has ever been applied.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var tables, noted int
	if err := s.read.NewRaw(s.engine.migratedQuery()).Scan(ctx, &tables); err != nil || tables == 0 {
		return true, s.error(err)
	}
	err := s.read.NewRaw("SELECT COUNT(*) FROM goose_db_version WHERE version_id > 0").Scan(ctx, &noted)
	return noted == 0, s.error(err)
}

func (postgresEngine) migratedQuery() string {
	return "SELECT COUNT(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) AND tablename = 'goose_db_version'"
}

func (sqliteEngine) migratedQuery() string {
	return "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'"
}

// Migrate applies the pending migrations; other nodes wait until it is done.
func (s *Store) Migrate(ctx context.Context) error {
	locker, err := s.engine.locker()
	if err != nil {
		return err
	}
	pool, end := s.engine.migrationPool(s)
	defer end() //nolint:errcheck // the migrations are committed
	p, err := s.migrator(pool, locker)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", s.error(err))
	}
	return nil
}

// Migration is one step of the schema's history.
type Migration struct {
	Version   int64
	Name      string
	AppliedAt time.Time // zero: pending
}

// Migrations lists all steps this program knows, oldest first.
func (s *Store) Migrations(ctx context.Context) ([]Migration, error) {
	p, err := s.migrator(s.pools[len(s.pools)-1].DB, nil)
	if err != nil {
		return nil, err
	}
	states, err := p.Status(ctx)
	if err != nil {
		return nil, s.error(err)
	}
	all := make([]Migration, len(states))
	for i, st := range states {
		all[i] = Migration{st.Source.Version, st.Source.Path, st.AppliedAt}
	}
	return all, nil
}

// AllMigrations lists all steps for the kind of database that dsn names, as
// pending. It does not connect.
func AllMigrations(dsn string) ([]Migration, error) {
	var e engine = sqliteEngine{}
	if !strings.HasPrefix(dsn, "sqlite:") {
		e = postgresEngine{}
	}
	pool, err := sql.Open(sqliteDriver, ":memory:")
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	p, err := (&Store{engine: e}).migrator(pool, nil)
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, source := range p.ListSources() {
		all = append(all, Migration{Version: source.Version, Name: source.Path})
	}
	return all, nil
}

func (s *Store) migrator(pool *sql.DB, locker lock.SessionLocker) (*goose.Provider, error) {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithExcludeNames(s.engine.otherMigrations())}
	if locker != nil {
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(s.engine.gooseDialect(), pool, fs.FS(migrations.FS), options...)
}

// UnknownMigrations lists the schema versions that a newer program has applied
// and that this program does not know.
func (s *Store) UnknownMigrations(ctx context.Context) ([]int64, error) {
	known, err := s.Migrations(ctx)
	if err != nil {
		return nil, err
	}
	var applied []int64
	if err := s.read.NewRaw("SELECT DISTINCT version_id FROM goose_db_version WHERE version_id > 0 ORDER BY version_id").
		Scan(ctx, &applied); err != nil {
		return nil, s.error(err)
	}
	return slices.DeleteFunc(applied, func(version int64) bool {
		return slices.ContainsFunc(known, func(m Migration) bool { return m.Version == version })
	}), nil
}
