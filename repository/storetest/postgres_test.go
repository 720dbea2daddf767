package storetest

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	t.Parallel()
	first, second := connect(t, Postgres(t)), connect(t, Postgres(t))
	if _, err := first.Exec(t.Context(), "CREATE TABLE seen (n INT)"); err != nil {
		t.Fatal(err)
	}
	var tables int
	if err := second.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE tablename = 'seen'").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Error("a table made in one test's database shows in another's")
	}
}

func TestClusterIsGoneAfterItsTest(t *testing.T) {
	t.Parallel()
	var dir, dsn string
	t.Run("uses a cluster", func(t *testing.T) {
		c := NewCluster(t, "max_connections=11")
		dir, dsn = c.dir, c.Database(t)
		conn := connect(t, dsn)
		for setting, want := range map[string]string{"max_connections": "11", "fsync": "on"} {
			var got string
			if err := conn.QueryRow(t.Context(), "SHOW "+setting).Scan(&got); err != nil || got != want {
				t.Errorf("%s: got %q, %v, want %q", setting, got, err, want)
			}
		}
	})
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cluster's directory is still there: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), dsn); err == nil {
		t.Error("the cluster still answers")
	}
}
