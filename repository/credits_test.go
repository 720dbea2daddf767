package repository_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Guarantees that no statement alters an entry of credits or removes it while its project
// exists, and that entries go with their project.
func TestCreditEntriesAreAppendOnly(t *testing.T) {
	t.Parallel()
	for name, open := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			dsn := open(t)
			s := storetest.New(t, dsn)
			driver, path := "pgx", dsn
			if name == "SQLite" {
				driver, path = "sqlite", "file:"+strings.TrimPrefix(dsn, "sqlite:")+"?_pragma=foreign_keys(ON)"
			}
			db, err := sql.Open(driver, path)
			check(t, err)
			defer db.Close()

			now := time.Now().UTC().Truncate(time.Microsecond)
			o := domain.Organization{
				ID: domain.NewID[domain.OrganizationID](now), Slug: "acme", Status: domain.Active, CreatedAt: now, UpdatedAt: now,
			}
			check(t, s.CreateOrganization(ctx, o))
			p := domain.Project{
				ID: domain.NewID[domain.ProjectID](now), OrganizationID: o.ID, Slug: "api", Status: domain.Active,
				CreatedAt: now, UpdatedAt: now,
			}
			check(t, s.CreateProject(ctx, o.Scope(), p))
			limit := domain.Limit{Name: "credits", Type: domain.Credits}.WithDefaults()
			_, _, err = s.ChangeCredits(ctx, p.Scope(), domain.Terms{Limit: limit, At: now}, domain.CreditEntry{
				ID: domain.NewID[domain.CreditEntryID](now), Kind: domain.EntryGrant, Amount: 5, CreatedAt: now,
				Counter: domain.Counter{
					Owner: string(p.ID), Type: domain.Credits, Name: "credits", Per: domain.PerProject, Subject: string(p.ID),
				},
			})
			check(t, err)

			tampering := []string{"UPDATE credit_entries SET amount = 500", "DELETE FROM credit_entries"}
			if name == "SQLite" { // REPLACE removes a row without the triggers of its deletion
				const replaced = "INSERT OR REPLACE INTO credit_entries SELECT * FROM credit_entries" //nolint:unqueryvet // all of a row
				tampering = append(tampering, replaced)
			} else {
				tampering = append(tampering, "TRUNCATE credit_entries", "TRUNCATE projects CASCADE")
			}
			for _, statement := range tampering {
				if _, err := db.ExecContext(ctx, statement); err == nil || !strings.Contains(err.Error(), "append-only") {
					t.Errorf("%s: got %v, want a refusal", statement, err)
				}
			}
			list, err := s.ListCreditEntries(ctx, p.Scope(), repository.CreditFilter{}, domain.Page{Limit: 2})
			if check(t, err); len(list.Items) != 1 || list.Items[0].Amount != 5 {
				t.Errorf("got %+v, want the entry as it was", list.Items)
			}
			check(t, s.DeleteProject(ctx, p.Scope(), now))
			for more := true; more; {
				more, err = s.PurgeProjects(ctx, 10)
				check(t, err)
			}
			var left int
			if check(t, db.QueryRowContext(ctx, "SELECT COUNT(*) FROM credit_entries").Scan(&left)); left != 0 {
				t.Errorf("%d entries outlive their project", left)
			}
		})
	}
}
