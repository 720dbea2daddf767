package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// lifted is a limit that this version can store, since it asks for no enforcement.
func lifted(name string) map[string]any {
	return map[string]any{"name": name, "type": "rate", "limit": nil}
}

func TestPlanOfAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	pro, free := w.plan(t, n, "Pro"), w.plan(t, n, "Free")
	key := w.key(t, n.owner, n.project.ID, map[string]any{"plan_id": pro.ID, "limits": []any{lifted("a")}})
	if plan := key.Key.Plan.MustGet(); plan.ID != pro.ID || plan.Name != "Pro" || len(key.Key.Limits) != 1 {
		t.Fatalf("got %v with %v, want the plan Pro and a limit", plan, key.Key.Limits)
	}
	at := n.path("/keys/" + string(key.Key.ID))
	w.call(t, http.MethodDelete, n.path("/plans/"+string(pro.ID)), n.owner.as, nil).fails(t, http.StatusConflict, domain.CodePlanInUse)

	var list api.KeyList
	w.call(t, http.MethodGet, n.path("/keys?plan_id="+string(pro.ID)), n.owner.as, nil).want(t, http.StatusOK, &list)
	if len(list.Items) != 1 || list.Items[0].ID != key.Key.ID {
		t.Errorf("got %v, want the key of the plan", list.Items)
	}
	var rotated api.CreatedKey
	w.call(t, http.MethodPost, at+"/rotate", n.owner.as, map[string]any{"grace_seconds": 0}).want(t, http.StatusOK, &rotated)
	if plan := rotated.Key.Plan.MustGet(); plan.ID != pro.ID || len(rotated.Key.Limits) != 1 {
		t.Errorf("after a rotation: got %v with %v, want the same", plan, rotated.Key.Limits)
	}

	// A plan that is renamed shows its new name to those that verify any of its keys.
	w.secret(rotated.Token)
	second := w.key(t, n.owner, n.project.ID, map[string]any{"plan_id": pro.ID})
	verified := func() string {
		names := map[string]bool{}
		for _, token := range []string{rotated.Token, second.Token} {
			for _, key := range w.verifiedAtBothEdges(t, n, token) {
				names[key["plan"].(map[string]any)["name"].(string)] = true
			}
		}
		return fmt.Sprint(slices.Sorted(maps.Keys(names)))
	}
	if got := verified(); got != "[Pro]" {
		t.Errorf("got the plans %s, want Pro", got)
	}
	w.call(t, http.MethodPatch, n.path("/plans/"+string(pro.ID)), n.owner.as, map[string]any{"name": "Max"}).want(t, http.StatusOK, nil)
	if got := verified(); got != "[Max]" {
		t.Errorf("got the plans %s, want Max", got)
	}

	w.call(t, http.MethodPatch, at, n.owner.as, map[string]any{"plan_id": free.ID}).want(t, http.StatusOK, nil)
	w.call(t, http.MethodPatch, at, n.owner.as, map[string]any{"plan_id": nil, "limits": []any{}}).want(t, http.StatusOK, nil)
	w.call(t, http.MethodDelete, n.path("/keys/"+string(second.Key.ID)), n.owner.as, nil).want(t, http.StatusNoContent, nil)
	w.call(t, http.MethodDelete, n.path("/plans/"+string(pro.ID)), n.owner.as, nil).want(t, http.StatusNoContent, nil)
}

// Guarantees that a key has only plans of its own project, that another tenant's
// plan is refused as one that does not exist, and that no more limits hold for a key
// than can be checked.
func TestPlansThatAKeyCannotHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, other := w.tenant(t, "ada"), w.tenant(t, "bob")
	key := n.path("/keys/" + string(w.key(t, n.owner, n.project.ID, nil).Key.ID))
	theirs, absent := w.plan(t, other, "Pro").ID, domain.NewID[domain.PlanID](w.Now())
	var answers []string
	for _, id := range []domain.PlanID{theirs, absent} {
		got := w.call(t, http.MethodPost, n.path("/keys"), n.owner.as, map[string]any{"name": "k", "plan_id": id})
		got.fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
		answers = append(answers, withoutRequestID(got))
		w.call(t, http.MethodPatch, key, n.owner.as, map[string]any{"plan_id": id}).
			fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
	if answers[0] != answers[1] {
		t.Errorf("a foreign plan is answered %s, an absent one %s", answers[0], answers[1])
	}
	for _, per := range []string{"external_id", "project"} {
		l := lifted("a")
		l["per"] = per
		got := w.call(t, http.MethodPatch, key, n.owner.as, map[string]any{"limits": []any{l}})
		got.fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
		if f := fieldsOf(t, got); len(f) != 1 || f[0].Pointer != "/limits/0/per" {
			t.Errorf("got %v, want an error at per", f)
		}
	}
}

// looseners are changes by which a key could try to get more than it was given.
var looseners = []struct {
	name         string
	method, path string // below /keys; {self} is the key itself
	body         map[string]any
	target       map[string]any // differs from the key itself: the fields of another key, which {self} is then
}{
	{"no plan", http.MethodPatch, "/{self}", map[string]any{"plan_id": nil}, nil},
	{"another plan", http.MethodPatch, "/{self}", map[string]any{"plan_id": "{other}"}, nil},
	{"a limit lifted", http.MethodPatch, "/{self}", map[string]any{"limits": []any{lifted("requests")}}, nil},
	{"another external id", http.MethodPatch, "/{self}", map[string]any{"external_id": "customer-2"}, nil},
	{"no external id", http.MethodPatch, "/{self}", map[string]any{"external_id": nil}, nil},
	{"a key of another plan", http.MethodPost, "", map[string]any{"name": "k", "plan_id": "{other}"}, nil},
	{"a key with a limit lifted", http.MethodPost, "", map[string]any{"name": "k", "limits": []any{lifted("requests")}}, nil},
	{"a key of another external id", http.MethodPost, "", map[string]any{"name": "k", "external_id": "customer-2"}, nil},
	{"a token without the plan", http.MethodPost, "/{self}/rotate", map[string]any{}, map[string]any{"plan_id": nil}},
	{"a token of another plan", http.MethodPost, "/{self}/rotate", map[string]any{}, map[string]any{"plan_id": "{other}"}},
	{"a token without the limits", http.MethodPost, "/{self}/rotate", map[string]any{}, map[string]any{"limits": []any{}}},
	{"a token of another external id", http.MethodPost, "/{self}/rotate", map[string]any{}, map[string]any{"external_id": "customer-2"}},
}

// Guarantees that a key without limits:write loosens neither its own limits nor, by
// a key that it makes or a token that it gets of another key, anyone's: what it makes
// has its plan, its limits and its external id, and so has a key that it rotates. A
// key with that scope may do all of it.
func TestAKeyCannotLoosenItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	own, other := w.plan(t, n, "Own"), w.plan(t, n, "Other")
	limited := func(scopes ...domain.Scope) api.CreatedKey {
		return w.key(t, n.owner, n.project.ID, map[string]any{
			"scopes": append(scopes, domain.KeysWrite, domain.KeysRead, domain.ProjectWrite), "plan_id": own.ID,
			"limits": []any{lifted("a")}, "external_id": "customer-1",
		})
	}
	with := func(fields map[string]any) map[string]any {
		fields = maps.Clone(fields)
		if fields["plan_id"] == "{other}" {
			fields["plan_id"] = other.ID
		}
		return fields
	}
	alike := map[string]any{"plan_id": own.ID, "limits": []any{lifted("a")}, "external_id": "customer-1"}
	target := func(fields map[string]any) string {
		all := maps.Clone(alike)
		maps.Copy(all, with(fields))
		return string(w.key(t, n.owner, n.project.ID, all).Key.ID)
	}
	for _, try := range looseners {
		body := with(try.body)
		for scope, status := range map[domain.Scope]int{"documents:read": http.StatusForbidden, domain.LimitsWrite: http.StatusOK} {
			key := limited(scope)
			self := string(key.Key.ID)
			if try.target != nil {
				self = target(try.target)
			}
			path := n.path("/keys") + strings.ReplaceAll(try.path, "{self}", self)
			got := w.call(t, try.method, path, byKey(key.Token), body)
			if got.status != status && (status != http.StatusOK || got.status != http.StatusCreated) {
				t.Errorf("%s with %s: got %d, want %d: %s", try.name, scope, got.status, status, got.body)
			}
			if status == http.StatusForbidden {
				got.fails(t, http.StatusForbidden, domain.CodeForbidden)
			}
		}
	}

	key := limited("documents:read")
	for _, alike := range []string{string(key.Key.ID), target(nil)} {
		w.call(t, http.MethodPost, n.path("/keys/"+alike+"/rotate"), byKey(key.Token), map[string]any{}).want(t, http.StatusOK, nil)
	}
	// It may delete a key with more, but what it makes after that has no more than itself.
	more := n.path("/keys/" + target(map[string]any{"plan_id": nil}))
	w.call(t, http.MethodDelete, more, byKey(key.Token), nil).want(t, http.StatusNoContent, nil)
	w.call(t, http.MethodPatch, n.path(""), byKey(key.Token), map[string]any{"limits": []any{}}).
		fails(t, http.StatusForbidden, domain.CodeForbidden)
	for _, body := range []map[string]any{{"name": "k"}, {"name": "k", "external_id": "customer-1"}} {
		var made api.CreatedKey
		w.call(t, http.MethodPost, n.path("/keys"), byKey(key.Token), body).want(t, http.StatusCreated, &made)
		w.secret(made.Token)
		got := fmt.Sprint(made.Key.Plan.MustGet().ID, made.Key.ExternalID.MustGet(), len(made.Key.Limits))
		if want := fmt.Sprint(own.ID, "customer-1", 1); got != want {
			t.Errorf("what a limited key makes: got %s, want %s", got, want)
		}
	}
}

// Guarantees that what a key could once make, it can still make where nothing is
// limited.
func TestAKeyWithoutLimitsMakesKeysForCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []domain.Scope{domain.KeysWrite}})
	var made api.CreatedKey
	body := map[string]any{"name": "k", "external_id": "customer-2"}
	w.call(t, http.MethodPost, n.path("/keys"), byKey(key.Token), body).want(t, http.StatusCreated, &made)
	w.secret(made.Token)
}

func TestImportWithPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, other := w.tenant(t, "ada"), w.tenant(t, "bob")
	pro := w.plan(t, n, "Pro")
	row := func(name string, fields map[string]any) map[string]any {
		digest := sha256.Sum256([]byte(name))
		all := map[string]any{"name": name, "algorithm": "sha256-hex", "hash": hex.EncodeToString(digest[:])}
		maps.Copy(all, fields)
		return all
	}
	var result api.ImportResult
	w.call(t, http.MethodPost, n.path("/keys/import"), n.owner.as, map[string]any{"keys": []any{
		row("good", map[string]any{"plan_id": pro.ID, "limits": []any{lifted("a")}}),
		row("foreign", map[string]any{"plan_id": w.plan(t, other, "Pro").ID}),
		row("no id", map[string]any{"plan_id": "Pro"}),
		row("wrong", map[string]any{"limits": []any{map[string]any{"name": "a", "type": "rate", "limit": -1, "period": "day"}}}),
	}}).want(t, http.StatusOK, &result)
	var pointers []string
	for _, e := range result.Errors {
		pointers = append(pointers, e.Pointer)
	}
	if want := []string{"/keys/1/plan_id", "/keys/2/plan_id", "/keys/3/limits/0/limit"}; result.Imported != 1 ||
		!slices.Equal(pointers, want) {
		t.Errorf("got %d imported and errors at %v, want 1 and %v", result.Imported, pointers, want)
	}
	w.Pass(time.Second)
	var verified api.Verification
	question := map[string]any{"key": "good", "project_id": n.project.ID}
	w.call(t, http.MethodPost, "/v1/keys/verify", n.owner.as, question).want(t, http.StatusOK, &verified)
	if verified.Key == nil || verified.Key.Plan.MustGet().Name != "Pro" || len(verified.Key.Limits) != 1 {
		t.Errorf("got %+v, want the plan and the limit of the row", verified.Key)
	}
}
