package repository_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Whoever reaches the database with the application's own rights cannot alter
// an audit event, nor remove one while its organization stands.
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
				ID: domain.NewID[domain.OrganizationID](now), Name: "Acme", Slug: "acme", Status: domain.Active, CreatedAt: now, UpdatedAt: now,
			}
			if err := s.CreateOrganization(ctx, o); err != nil {
				t.Fatal(err)
			}
			for _, organization := range []domain.OrganizationID{o.ID, ""} {
				e := domain.Event{ID: domain.NewID[domain.EventID](now), At: now, Action: "organization.created", OrganizationID: organization}
				if err := s.AddEvent(ctx, e); err != nil {
					t.Fatal(err)
				}
			}
			tampering := []string{
				"UPDATE audit_events SET actor_id = 'someone else'", "UPDATE audit_events SET organization_id = NULL",
				"DELETE FROM audit_events", "DELETE FROM audit_events WHERE organization_id IS NULL",
			}
			if name == "PostgreSQL" {
				tampering = append(tampering, "TRUNCATE audit_events")
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
			count(2, "after tampering")
			if _, err := db.ExecContext(ctx, "DELETE FROM organizations"); err != nil {
				t.Fatal(err)
			}
			count(1, "after the organization is gone")
		})
	}
}
