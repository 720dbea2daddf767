package service_test

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// BenchmarkImportKeys imports 100 000 keys of the Django library into a
// PostgreSQL that syncs its writes, and then brings the same rows in with COPY,
// the floor. It prints both rates, and that of importing the same rows again.
func BenchmarkImportKeys(b *testing.B) {
	const number = 100_000
	rows := make([]domain.ImportRow, number)
	for i := range rows {
		prefix := fmt.Sprintf("p%07d", i)
		digest := sha512.Sum512([]byte(prefix + ".secret"))
		rows[i] = domain.ImportRow{
			Name: "a key of a customer", Algorithm: domain.DjangoSHA512, Hash: domain.Hidden("sha512$$" + hex.EncodeToString(digest[:])), Prefix: prefix,
		}
	}
	dsn := storetest.NewCluster(b).Database(b)
	app, err := service.New(b.Context(), service.Options{Store: storetest.New(b, dsn), MasterKey: masterKey, Issuer: "http://localhost"})
	if err != nil {
		b.Fatal(err)
	}
	system := domain.System()
	owner, err := app.CreateUser(b.Context(), system, domain.SignUp{Email: "ann@example.com", Password: password}, false)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		o, err := app.CreateOrganization(b.Context(), system, domain.OrganizationSpec{Name: "Acme", Owner: owner.ID})
		if err != nil {
			b.Fatal(err)
		}
		handle, err := app.Organization(b.Context(), system, o.ID)
		if err != nil {
			b.Fatal(err)
		}
		p, err := handle.CreateProject(b.Context(), domain.ProjectSpec{Name: "API"})
		if err != nil {
			b.Fatal(err)
		}
		project, err := app.Project(b.Context(), system, p.ID)
		if err != nil {
			b.Fatal(err)
		}
		for _, pass := range []struct {
			name string
			want domain.ImportResult
		}{
			{"imported/s", domain.ImportResult{Imported: number}}, {"unchanged/s", domain.ImportResult{Unchanged: number}},
		} {
			began := time.Now()
			result, err := project.ImportKeys(b.Context(), rows)
			if err != nil || result.Imported != pass.want.Imported || result.Unchanged != pass.want.Unchanged {
				b.Fatal(result.Imported, result.Unchanged, len(result.Errors), err)
			}
			b.ReportMetric(number/time.Since(began).Seconds(), pass.name)
		}
	}
	b.ReportMetric(number/copyImported(b, dsn).Seconds(), "COPY/s")
}

// copyImported removes the keys and copies them back into their tables, with all
// indexes and foreign keys that import has to serve too. It says how long the
// copying took.
func copyImported(b *testing.B, dsn string) (took time.Duration) {
	b.Helper()
	db, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(b.Context())
	tables := []string{"api_keys", "api_key_secrets"}
	columns, values := map[string][]string{}, map[string][][]any{}
	for _, table := range tables {
		rows, err := db.Query(b.Context(), "TABLE "+table)
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range rows.FieldDescriptions() {
			columns[table] = append(columns[table], f.Name)
		}
		for rows.Next() {
			v, err := rows.Values()
			if err != nil {
				b.Fatal(err)
			}
			values[table] = append(values[table], v)
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.Exec(b.Context(), "TRUNCATE api_keys CASCADE"); err != nil {
		b.Fatal(err)
	}
	for _, table := range tables {
		began := time.Now()
		if _, err := db.CopyFrom(b.Context(), pgx.Identifier{table}, columns[table], pgx.CopyFromRows(values[table])); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
	}
	return took
}
