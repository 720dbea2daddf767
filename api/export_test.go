package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// An export holds every event that passes the filters, however many pages they
// fill, and nothing in it is a formula to a spreadsheet.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	formulas := []string{"=cmd|'/c calc'!A1", "+1", "-1", "@SUM(1)", "＝1"}
	for i := range 220 {
		w.key(t, n.owner, n.project.ID, map[string]any{"name": fmt.Sprint(formulas[i%len(formulas)], i)})
	}
	at := "/v1/organizations/" + string(n.organization.ID) + "/audit-events"
	as := func(accept string) credential {
		return func(h http.Header) { n.owner.as(h); h.Set("Accept", accept) }
	}

	export := w.call(t, "GET", at+"?action=key.created", as("text/csv"), nil).want(t, 200, nil)
	rows, err := csv.NewReader(bytes.NewReader(export.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(rows), 221; got != want {
		t.Errorf("got %d rows, want %d", got, want)
	}
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		seen[row[0]] = true
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r＝", []rune(cell)[0]) {
				t.Errorf("the cell %q is a formula", cell)
			}
		}
	}
	if got, want := len(seen), 220; got != want {
		t.Errorf("got %d different events, want %d", got, want)
	}

	export = w.call(t, "GET", at, as("application/x-ndjson"), nil).want(t, 200, nil)
	lines := bytes.Split(bytes.TrimSpace(export.body), []byte("\n"))
	if got, want := len(lines), 222; got != want { // the organization, its project, the keys
		t.Errorf("got %d lines, want %d", got, want)
	}
	var event api.AuditEvent
	if err := json.Unmarshal(lines[len(lines)-1], &event); err != nil || event.OrganizationID.MustGet() != string(n.organization.ID) {
		t.Errorf("got %s, %v", lines[len(lines)-1], err)
	}

	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "text/*": "text/csv", "image/png": "application/json",
		"text/csv;q=0.5, application/json": "application/json", "application/json;q=0.1, text/csv;q=0.2": "text/csv",
		"application/x-ndjson, */*;q=0.1": "application/x-ndjson", "text/csv;q=0, */*": "application/json",
	} {
		if got := w.call(t, "GET", at+"?limit=1&action=project.created", as(accept), nil).header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q: got %s, want %s", accept, got, want)
		}
	}
	eve := w.signUp(t, "eve")
	w.call(t, "GET", at, func(h http.Header) { eve.as(h); h.Set("Accept", "text/csv") }, nil).fails(t, 404, domain.CodeNotFound)
}
