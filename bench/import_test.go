package bench

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// TestImport imports keys of the Django library into a PostgreSQL that syncs its
// writes, twice, beside COPY of the same rows into the same tables.
func TestImport(t *testing.T) {
	rows := make([]domain.ImportRow, servertest.Size(2000, 100_000))
	for i := range rows {
		prefix := fmt.Sprintf("p%07d", i)
		digest := sha512.Sum512([]byte(prefix + ".secret"))
		rows[i] = domain.ImportRow{
			Name: "a key of a customer", Algorithm: domain.DjangoSHA512, Hash: domain.Hidden("sha512$$" + hex.EncodeToString(digest[:])),
			Prefix: prefix,
		}
	}
	var imports, again []float64
	var floor time.Duration
	for range rounds() {
		database := storetest.NewCluster(t).Database(t)
		project, _ := newProject(t, newApp(t, storetest.New(t, database)))
		imported := timed(t, func() (domain.ImportResult, error) { return project.ImportKeys(t.Context(), slices.Values(rows)) },
			domain.ImportResult{Imported: len(rows)})
		repeated := timed(t, func() (domain.ImportResult, error) { return project.ImportKeys(t.Context(), slices.Values(rows)) },
			domain.ImportResult{Unchanged: len(rows)})
		floor = copyImported(t, database)
		imports, again = append(imports, floor.Seconds()/imported.Seconds()), append(again, floor.Seconds()/repeated.Seconds())
	}
	perSecond := float64(len(rows)) / floor.Seconds()
	r, spread := median(imports)
	a, _ := median(again)
	add(row{fmt.Sprintf("import of %d keys", len(rows)), fmt.Sprintf("%.0f/s", r*perSecond), fmt.Sprintf("%.0f/s", perSecond),
		fmt.Sprintf("%.2f (%.2f)", r, spread), "0.50", fmt.Sprintf("floor: COPY; once more, unchanged: %.2f", a)})
}

func timed(t *testing.T, work func() (domain.ImportResult, error), want domain.ImportResult) time.Duration {
	t.Helper()
	began := time.Now()
	got, err := work()
	must(t, err)
	if got.Imported != want.Imported || got.Unchanged != want.Unchanged {
		t.Fatalf("got %d imported and %d unchanged, want %d and %d", got.Imported, got.Unchanged, want.Imported, want.Unchanged)
	}
	return time.Since(began)
}

// copyImported removes the keys and copies them back into their tables, with all
// indexes and foreign keys that import has to serve too. It says how long the
// copying took.
func copyImported(t *testing.T, database string) (took time.Duration) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer db.Close(t.Context())
	tables := []string{"api_keys", "api_key_secrets"}
	columns, values := map[string][]string{}, map[string][][]any{}
	for _, table := range tables {
		rows, err := db.Query(t.Context(), "TABLE "+table)
		must(t, err)
		for _, f := range rows.FieldDescriptions() {
			columns[table] = append(columns[table], f.Name)
		}
		for rows.Next() {
			v, err := rows.Values()
			must(t, err)
			values[table] = append(values[table], v)
		}
		must(t, rows.Err())
	}
	_, err = db.Exec(t.Context(), "TRUNCATE api_keys CASCADE")
	must(t, err)
	for _, table := range tables {
		began := time.Now()
		_, err = db.CopyFrom(t.Context(), pgx.Identifier{table}, columns[table], pgx.CopyFromRows(values[table]))
		must(t, err)
		took += time.Since(began)
	}
	return took
}
