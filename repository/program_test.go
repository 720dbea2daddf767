package repository_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// TestNewerDatabase guarantees that a database is served beside a newer program
// that added to it, and refused when only newer programs can work with it.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	for name, driver := range map[string]string{"SQLite": "sqlite", "PostgreSQL": "pgx"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.Engines[name](t)
			storetest.New(t, dsn)
			db, err := sql.Open(driver, strings.TrimPrefix(dsn, "sqlite:"))
			check(t, err)
			defer db.Close()
			change := func(statement string) {
				t.Helper()
				_, err := db.ExecContext(t.Context(), statement)
				check(t, err)
			}

			change("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, TRUE)")
			s := storetest.New(t, dsn)
			unknown, err := s.UnknownMigrations(t.Context())
			check(t, err)
			if !slices.Equal(unknown, []int64{9001}) {
				t.Errorf("unknown migrations are %v, want 9001", unknown)
			}

			change("UPDATE settings SET value = '9.1.0' WHERE name = 'oldest_program'")
			_, err = repository.Open(t.Context(), dsn, repository.Options{})
			if _, unfit := errors.AsType[*repository.UnfitError](err); !unfit ||
				!strings.Contains(err.Error(), "only 9.1.0 or newer can work with") {
				t.Errorf("got %v, want a refusal that names 9.1.0", err)
			}
			change("UPDATE settings SET value = '" + domain.Version + "' WHERE name = 'oldest_program'")
			storetest.New(t, dsn)
		})
	}
}
