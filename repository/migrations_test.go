package repository_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/latchkey-dev/latchkey/migrations"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

func TestMigrationPairsAreComplete(t *testing.T) {
	t.Parallel()
	stems := func(database string) (stems []string) {
		for _, name := range migrations.Only(database) {
			stems = append(stems, strings.TrimSuffix(name, "."+database+".sql"))
		}
		return stems
	}
	if diff := cmp.Diff(stems("postgres"), stems("sqlite")); diff != "" {
		t.Errorf("a file lacks its counterpart (-PostgreSQL +SQLite):\n%s", diff)
	}
}

// TestRetiringMigration guarantees that a database in use brings along what its
// rotations left behind, and that a version before can be gone back to.
func TestRetiringMigration(t *testing.T) {
	t.Parallel()
	const before, after = 30, 41
	for name, database := range map[string]struct {
		open    func(testing.TB) string
		driver  string
		dialect goose.Dialect
		other   string
	}{
		"SQLite":     {storetest.SQLite, "sqlite", goose.DialectSQLite3, "postgres"},
		"PostgreSQL": {storetest.Postgres, "pgx", goose.DialectPostgres, "sqlite"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open(database.driver, strings.TrimPrefix(database.open(t), "sqlite:"))
			check(t, err)
			defer db.Close()
			files, err := goose.NewProvider(database.dialect, db, migrations.FS, goose.WithDisableGlobalRegistry(true),
				goose.WithExcludeNames(migrations.Only(database.other)))
			check(t, err)
			_, err = files.UpTo(t.Context(), before)
			check(t, err)
			for _, statement := range []string{
				`INSERT INTO organizations (id, name, slug, status, created_at, updated_at, revision)
					VALUES ('o', '', '', 'active', 1, 1, 1)`,
				`INSERT INTO projects (id, organization_id, name, slug, key_prefix, status, created_at, updated_at, revision)
					VALUES ('p', 'o', '', '', '', 'active', 1, 1, 1)`,
				`INSERT INTO api_keys (id, organization_id, project_id, name, prefix, environment,
					scopes, external_id, metadata, created_at,
					created_by_kind, created_by_id, created_by_name, revoked_reason, rotated_at, revision) VALUES
					('rotated', 'o', 'p', '', '', 'live', '[]', '', '{}', 1, '', '', '', '', 5, 1),
					('new', 'o', 'p', '', '', 'live', '[]', '', '{}', 1, '', '', '', '', NULL, 1)`,
				`INSERT INTO api_key_secrets (token_id, project_id, key_id, prefix, algorithm, pepper_version,
					digest, created_at, valid_until) VALUES
					('ended', 'p', 'rotated', 'lk_ended', '', 1, '', 1, 7), ('retiring', 'p', 'rotated', 'lk_retiring', '', 1, '', 1, 9),
					('current', 'p', 'rotated', 'lk_current', '', 1, '', 1, NULL), ('only', 'p', 'new', 'lk_only', '', 1, '', 1, NULL)`,
			} {
				_, err := db.ExecContext(t.Context(), statement)
				check(t, err)
			}
			_, err = files.UpTo(t.Context(), after)
			check(t, err)
			holds := func(query, want string) {
				t.Helper()
				var got string
				check(t, db.QueryRowContext(t.Context(), query).Scan(&got))
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			holds(`SELECT retiring_prefix || ' ' || retiring_until FROM api_keys WHERE id = 'rotated'`, "lk_retiring 9")
			holds(`SELECT retiring_prefix || COALESCE(retiring_until, -1) FROM api_keys WHERE id = 'new'`, "-1")
			_, err = files.DownTo(t.Context(), before)
			check(t, err)
			holds(`SELECT COUNT(*) FROM api_keys`, "2")
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
