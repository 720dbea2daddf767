package main

import (
	"net/http"
	"strings"
	"testing"
)

// Guarantees that the metrics of limits are there before anything has happened, count
// what happens, and name no limit, key or customer.
func TestMetricsOfLimits(t *testing.T) {
	t.Parallel()
	w := newWeb(t, "http://keys.localhost:8080")
	me := w.get(t, "/v1/project", "X-Api-Key", w.key)
	_, rest, _ := strings.Cut(me.body, `"id":"prj_`)
	project, _, _ := strings.Cut("prj_"+rest, `"`)
	metrics := func() string { return w.send(t, http.MethodGet, w.admin, "/metrics", w.admin, "").body }
	before := metrics()
	key := w.post(t, "/v1/projects/"+project+"/keys", `{"name":"limited","external_id":"acme","scopes":["keys:verify"],
		"limits":[{"name":"chat","type":"quota","limit":2,"period":"day"}]}`, "token")
	for range 3 {
		w.get(t, "/v1/project", "X-Api-Key", key)
	}
	after := metrics()
	for _, want := range []string{
		`latchkey_limit_decisions_total{decision="admitted",type="quota"} 2`,
		`latchkey_limit_decisions_total{decision="refused",type="quota"} 1`,
		`latchkey_limit_decisions_total{decision="unknown",type="none"} 0`,
		`latchkey_limit_share 1`,
		`latchkey_counters{type="quota"} 1`,
		`latchkey_lease_units_total{change="granted"} 2`,
		`latchkey_lease_units_total{change="forfeited"} 0`,
		`latchkey_lease_visit_duration_seconds_bucket{le="+Inf"} `,
		`latchkey_lease_visits_total{reason="request"} `,
		`latchkey_lease_visits_failed_total 0`,
		`latchkey_journal_bytes `,
		`latchkey_usage_flush_rows_total `,
		`latchkey_usage_flush_lag_seconds `,
		`latchkey_usage_pending `,
		`latchkey_clock_offset_seconds `,
	} {
		if !strings.Contains(after, "\n"+want) {
			t.Errorf("the metrics have no line %s", want)
		}
	}
	series := func(text string) int {
		return strings.Count(text, "latchkey_limit_") + strings.Count(text, "latchkey_lease_")
	}
	if series(before) != series(after) {
		t.Errorf("got %d series after requests, and %d before", series(after), series(before))
	}
	for _, name := range []string{"chat", "acme", "key_0", project} {
		if strings.Contains(after, `"`+name) {
			t.Errorf("a label names %s", name)
		}
	}
}
