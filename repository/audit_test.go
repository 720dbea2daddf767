package repository_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Guarantees that someone who reaches the database with the application's own
// rights cannot alter an audit event, nor remove one while its organization is
// there; and that the organization cannot be made to look deleted for a moment:
// its deletion is final, and its id is not used again. What they can do is delete
// the organization for good, which its members notice, and drop the triggers
// where they own the tables.
func TestAuditEventsAreAppendOnly(t *testing.T) {
	for name, dsn := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, address := t.Context(), dsn(t)
			s := storetest.New(t, address)
			driver, path := "pgx", address
			if name == "SQLite" {
				driver, path = "sqlite", "file:"+strings.TrimPrefix(address, "sqlite:")+"?_pragma=foreign_keys(ON)"
			}
			db, err := sql.Open(driver, path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()

			now := time.Now()
			o := domain.Organization{
				ID: domain.NewID[domain.OrganizationID](now), Name: "Acme", Slug: "acme", Status: domain.Active, CreatedAt: now,
				UpdatedAt: now,
			}
			if err := s.CreateOrganization(ctx, o); err != nil {
				t.Fatal(err)
			}
			for _, organization := range []domain.OrganizationID{o.ID, ""} {
				e := domain.Event{ID: domain.NewID[domain.EventID](now), At: now, Action: "organization.created",
					OrganizationID: organization}
				if err := s.AddEvent(ctx, e); err != nil {
					t.Fatal(err)
				}
			}
			tampering := []string{
				"UPDATE audit_events SET actor_id = 'someone else'", "UPDATE audit_events SET organization_id = NULL",
				"DELETE FROM audit_events", "DELETE FROM audit_events WHERE organization_id IS NULL",
			}
			if name == "SQLite" { // REPLACE removes a row without the triggers of its deletion
				const replaced = "INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events" //nolint:unqueryvet // all of a row
				tampering = append(tampering, replaced)
			}
			if name == "PostgreSQL" {
				tampering = append(tampering, "TRUNCATE audit_events", "TRUNCATE organizations CASCADE", "TRUNCATE deleted_organizations")
			}
			for _, statement := range tampering {
				if _, err := db.ExecContext(ctx, statement); err == nil || !strings.Contains(err.Error(), "append-only") {
					t.Errorf("%s: got %v, want a refusal", statement, err)
				}
			}
			count := func(want int, when string) {
				var got int
				if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM audit_events").Scan(&got); err != nil || got != want {
					t.Errorf("%s: got %d events, %v; want %d", when, got, err, want)
				}
			}
			refused := func(statement string) {
				if _, err := db.ExecContext(ctx, statement); err == nil || !strings.Contains(err.Error(), "append-only") {
					t.Errorf("%s: got %v, want a refusal", statement, err)
				}
			}
			refused("DELETE FROM organizations")
			refused("UPDATE organizations SET id = 'org_other'")
			count(2, "after tampering")
			if err := s.DeleteOrganization(ctx, o.Scope(), now); err != nil {
				t.Fatal(err)
			}
			refused("UPDATE organizations SET deleted_at = NULL")
			refused("UPDATE organizations SET deleted_at = 1")
			if _, err := db.ExecContext(ctx, "DELETE FROM organizations"); err != nil {
				t.Fatal(err)
			}
			count(1, "after the organization is gone")
			refused(`INSERT INTO organizations (id, name, slug, status, created_at, updated_at, revision)
				VALUES ('` + string(o.ID) + `', 'Acme', 'acme', 'active', 1, 1, 1)`)
			refused("DELETE FROM deleted_organizations")
			refused("UPDATE deleted_organizations SET id = 'org_other'")
		})
	}
}
