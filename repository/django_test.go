package repository_test

import (
	"database/sql"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// rowsByPrefix collects what is read.
func rowsByPrefix(t *testing.T, rows iter.Seq2[domain.ImportRow, error]) map[string]domain.ImportRow {
	t.Helper()
	found := map[string]domain.ImportRow{}
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		found[row.Prefix] = row
	}
	return found
}

func wantRow(k storetest.DjangoKey, externalID string) domain.ImportRow {
	row := domain.ImportRow{
		Name: k.Name, Algorithm: domain.AlgorithmOf(k.HashedKey), Hash: domain.Hidden(k.HashedKey), Prefix: k.Prefix,
		CreatedAt: k.Created.UTC(), Revoked: k.Revoked, ExternalID: externalID,
	}
	if k.ExpiryDate != nil {
		row.ExpiresAt = k.ExpiryDate.UTC()
	}
	return row
}

// heroes is the custom model of the frozen databases.
func heroes() repository.DjangoTable {
	table := repository.DefaultDjangoTable
	table.Name, table.ExternalID = "heroes_heroapikey", "hero"
	return table
}

func TestDjangoKeys(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2, 3} {
		dsn, keys := storetest.Django(t, version)
		before, err := os.ReadFile(strings.TrimPrefix(dsn, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		want, wantHeroes := map[string]domain.ImportRow{}, map[string]domain.ImportRow{}
		for _, k := range keys {
			if k.Table == "heroes_heroapikey" {
				wantHeroes[k.Prefix] = wantRow(k, "ada")
			} else {
				want[k.Prefix] = wantRow(k, "")
			}
		}
		got := rowsByPrefix(t, repository.DjangoKeys(t.Context(), dsn, repository.DefaultDjangoTable))
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 4 {
			t.Errorf("version %d, -want +got:\n%s", version, diff)
		}
		got = rowsByPrefix(t, repository.DjangoKeys(t.Context(), strings.Replace(dsn, "sqlite:", "sqlite://", 1), heroes()))
		if diff := cmp.Diff(wantHeroes, got); diff != "" || len(got) != 1 {
			t.Errorf("version %d, -want +got:\n%s", version, diff)
		}
		after, err := os.ReadFile(strings.TrimPrefix(dsn, "sqlite:"))
		if err != nil || string(after) != string(before) {
			t.Errorf("reading changed the database (%v)", err)
		}
	}
}

// The library's table in PostgreSQL has other types, and a schema in front of
// its name.
func TestDjangoKeysPostgres(t *testing.T) {
	t.Parallel()
	dsn := storetest.Postgres(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `
		CREATE SCHEMA heroes;
		CREATE TABLE heroes."Keys" (
			id varchar(150) PRIMARY KEY, prefix varchar(8) NOT NULL UNIQUE, hashed_key varchar(150) NOT NULL, "Called" varchar(50) NOT NULL,
			created timestamptz NOT NULL, expiry_date timestamptz, revoked boolean NOT NULL, hero_id bigint NOT NULL
		);
		INSERT INTO heroes."Keys" VALUES
			('1', 'aaaaaaaa', 'sha512$$00', 'first', '2024-05-01 12:00:00.123456+02', NULL, false, 7),
			('2', 'bbbbbbbb', 'pbkdf2_sha256$1$s$x', 'second', '2024-05-01 12:00:00Z', '2025-01-01 00:00:00Z', true, 8)`)
	if err != nil {
		t.Fatal(err)
	}
	table := repository.DefaultDjangoTable
	table.Name, table.KeyName, table.ExternalID = "heroes.Keys", "Called", "hero_id"
	want := map[string]domain.ImportRow{
		"aaaaaaaa": {
			Name: "first", Algorithm: domain.DjangoSHA512, Hash: "sha512$$00", Prefix: "aaaaaaaa", ExternalID: "7",
			CreatedAt: time.Date(2024, 5, 1, 10, 0, 0, 123456000, time.UTC),
		},
		"bbbbbbbb": {
			Name: "second", Algorithm: domain.DjangoPBKDF2SHA256, Hash: "pbkdf2_sha256$1$s$x", Prefix: "bbbbbbbb", ExternalID: "8",
			Revoked:   true,
			CreatedAt: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), ExpiresAt: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		},
	}
	if diff := cmp.Diff(want, rowsByPrefix(t, repository.DjangoKeys(t.Context(), dsn, table))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDjangoKeysRefused(t *testing.T) {
	t.Parallel()
	dsn, _ := storetest.Django(t, 3)
	missing := repository.DefaultDjangoTable
	missing.Name = `keys"; DROP TABLE rest_framework_api_key_apikey; --`
	for _, test := range []struct {
		dsn   string
		table repository.DjangoTable
	}{
		{dsn, missing}, {"sqlite:" + t.TempDir() + "/none.sqlite3", repository.DefaultDjangoTable},
		{"mysql://db/app", repository.DefaultDjangoTable}, {"postgres://%", repository.DefaultDjangoTable},
	} {
		failed := false
		for _, err := range repository.DjangoKeys(t.Context(), test.dsn, test.table) {
			failed = failed || err != nil
		}
		if !failed {
			t.Errorf("%s, %s: got no error", test.dsn, test.table.Name)
		}
	}
	if got := rowsByPrefix(t, repository.DjangoKeys(t.Context(), dsn, repository.DefaultDjangoTable)); len(got) != 4 {
		t.Errorf("got %d keys left, want 4", len(got))
	}
}
