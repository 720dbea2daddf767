package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// patched is a resource that a PATCH of the contract changes, and every place
// where a change has to show.
type patched struct {
	path  string // of the PATCH; its answer is the resource
	get   string // "" where there is no GET of a single one
	list  string // "" where there is no list
	event string // the action of the audit event; "" where the event belongs to no organization

	// also returns further places where the resource shows.
	also func(t *testing.T) map[string]map[string]any

	// examples are values to send in place of the contract's examples.
	examples map[string]any
}

// The law for fields: every property of every PATCH that is sent is found in the
// answer, in GET, in the list, in the audit event and, for keys, in what a
// verification answers at both edges. A field that one of those places forgets
// makes this test red.
func TestEveryFieldOfAPatchShowsEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	bob := w.signUp(t, "bob")
	w.member(t, bob, n.organization.ID, domain.Viewer)
	organization := "/v1/organizations/" + string(n.organization.ID)
	key := w.key(t, n.owner, n.project.ID, nil)
	w.key(t, n.owner, n.project.ID, map[string]any{"name": "another"}) // a list with more than one
	pro := string(w.plan(t, n, "Pro").ID)
	plan := n.path("/plans/" + pro)
	account := organization + "/service-accounts/" + string(w.serviceAccount(t, n, "patched", domain.Viewer).ID)
	whk, _ := w.webhook(t, n, false)
	webhook := n.path("/webhooks/" + whk)
	resources := map[string]patched{
		"updateServiceAccount": {
			path: account, get: account, list: organization + "/service-accounts", event: "service_account.updated",
		},
		"updateMe":           {path: "/v1/me", get: "/v1/me"},
		"updateOrganization": {path: organization, get: organization, list: "/v1/organizations", event: "organization.updated"},
		"updateProject": {
			path: n.path(""), get: n.path(""), list: organization + "/projects", event: "project.updated",
		},
		"updatePlan": {
			path: plan, get: plan, list: n.path("/plans"), event: "plan.updated",
		},
		"updateWebhook": {
			path: webhook, get: webhook, list: n.path("/webhooks"), event: "webhook.updated",
		},
		"updateMember": {
			path: organization + "/members/" + string(bob.User.ID), list: organization + "/members", event: "member.updated",
		},
		"updateKey": {
			path: n.path("/keys/" + string(key.Key.ID)), get: n.path("/keys/" + string(key.Key.ID)), list: n.path("/keys"),
			event: "key.updated",
			also:  func(t *testing.T) map[string]map[string]any { return w.verifiedAtBothEdges(t, n, key.Token) },

			examples: map[string]any{"plan_id": pro},
		},
	}
	patches := 0
	for _, item := range contract().Paths.Map() {
		if item.Patch == nil {
			continue
		}
		patches++
		resource, ok := resources[item.Patch.OperationID]
		if !ok {
			t.Errorf("%s is not in this test: say where a change of it shows", item.Patch.OperationID)
			continue
		}
		properties := item.Patch.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			w.patchShows(t, n, resource, name, properties[name].Value)
		}
	}
	if patches != len(resources) {
		t.Errorf("the contract has %d PATCH operations and this test %d", patches, len(resources))
	}
}

// patchShows sends one property and looks for it everywhere.
func (w *world) patchShows(t *testing.T, n tenant, r patched, name string, schema *openapi3.Schema) {
	t.Helper()
	w.call(t, http.MethodPatch, r.path, n.owner.as, map[string]any{name: another(t, name, schema)}).want(t, http.StatusOK, nil)
	w.Pass(time.Second) // so that the events have an order
	sent, given := r.examples[name]
	if !given {
		sent = exampleOf(t, name, schema)
	}
	var answered map[string]any
	w.call(t, http.MethodPatch, r.path, n.owner.as, map[string]any{name: sent}).want(t, http.StatusOK, &answered)
	shows := map[string]map[string]any{"the answer": answered}
	if r.get != "" {
		var got map[string]any
		w.call(t, http.MethodGet, r.get, n.owner.as, nil).want(t, http.StatusOK, &got)
		shows["GET"] = got
	}
	if r.list != "" {
		shows["the list"] = w.listed(t, n, r.list, answered)
	}
	if r.also != nil {
		maps.Copy(shows, r.also(t))
	}
	for where, got := range shows {
		if diff := cmp.Diff(sent, shown(got, name)); diff != "" {
			t.Errorf("%s %s: %q in %s (-sent +got):\n%s", http.MethodPatch, r.path, name, where, diff)
		}
	}
	if r.event == "" {
		return
	}
	var events struct {
		Items []struct {
			Changes map[string][]any `json:"changes"`
		} `json:"items"`
	}
	w.call(t, http.MethodGet, "/v1/organizations/"+string(n.organization.ID)+"/audit-events?limit=1&action="+r.event, n.owner.as, nil).
		want(t, http.StatusOK, &events)
	if len(events.Items) != 1 {
		t.Fatalf("no event %s", r.event)
	}
	for field, after := range recorded(name, sent) {
		change := events.Items[0].Changes[field]
		if len(change) != 2 || !cmp.Equal(change[1], after) {
			t.Errorf("%s: the event %s has %q as %v, want it to end with %v", r.path, r.event, field, change, after)
		}
	}
}

// shown is where an answer has what a request calls name.
func shown(answer map[string]any, name string) any {
	if plan, ok := answer["plan"].(map[string]any); ok && name == "plan_id" {
		return plan["id"]
	}
	return answer[name]
}

// recorded are the fields of the audit trail in which a value shows: for limits one
// for each field of each limit, and otherwise the field itself.
func recorded(name string, sent any) map[string]any {
	if name != "limits" {
		return map[string]any{name: sent}
	}
	fields := map[string]any{}
	for _, limit := range sent.([]any) {
		limit := limit.(map[string]any)
		for field, value := range limit {
			if field != "name" && value != nil { // null is as absent before
				fields[fmt.Sprint("limits.", limit["name"], ".", field)] = value
			}
		}
	}
	return fields
}

// listed finds the resource in the list by what identifies it.
func (w *world) listed(t *testing.T, n tenant, list string, resource map[string]any) map[string]any {
	t.Helper()
	var page struct {
		Items []map[string]any `json:"items"`
	}
	w.call(t, http.MethodGet, list, n.owner.as, nil).want(t, http.StatusOK, &page)
	for _, item := range page.Items {
		if id, ok := resource["id"]; ok && item["id"] == id || !ok && cmp.Equal(item["user"], resource["user"]) {
			return item
		}
	}
	t.Errorf("%s does not list %v", list, resource)
	return nil
}

// verifiedAtBothEdges returns the key as verifyKey answers it. A request with an
// Origin is for the ordinary edge.
func (w *world) verifiedAtBothEdges(t *testing.T, n tenant, token string) map[string]map[string]any {
	t.Helper()
	shows := map[string]map[string]any{}
	for edge, as := range map[string]credential{
		"verifyKey at the lean edge":     n.owner.as,
		"verifyKey at the ordinary edge": both(n.owner.as, func(h http.Header) { h.Set("Origin", "https://app.example.com") }),
	} {
		var verified struct {
			Key map[string]any `json:"key"`
		}
		question := map[string]any{"key": token, "project_id": n.project.ID}
		w.call(t, http.MethodPost, "/v1/keys/verify", as, question).want(t, http.StatusOK, &verified)
		shows[edge] = verified.Key
	}
	return shows
}

// exampleOf returns the contract's example of a property.
func exampleOf(t *testing.T, name string, schema *openapi3.Schema) any {
	t.Helper()
	switch {
	case schema.Example != nil:
		return plain(t, schema.Example)
	case schema.Type.Is(openapi3.TypeArray) && schema.Items.Value.Example != nil:
		return []any{plain(t, schema.Items.Value.Example)}
	}
	t.Fatalf("the property %s has no example in openapi.yaml", name)
	return nil
}

// another is a valid value that is not the example, so that sending the example
// changes something.
func another(t *testing.T, name string, schema *openapi3.Schema) any {
	t.Helper()
	e := exampleOf(t, name, schema)
	for _, value := range schema.Enum {
		if value != e && value != string(domain.Owner) {
			return value
		}
	}
	switch e := e.(type) {
	case string:
		if name == "url" {
			return e + "/another"
		}
		if schema.Nullable {
			return nil
		}
		return strings.ToLower(e)[:2] + "9"
	case []any:
		if name == "events" {
			return []any{domain.EveryEvent}
		}
		return []any{}
	case map[string]any:
		return map[string]any{"another": "value"}
	case float64:
		if name == "token_epoch" { // it only grows
			return e - 1
		}
		return e + 1
	case bool:
		return !e
	}
	t.Fatalf("the property %s has an example of a kind that this test does not know", name)
	return nil
}

// plain is a value as decoding JSON gives it.
func plain(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}
