package repository_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Guarantees that a backup is whole, for its owner alone, and replaces nothing.
func TestBackup(t *testing.T) {
	t.Parallel()
	dsn := storetest.SQLite(t)
	store := storetest.New(t, dsn)
	if err := store.AddSetting(t.Context(), "kept", []byte("value")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := store.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file for its owner alone", info, err)
	}
	if err := store.Backup(t.Context(), path); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another backup: got %v, want that it exists", err)
	}
	copied, err := repository.Open(t.Context(), "sqlite:"+path, repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if got, err := copied.GetSetting(t.Context(), "kept"); string(got) != "value" || err != nil {
		t.Errorf("got %q, %v, want what was stored", got, err)
	}
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Backup(t.Context(), empty); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an empty file: got %v, want that it exists", err)
	}
	// A backup that fails leaves no file that looks like one.
	closed, err := repository.Open(t.Context(), dsn, repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	failed := filepath.Join(t.TempDir(), "failed.db")
	if err := closed.Backup(t.Context(), failed); err == nil {
		t.Error("a closed database was backed up")
	}
	if _, err := os.Stat(failed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no file", err)
	}
}

func TestBackupOfPostgres(t *testing.T) {
	t.Parallel()
	store := storetest.New(t, storetest.Postgres(t))
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := store.Backup(t.Context(), path); !errors.Is(err, repository.ErrNotSQLite) {
		t.Errorf("got %v, want a word about better tools", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no file", err)
	}
}

// A database that was written to from outside, so that it contradicts itself, is
// seen by the doctor.
func TestDoctorSeesBrokenReferences(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "latchkey.db")
	store := storetest.New(t, "sqlite:"+path)
	db, err := sql.Open("sqlite", path) // without foreign keys, unless they are asked for
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `INSERT INTO memberships (organization_id, user_id, role, joined_at)
		VALUES ('org_none', 'usr_none', 'owner', 1)`); err != nil {
		t.Fatal(err)
	}
	h, err := store.CheckHealth(t.Context())
	if err != nil || len(h.Faults) != 1 || h.Faults[0] != "PRAGMA foreign_key_check tells of 2 faults" {
		t.Errorf("got %q, %v, want two faults of references", h.Faults, err)
	}
}
