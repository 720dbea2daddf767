package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// record writes what has been counted.
func (w *world) record(t *testing.T) {
	t.Helper()
	if err := w.App.RecordUses(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// usage reads usage as the owner of a tenant.
func (w *world) usage(t *testing.T, n tenant, query string) (list api.UsageList) {
	t.Helper()
	w.call(t, "GET", n.path("/usage?"+query), n.owner.as, nil).want(t, 200, &list)
	return list
}

// Usage is counted by outcome, for the key that was used and not for the key that
// asks, at both edges, and read by interval, group and filter.
func TestUsage(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *world{
		"from memory": func(t *testing.T) *world { return newWorld(t) },
		"without": func(t *testing.T) *world {
			dsn := storetest.SQLite(t)
			return serveWorld(t, servicetest.Prepare(t, storetest.New(t, dsn), dsn), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testUsage(t, start(t))
			testTags(t, start(t))
		})
	}
}

func testUsage(t *testing.T, w *world) {
	n := w.tenant(t, "ada")
	backend := w.key(t, n.owner, n.project.ID, map[string]any{"name": "backend", "scopes": []string{"keys:verify"}})
	used := w.key(t, n.owner, n.project.ID, map[string]any{"name": "=portal", "external_id": "customer-4711", "environment": "test"})
	ask := func(token string, scopes ...string) {
		t.Helper()
		body := map[string]any{"key": token, "scopes": append([]string{}, scopes...)}
		w.call(t, "POST", "/v1/keys/verify", byKey(backend.Token), body).want(t, 200, nil)
	}
	for range 3 {
		w.call(t, "GET", "/v1/project", byKey(used.Token), nil).want(t, 200, nil)
	}
	for range 2 {
		ask(used.Token)
	}
	ask(used.Token, "documents:write")
	ask("lk_live_of_nothing")
	w.call(t, "GET", "/v1/whoami", byKey(used.Token), nil).want(t, 200, nil)
	w.call(t, "GET", n.path("/keys"), byKey(used.Token), nil).fails(t, 403, domain.CodeForbidden) // a good key, that was used
	w.record(t)

	list := w.usage(t, n, "")
	if len(list.Items) != 1 {
		t.Fatalf("got %+v", list)
	}
	day := w.Now().Truncate(24 * time.Hour)
	want := api.UsageItem{Start: day, Requests: 9, Outcomes: map[string]int64{"valid": 7, "insufficient_scope": 1, "not_found": 1}}
	if diff := cmp.Diff(want, list.Items[0]); diff != "" {
		t.Error(diff)
	}
	if list.Interval != "day" || list.TimeZone != "UTC" || list.Lossy || !list.CompleteUntil.Equal(w.Now()) {
		t.Errorf("got %+v", list)
	}

	list = w.usage(t, n, "interval=total&group_by=key,external_id")
	if len(list.Items) != 1 || list.Items[0].Key.ID != used.Key.ID || list.Items[0].Key.Name.MustGet() != "=portal" ||
		list.Items[0].ExternalID.MustGet() != "customer-4711" || list.Items[0].Requests != 8 {
		t.Errorf("got %+v, want the key that was used and not the one that asked", list.Items)
	}
	for query, want := range map[string]int64{
		"external_id=customer-4711&interval=hour": 8, "external_id=customer": 0, "environment=test": 8, "environment=live": 0,
		"outcome=not_found": 1, "interval=minute": 9, "interval=month&key_id=" + string(used.Key.ID): 8,
	} {
		sum := int64(0)
		for _, i := range w.usage(t, n, query).Items {
			sum += i.Requests
		}
		if sum != want {
			t.Errorf("%s: got %d requests, want %d", query, sum, want)
		}
	}

	var own api.OwnUsage
	w.call(t, "GET", "/v1/usage", byKey(used.Token), nil).want(t, 200, &own)
	if len(own.Items) != 1 || own.Items[0].Requests != 8 {
		t.Errorf("got %+v for the key itself", own)
	}
	var all api.UsageList
	at := "/v1/organizations/" + string(n.organization.ID) + "/usage?group_by=project"
	w.call(t, "GET", at, n.owner.as, nil).want(t, 200, &all)
	if len(all.Items) != 1 || all.Items[0].Project.ID != n.project.ID || all.Items[0].Requests != 9 {
		t.Errorf("got %+v for the organization", all.Items)
	}
}

// Bad questions about usage are refused with the parameter that is wrong.
func TestUsageRefusesBadQuestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	for query, parameter := range map[string]string{
		"since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z":                 "until",
		"since=2026-03-01T00:00:00Z&until=2026-03-01T00:00:00Z":                 "until",
		"since=2020-03-01T00:00:00Z":                                            "since",
		"interval=minute&since=2026-03-01T00:00:00Z&until=2026-03-04T00:00:00Z": "since",
		"interval=minute&group_by=key":                                          "group_by",
		"interval=minute&external_id=c":                                         "interval",
		"interval=fortnight":                                                    "interval",
		"since=yesterday":                                                       "since",
		"group_by=key,outcome,external_id":                                      "group_by",
		"group_by=key,key":                                                      "group_by",
		"group_by=project":                                                      "group_by",
		"group_by=tag,key":                                                      "group_by",
		"group_by=plan,tag":                                                     "group_by",
		"group_by=tag&external_id=c":                                            "group_by",
		"tag=a&group_by=environment":                                            "tag",
		"tag=a&plan_id=pln_01kjpy44e0e5e9m7y0a6vr3ctb":                          "tag",
		"interval=minute&tag=a":                                                 "interval",
		"interval=minute&group_by=tag":                                          "group_by",
		"tag=":                                                                  "tag",
		"tag=%C3%A9":                                                            "tag",
		"tag=" + strings.Repeat("t", 65):                                        "tag",
		"plan_id=pln_x":                                                         "plan_id",
		"limit=201":                                                             "limit",
		"cursor=abc":                                                            "cursor",
		"order=requests":                                                        "order",
		"key_id=" + url.QueryEscape("lk_live_a_token_that_must_not_be_here"): "key_id",
	} {
		answer := w.call(t, "GET", n.path("/usage?"+query), n.owner.as, nil).fails(t, 422, domain.CodeValidationFailed)
		if !slices.ContainsFunc(fieldsOf(t, answer), func(f domain.FieldError) bool { return f.Pointer == parameter }) {
			t.Errorf("%s: got %s, want %s named", query, answer.body, parameter)
		}
	}
}

// Pages of usage continue where the last one ended, and an export has all of them,
// with no formula in its cells.
func TestUsagePagesAndExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	names := []string{"=1", "+2", "plain"}
	for i := range 5 {
		k := w.key(t, n.owner, n.project.ID, map[string]any{"name": names[i%3], "external_id": fmt.Sprint("@c", i%2)})
		for range i + 1 {
			w.call(t, "GET", "/v1/project", byKey(k.Token), nil).want(t, 200, nil)
		}
	}
	w.record(t)
	query := "interval=total&group_by=key,external_id&order=-requests"
	var requests []int64
	for at := n.path("/usage?limit=2&" + query); ; {
		var page api.UsageList
		w.call(t, "GET", at, n.owner.as, nil).want(t, 200, &page)
		for _, i := range page.Items {
			requests = append(requests, i.Requests)
		}
		next, err := page.NextCursor.Get()
		if err != nil {
			break
		}
		at = n.path("/usage?limit=2&" + query + "&cursor=" + next)
	}
	if diff := cmp.Diff([]int64{5, 4, 3, 2, 1}, requests); diff != "" {
		t.Error(diff)
	}
	as := func(accept string) credential {
		return func(h http.Header) { n.owner.as(h); h.Set("Accept", accept) }
	}
	export := w.call(t, "GET", n.path("/usage?"+query), as("text/csv"), nil).want(t, 200, nil)
	if got := export.header.Values("Vary"); !strings.Contains(strings.Join(got, ","), "Accept") {
		t.Errorf("got Vary: %q", got)
	}
	rows, err := csv.NewReader(bytes.NewReader(export.body)).ReadAll()
	if err != nil || len(rows) != 6 {
		t.Fatalf("got %q, %v", rows, err)
	}
	header := []string{"start", "key_id", "key_name", "external_id", "requests", "valid"}
	if diff := cmp.Diff(header, rows[0][:len(header)]); diff != "" {
		t.Error(diff)
	}
	if got, want := rows[1][2:4], []string{"'+2", "'@c0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, row := range rows[1:] {
		for _, cell := range row {
			if strings.ContainsRune("=+-@", []rune(cell + " ")[0]) {
				t.Errorf("the cell %q is a formula", cell)
			}
		}
	}
	lines := w.call(t, "GET", n.path("/usage?"+query), as("application/x-ndjson"), nil).want(t, 200, nil)
	var first api.UsageItem
	if err := json.Unmarshal(bytes.SplitN(lines.body, []byte("\n"), 2)[0], &first); err != nil || first.Requests != 5 {
		t.Errorf("got %s, %v", lines.body, err)
	}
}

// Guarantees that pages of one list are about one period, also when the period that
// is meant by default moves on between them.
func TestUsagePagesAreOfOnePeriod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	reader := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"usage:read"}})
	used := []domain.KeyID{reader.Key.ID}
	w.call(t, "GET", "/v1/project", byKey(reader.Token), nil).want(t, 200, nil)
	for range 3 {
		k := w.key(t, n.owner, n.project.ID, nil)
		used = append(used, k.Key.ID)
		w.call(t, "GET", "/v1/project", byKey(k.Token), nil).want(t, 200, nil)
	}
	w.record(t)
	for _, interval := range []string{"total", "day"} {
		query := "/usage?limit=1&group_by=key&interval=" + interval
		seen := map[string]int{}
		for at, pages := n.path(query), 0; pages < 10; pages++ {
			var page api.UsageList
			w.call(t, "GET", at, byKey(reader.Token), nil).want(t, 200, &page)
			for _, i := range page.Items {
				seen[string(i.Key.ID)]++
			}
			next, err := page.NextCursor.Get()
			if err != nil {
				break
			}
			at = n.path(query + "&cursor=" + next)
			w.Pass(time.Hour)
		}
		want := map[string]int{}
		for _, k := range used {
			want[string(k)] = 1
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%s: how often each key is listed: %s", interval, diff)
		}
	}
}
