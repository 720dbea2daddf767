package console_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a name which is stored with control characters, or with characters
// that change the direction of writing, as 0.1 took them, changes no other text of a
// page: each such character is shown as an escape. Line breaks of pages stay.
func TestPagesShowControls(t *testing.T) {
	t.Parallel()
	const name = "\x1b[2Ja\u0085b\u009b31m\u2028\u202egnp.exe\u2066\u2069\x7f" + "x"
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	org, project, p := ann.project(t, "Acme", "Documents API")
	key, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "k", Metadata: map[string]string{"a\u202eb": name}})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("latchkey-sqlite", "file:"+strings.TrimPrefix(s.DSN, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"UPDATE users SET name = $1", "UPDATE organizations SET name = $1", "UPDATE projects SET name = $1",
		"UPDATE api_keys SET name = $1, prefix = $1, external_id = $1",
		"INSERT INTO audit_events (id, at, organization_id, project_id, actor_kind, actor_id, actor_name, action, target_kind, " +
			"target_id, target_name, ip, user_agent, request_id, changes) VALUES ('evt_0', 0, '" + string(org.ID) +
			"', '" + string(project.ID) + "', 'user', $1, $1, $1, 'key', '" + string(key.ID) +
			"', $1, $1, $1, $1, '{\"name\": [\"a\\u202e\", \"b\\u2066\"]}')",
	} {
		if _, err := db.ExecContext(t.Context(), statement, name); err != nil {
			t.Fatal(err)
		}
	}
	base, orgBase := "/console/projects/"+string(project.ID), "/console/organizations/"+string(org.ID)
	for _, path := range []string{
		"/console?all=1", "/console/account", "/console/instance/accounts", orgBase, orgBase + "/members", orgBase + "/audit",
		orgBase + "/settings", base, base + "/settings", base + "/keys", base + "/keys/" + string(key.ID),
		base + "/keys/revoke?key=" + string(key.ID), base + "/customers", base + "/customers/show?external_id=" + url.QueryEscape(name),
	} {
		res := ann.send(t, http.MethodGet, path, nil, nil)
		if res.Status != http.StatusOK || !strings.Contains(res.Body, `\u202egnp.exe`) {
			t.Errorf("%s: got %d without the escaped name", path, res.Status)
		}
		at := strings.IndexFunc(res.Body, func(r rune) bool {
			return r != '\n' && r != '\t' && unicode.IsControl(r) ||
				strings.ContainsRune("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", r)
		})
		if at >= 0 {
			t.Errorf("%s has %q", path, res.Body[max(0, at-60):at+10])
		}
	}
}
