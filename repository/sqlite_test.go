package repository_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// SQLite's own LOWER leaves all letters but those of ASCII as they are.
func TestSearchInAnyLetterCaseOnSQLite(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.SQLite(t))
	now := time.Now().UTC().Truncate(time.Microsecond)
	owner := domain.User{ID: domain.NewID[domain.UserID](now), Email: "ann@example.com", Status: domain.Active, CreatedAt: now}
	org := domain.Organization{ID: domain.NewID[domain.OrganizationID](now), Slug: "acme", Status: domain.Active, CreatedAt: now,
		UpdatedAt: now}
	project := domain.Project{ID: domain.NewID[domain.ProjectID](now), OrganizationID: org.ID, Slug: "api", Status: domain.Active,
		CreatedAt: now, UpdatedAt: now}
	key := domain.Key{ID: domain.NewID[domain.KeyID](now), ProjectID: project.ID, Name: "CAFÉ Ünï", Environment: domain.Live,
		CreatedAt: now}
	for _, err := range []error{
		s.CreateUser(t.Context(), owner, ""), s.CreateOrganization(t.Context(), org), s.CreateProject(t.Context(), org.Scope(), project),
		s.CreateKey(t.Context(), project.Scope(), key),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, search := range []string{"café", "CAFÉ", "ÜNÏ", "é ü"} {
		got, err := s.ListKeys(t.Context(), project.Scope(), domain.KeyFilter{Search: search}, domain.Page{Limit: 10}, now)
		if err != nil || len(got.Items) != 1 {
			t.Errorf("%q: got %d keys, %v, want the one called %q", search, len(got.Items), err, key.Name)
		}
	}
}

// Guarantees that no other user of the machine can read email addresses,
// password hashes and audit events from the files.
func TestSQLiteIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	dsn := storetest.SQLite(t)
	storetest.New(t, dsn)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(strings.TrimPrefix(dsn, "sqlite:") + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
}
