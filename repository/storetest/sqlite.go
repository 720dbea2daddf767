package storetest

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey/repository"
)

// SQLite returns the address of a new database for the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db")
}

// New returns a migrated store over the database at dsn, closed with the test.
func New(t testing.TB, dsn string) *repository.Store {
	t.Helper()
	return open(t, dsn, func(c driver.Connector) driver.Connector { return c })
}

// open is New with a connector around the driver's.
func open(t testing.TB, dsn string, through func(driver.Connector) driver.Connector) *repository.Store {
	t.Helper()
	copyMigrated(t, dsn)
	store, err := repository.Open(t.Context(), dsn, repository.Options{Through: through})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// copyMigrated makes a SQLite database that does not exist yet out of one with all
// tables. A copy takes a fraction of the time that migrating does, which hundreds of
// tests would each spend.
func copyMigrated(t testing.TB, dsn string) {
	t.Helper()
	path, ok := strings.CutPrefix(dsn, "sqlite:")
	if !ok {
		return
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	image, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
}

// migrated is the file of an empty database with all tables.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "latchkey")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "latchkey.db")
	store, err := repository.Open(context.Background(), "sqlite:"+path, repository.Options{})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(store.Migrate(context.Background()), store.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
