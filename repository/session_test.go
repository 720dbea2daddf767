package repository_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// awkward are texts to which a setting of PostgreSQL may give another meaning.
var awkward = []string{`\' ) OR 1=1 -- `, `\`, `\\`, `'`, `''`, `a\nb`, `\x41`, `{"a":"\u0041"}`, `NULL`, `ü \ ß`, `$1 $$ ?`}

// TestSessionSettings guarantees that no setting which is made for the database
// while nodes run changes what a stranger's text means: a list shows nothing of
// another tenant, and what was stored comes back as it was.
func TestSessionSettings(t *testing.T) {
	t.Parallel()
	dsn := storetest.Postgres(t)
	storetest.New(t, dsn)
	conn, err := pgx.Connect(t.Context(), dsn)
	check(t, err)
	defer conn.Close(t.Context())
	for _, setting := range [][2]string{
		{"standard_conforming_strings", "off"}, {"backslash_quote", "on"}, {"client_encoding", "LATIN1"}, {"bytea_output", "escape"},
		{"DateStyle", "SQL, DMY"}, {"IntervalStyle", "iso_8601"}, {"TimeZone", "Asia/Kathmandu"}, {"transform_null_equals", "on"},
		{"array_nulls", "off"}, {"default_transaction_isolation", "serializable"}, {"quote_all_identifiers", "on"},
	} {
		t.Run(setting[0], func(t *testing.T) {
			for _, statement := range []string{
				fmt.Sprintf("ALTER DATABASE %s RESET ALL", conn.Config().Database),
				fmt.Sprintf("ALTER DATABASE %s SET %s = '%s'", conn.Config().Database, setting[0], setting[1]),
				"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()",
			} {
				_, err := conn.Exec(t.Context(), statement)
				check(t, err)
			}
			keepsText(t, storetest.New(t, dsn), setting[0])
		})
	}
}

// keepsText stores awkward texts beside those of another tenant, and finds each alone.
func keepsText(t *testing.T, s *repository.Store, slug string) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	org := domain.Organization{ID: domain.NewID[domain.OrganizationID](now), Slug: slug, Status: domain.Active, CreatedAt: now, UpdatedAt: now}
	check(t, s.CreateOrganization(t.Context(), org))
	project := domain.Project{ID: domain.NewID[domain.ProjectID](now), OrganizationID: org.ID, Slug: "api", Status: domain.Active, CreatedAt: now, UpdatedAt: now}
	check(t, s.CreateProject(t.Context(), org.Scope(), project))
	for i, text := range awkward {
		want := domain.Key{
			ID: domain.NewID[domain.KeyID](now), ProjectID: project.ID, Name: text, Environment: domain.Live, ExternalID: text,
			Scopes: []domain.Scope{domain.Scope(text)}, Metadata: map[string]string{text: text}, CreatedAt: now.Add(time.Duration(i) * time.Second), Revision: 1,
		}
		check(t, s.CreateKey(t.Context(), project.Scope(), want))
		got, err := s.ListKeys(t.Context(), project.Scope(), domain.KeyFilter{ExternalID: text}, domain.Page{Limit: 100}, now)
		check(t, err)
		if diff := cmp.Diff([]domain.Key{want}, got.Items); diff != "" {
			t.Errorf("keys with the external id %q (-want +got):\n%s", text, diff)
		}
		check(t, s.AddSetting(t.Context(), slug+text, []byte(text)))
		value, err := s.GetSetting(t.Context(), slug+text)
		check(t, err)
		if string(value) != text {
			t.Errorf("the value %q comes back as %q", text, value)
		}
	}
}
