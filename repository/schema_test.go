package repository_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// TestOneSchema guarantees that migrations leave both databases with the same
// tables and columns, of the same types and nullability.
func TestOneSchema(t *testing.T) {
	t.Parallel()
	columns := func(driver, dsn, query string) map[string]string {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		found := map[string]string{}
		for rows.Next() {
			var column, kind string
			if err := rows.Scan(&column, &kind); err != nil {
				t.Fatal(err)
			}
			found[column] = strings.ToUpper(kind)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return found
	}
	lite, pg := storetest.SQLite(t), storetest.Postgres(t)
	storetest.New(t, lite)
	storetest.New(t, pg)
	got := columns("sqlite", strings.TrimPrefix(lite, "sqlite:"), `
		SELECT t.name || '.' || c.name, c.type || CASE WHEN c."notnull" OR c.pk > 0 THEN ' NOT NULL' ELSE '' END
		FROM sqlite_schema t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE 'goose%'`)
	want := columns("pgx", pg, `
		SELECT table_name || '.' || column_name, data_type || CASE WHEN is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'`)
	if len(want) < 50 {
		t.Fatalf("found only %d columns", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-PostgreSQL +SQLite:\n%s", diff)
	}
}
