package repository_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/migrations"
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
