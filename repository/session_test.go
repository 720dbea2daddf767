package repository_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"

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
	org := domain.Organization{ID: domain.NewID[domain.OrganizationID](now), Slug: slug, Status: domain.Active, CreatedAt: now,
		UpdatedAt: now}
	check(t, s.CreateOrganization(t.Context(), org))
	project := domain.Project{ID: domain.NewID[domain.ProjectID](now), OrganizationID: org.ID, Slug: "api", Status: domain.Active,
		CreatedAt: now, UpdatedAt: now}
	check(t, s.CreateProject(t.Context(), org.Scope(), project))
	for i, text := range awkward {
		want := domain.Key{
			ID: domain.NewID[domain.KeyID](now), ProjectID: project.ID, Name: text, Environment: domain.Live, ExternalID: text,
			Scopes: []domain.Scope{domain.Scope(text)}, Metadata: map[string]string{text: text},
			CreatedAt: now.Add(time.Duration(i) * time.Second), Revision: 1,
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

// TestLiteralsInAnySession guarantees that a value is read as it was written by
// sessions that nothing has been set for.
func TestLiteralsInAnySession(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(storetest.Postgres(t))
	check(t, err)
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	for _, conforming := range []string{"on", "off"} {
		config.RuntimeParams = map[string]string{"standard_conforming_strings": conforming, "backslash_quote": "on"}
		db := bun.NewDB(stdlib.OpenDB(*config), repository.NewPostgresDialect())
		defer db.Close()
		for _, text := range awkward {
			var asText, inJSON, inArray string
			var asBytes []byte
			check(t, db.NewRaw("SELECT ?::text, ?::bytea, ?::jsonb->>'a', (?::text[])[1]",
				text, []byte(text), map[string]string{"a": text}, repository.ArrayOfTexts([]string{text})).
				Scan(t.Context(), &asText, &asBytes, &inJSON, &inArray))
			if asText != text || string(asBytes) != text || inJSON != text || inArray != text {
				t.Errorf("conforming strings %s: %q is read as %q, %q in bytes, %q in JSON and %q in an array",
					conforming, text, asText, asBytes, inJSON, inArray)
			}
		}
	}
}

// TestEncoding guarantees that no database is used that cannot keep every text.
func TestEncoding(t *testing.T) {
	t.Parallel()
	dsn := storetest.Postgres(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	check(t, err)
	defer conn.Close(t.Context())
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		name := conn.Config().Database + "_" + strings.ToLower(encoding)
		_, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' TEMPLATE template0 LOCALE 'C'", name, encoding))
		check(t, err)
		_, err = repository.Open(t.Context(), strings.Replace(dsn, "/"+conn.Config().Database, "/"+name, 1), repository.Options{})
		if err == nil || !strings.Contains(err.Error(), "is encoded in "+encoding) {
			t.Errorf("%s: got %v, want a refusal that names it", encoding, err)
		}
		if _, unfit := errors.AsType[*repository.UnfitError](err); !unfit || domain.CodeOf(err) != domain.CodeInternal {
			t.Errorf("%s: got %T, want an UnfitError", encoding, err)
		}
		_, err = conn.Exec(t.Context(), "DROP DATABASE "+name+" WITH (FORCE)")
		check(t, err)
	}
}

// TestDoctorSeesSettings guarantees that a session which Latchkey cannot work in
// is reported.
func TestDoctorSeesSettings(t *testing.T) {
	t.Parallel()
	dsn := storetest.Postgres(t)
	storetest.New(t, dsn)
	conn, err := pgx.Connect(t.Context(), dsn)
	check(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), fmt.Sprintf("ALTER DATABASE %s SET session_replication_role = replica", conn.Config().Database))
	check(t, err)
	s, err := repository.Open(t.Context(), dsn, repository.Options{})
	check(t, err)
	defer s.Close()
	health, err := s.CheckHealth(t.Context())
	check(t, err)
	want := []string{"sessions have session_replication_role set to replica: run ALTER DATABASE … SET session_replication_role = 'origin'"}
	if diff := cmp.Diff(want, health.Faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
