package main

import (
	"net/http"
	"strings"
	"testing"
)

// Guarantees that the metrics that operators watch are there before anything has
// happened, count what happens, and name no tenant.
func TestMetricsToWatch(t *testing.T) {
	t.Parallel()
	w := newWeb(t, "http://keys.localhost:8080")
	me := w.get(t, "/v1/project", "X-Api-Key", w.key)
	_, rest, _ := strings.Cut(me.body, `"id":"prj_`)
	project, _, _ := strings.Cut("prj_"+rest, `"`)
	metrics := func() string { return w.send(t, http.MethodGet, w.admin, "/metrics", w.admin, "").body }
	before := metrics()
	w.get(t, "/v1/project", "X-Api-Key", "lk_live_0")
	w.post(t, "/v1/keys/verify", `{"project_id":"`+project+`","key":"`+w.key+`"}`, "code")
	w.post(t, "/v1/keys/verify", `{"project_id":"`+project+`","key":"lk_live_0"}`, "code")
	after := metrics()
	for _, want := range []string{
		`latchkey_verifications_total{edge="call",outcome="valid"} `,
		`latchkey_verifications_total{edge="call",outcome="not_found"} 1`,
		`latchkey_verifications_total{edge="verify",outcome="valid"} 1`,
		`latchkey_verifications_total{edge="verify",outcome="not_found"} 1`,
		`latchkey_verifications_total{edge="verify",outcome="unavailable"} 0`,
		`latchkey_refusals_total{code="invalid_api_key"} 1`,
		`latchkey_refusals_total{code="internal"} 0`,
		`latchkey_database_statement_duration_seconds_count{kind="look-up"} `,
		`latchkey_database_unavailable_total 0`,
		`latchkey_database_queue_length `,
		`latchkey_database_queue_limit 500`,
		`latchkey_database_connections{pool="write",state="in_use"} `,
		`latchkey_database_connections_max{pool="write"} 1`,
		`latchkey_database_connection_waits_total{pool="read"} `,
		`latchkey_database_connection_wait_seconds_total{pool="read"} `,
		`latchkey_turns{of="passwords"} `,
		`latchkey_turns_taken{of="passwords"} 0`,
		`latchkey_turns_waiting{of="large_bodies"} 0`,
		`latchkey_turns_refused_total{of="imported_hashes"} 0`,
	} {
		if !strings.Contains(after, "\n"+want) {
			t.Errorf("the metrics have no line %s", want)
		}
	}
	for _, family := range []string{"latchkey_verifications", "latchkey_refusals", "latchkey_database", "latchkey_turns"} {
		if strings.Count(before, "\n"+family) != strings.Count(after, "\n"+family) {
			t.Errorf("requests have changed how many series there are of %s", family)
		}
	}
	if strings.Contains(after, project) {
		t.Error("a metric names a project")
	}
}
