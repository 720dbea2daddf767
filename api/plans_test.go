package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// plan makes a plan without limits.
func (w *world) plan(t *testing.T, n tenant, name string) api.Plan {
	t.Helper()
	var p api.Plan
	body := map[string]any{"name": name, "limits": []any{}}
	w.call(t, http.MethodPost, n.path("/plans"), n.owner.as, body).want(t, http.StatusCreated, &p)
	return p
}

func TestPlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	free := w.plan(t, n, "Free")
	w.Pass(time.Second) // so that the plans have an order
	pro := w.plan(t, n, "Pro")
	var list api.PlanList
	w.call(t, http.MethodGet, n.path("/plans?limit=1"), n.owner.as, nil).want(t, http.StatusOK, &list)
	if len(list.Items) != 1 || list.Items[0].ID != pro.ID {
		t.Fatalf("got %v, want the newest", list.Items)
	}
	w.call(t, http.MethodGet, n.path("/plans?cursor="+list.NextCursor.MustGet()), n.owner.as, nil).want(t, http.StatusOK, &list)
	if len(list.Items) != 1 || list.Items[0].ID != free.ID || !list.NextCursor.IsNull() {
		t.Errorf("got %v, want the other one as the last", list.Items)
	}

	at := n.path("/plans/" + string(free.ID))
	got := w.call(t, http.MethodGet, at, n.owner.as, nil)
	got.want(t, http.StatusOK, nil)
	tag := got.header.Get("ETag")
	ifMatch := both(n.owner.as, func(h http.Header) { h.Set("If-Match", tag) })
	w.call(t, http.MethodPatch, at, ifMatch, map[string]any{"name": "Basic"}).want(t, http.StatusOK, &free)
	w.call(t, http.MethodPatch, at, ifMatch, map[string]any{"name": "Basic"}).
		fails(t, http.StatusPreconditionFailed, domain.CodePreconditionFailed)
	w.call(t, http.MethodDelete, at, ifMatch, nil).fails(t, http.StatusPreconditionFailed, domain.CodePreconditionFailed)
	w.call(t, http.MethodPatch, at, n.owner.as, map[string]any{"name": "Pro"}).fails(t, http.StatusConflict, domain.CodeConflict)
	w.call(t, http.MethodPost, n.path("/plans"), n.owner.as, map[string]any{"name": "Pro", "limits": []any{}}).
		fails(t, http.StatusConflict, domain.CodeConflict)
	w.call(t, http.MethodDelete, at, n.owner.as, nil).want(t, http.StatusNoContent, nil)
	w.call(t, http.MethodGet, at, n.owner.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
}

// A request for a plan whose answer was lost makes one plan.
func TestPlanIsCreatedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	again := both(n.owner.as, func(h http.Header) { h.Set("Idempotency-Key", "0123456789abcdef") })
	limit := map[string]any{"name": "requests", "type": "rate", "limit": nil, "cost": json.RawMessage("1e3")}
	body := map[string]any{"name": "Pro", "limits": []any{limit}}
	var first, second api.Plan
	w.call(t, http.MethodPost, n.path("/plans"), again, body).want(t, http.StatusCreated, &first)
	w.call(t, http.MethodPost, n.path("/plans"), again, body).want(t, http.StatusCreated, &second)
	if first.ID != second.ID || len(second.Limits) != 1 || !second.Limits[0].Limit.IsUnlimited() || *second.Limits[0].Cost != 1000 {
		t.Errorf("got %v and %v, want the same plan", first, second)
	}
	body["name"] = "Other"
	w.call(t, http.MethodPost, n.path("/plans"), again, body).fails(t, http.StatusUnprocessableEntity, domain.CodeIdempotencyMismatch)
}

// Guarantees that a limit that cannot be enforced as it reads is refused at the
// field that is wrong, and that the refusal is the same at the edge and in domain.
func TestLimitsThatAreWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	limit := func(fields ...any) map[string]any {
		l := map[string]any{"name": "a", "type": "quota", "limit": 5, "period": "day"}
		for pair := range slices.Chunk(fields, 2) {
			if l[pair[0].(string)] = pair[1]; pair[1] == "absent" {
				delete(l, pair[0].(string))
			}
		}
		return l
	}
	many := slices.Repeat([]any{limit("limit", nil)}, 17)
	for i := range many {
		many[i] = limit("limit", nil, "name", fmt.Sprint("a", i))
	}
	refill := func(fields map[string]any) map[string]any {
		return map[string]any{"name": "a", "type": "credits", "refill": fields}
	}
	for _, test := range []struct {
		limits  []any
		pointer string
	}{
		{[]any{limit("limit", -1)}, "/limits/0/limit"},
		{[]any{limit("limit", "absent")}, "/limits/0/limit"},
		{[]any{limit("limit", 1e12+1)}, "/limits/0/limit"},
		{[]any{limit("limit", "5")}, "/limits/0/limit"},
		{[]any{limit("limit", 5.5)}, "/limits/0/limit"},
		{[]any{limit("type", "rate", "period", "second", "limit", 1e6+1)}, "/limits/0/limit"},
		{[]any{limit("type", "rate", "burst", nil)}, "/limits/0/burst"},
		{[]any{limit("type", "rate", "burst", 0)}, "/limits/0/burst"},
		{[]any{limit("time_zone", "Mars/Olympus")}, "/limits/0/time_zone"},
		{[]any{limit("name", "A")}, "/limits/0/name"},
		{[]any{limit("limit", nil), limit("limit", nil)}, "/limits/1/name"},
		{[]any{limit("per", "user")}, "/limits/0/per"},
		{[]any{limit("period", "decade")}, "/limits/0/period"},
		{[]any{limit("period", "minute")}, "/limits/0/period"},
		{[]any{limit("cost", -1)}, "/limits/0/cost"},
		{[]any{limit("mode", "off")}, "/limits/0/mode"},
		{[]any{limit("unknown", 1)}, "/limits/0/unknown"},
		{[]any{refill(map[string]any{"amount": 5, "period": "day", "maximum": 4})}, "/limits/0/refill/amount"},
		{[]any{refill(map[string]any{"amount": 0, "period": "day"})}, "/limits/0/refill/amount"},
		{[]any{refill(map[string]any{"amount": 5, "period": "minute"})}, "/limits/0/refill/period"},
		{many, "/limits"},
	} {
		got := w.call(t, http.MethodPost, n.path("/plans"), n.owner.as, map[string]any{"name": "Pro", "limits": test.limits})
		got.fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
		if !slices.ContainsFunc(fieldsOf(t, got), func(f domain.FieldError) bool { return f.Pointer == test.pointer }) {
			t.Errorf("%v: got %s, want an error at %s", test.limits, got.body, test.pointer)
		}
	}
}

// Guarantees that a key cannot change what plans allow without limits:write, and
// that no caller reaches a plan of another tenant.
func TestPlansNeedTheirScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, other := w.tenant(t, "ada"), w.tenant(t, "bob")
	pro := w.plan(t, n, "Pro")
	at, theirs := n.path("/plans/"+string(pro.ID)), n.path("/plans/"+string(w.plan(t, other, "Pro").ID))
	keys := map[string]credential{}
	for name, scopes := range map[string][]string{
		"without": {"keys:read", "keys:write", "project:write"}, "reader": {"limits:read"}, "writer": {"limits:read", "limits:write"},
	} {
		keys[name] = byKey(w.key(t, n.owner, n.project.ID, map[string]any{"scopes": scopes}).Token)
	}
	change := map[string]any{"name": "Max"}
	w.call(t, http.MethodGet, at, keys["without"], nil).fails(t, http.StatusForbidden, domain.CodeForbidden)
	w.call(t, http.MethodGet, at, keys["reader"], nil).want(t, http.StatusOK, nil)
	for _, name := range []string{"without", "reader"} {
		w.call(t, http.MethodPatch, at, keys[name], change).fails(t, http.StatusForbidden, domain.CodeForbidden)
		w.call(t, http.MethodDelete, at, keys[name], nil).fails(t, http.StatusForbidden, domain.CodeForbidden)
		w.call(t, http.MethodPost, n.path("/plans"), keys[name], map[string]any{"name": "x", "limits": []any{}}).
			fails(t, http.StatusForbidden, domain.CodeForbidden)
	}
	w.call(t, http.MethodPatch, theirs, keys["writer"], change).fails(t, http.StatusNotFound, domain.CodeNotFound)
	w.call(t, http.MethodDelete, theirs, keys["writer"], nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	w.call(t, http.MethodPatch, at, keys["writer"], change).want(t, http.StatusOK, nil)
}
