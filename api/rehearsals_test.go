package api_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
)

// Guarantees that a rehearsal of the limits in force says what they have refused, that
// one of a lowered quota says exactly how many more, and that only callers who may
// change limits and read usage see it.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	quota := func(limit int) []any {
		return []any{map[string]any{"name": "yearly", "type": "quota", "limit": limit, "period": "year", "per": "external_id"}}
	}
	var plan api.Plan
	w.call(t, "POST", n.path("/plans"), n.owner.as, map[string]any{"name": "Pro", "limits": quota(5)}).want(t, http.StatusCreated, &plan)
	limited := w.key(t, n.owner, n.project.ID, map[string]any{"plan_id": plan.ID, "external_id": "globex"})
	free := w.key(t, n.owner, n.project.ID, nil)
	verify := func(token string, times int) {
		t.Helper()
		for range times {
			question := map[string]any{"key": token, "project_id": n.project.ID}
			w.call(t, "POST", "/v1/keys/verify", n.owner.as, question).want(t, http.StatusOK, nil)
		}
	}
	verify(limited.Token, 5)
	verify(free.Token, 3)
	rehearse := func(question map[string]any) (r api.Rehearsal) {
		t.Helper()
		if err := w.App.RecordUses(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.call(t, "POST", n.path("/plans/rehearse"), n.owner.as, question).want(t, http.StatusOK, &r)
		return r
	}
	got := rehearse(map[string]any{"plan_id": plan.ID, "limits": quota(5)})
	if got.Keys != 1 || got.Requests != 5 || got.Limited.Requests != 0 || len(got.Worst) != 0 || !got.ByLimit[0].Exact {
		t.Errorf("the plan in force, which has refused nothing: got %+v", got)
	}
	verify(limited.Token, 2) // which are refused
	got = rehearse(map[string]any{"plan_id": plan.ID, "limits": quota(5)})
	if got.Requests != 7 || got.Limited.Requests != 2 {
		t.Errorf("the plan in force, which has refused 2: got %+v", got)
	}
	got = rehearse(map[string]any{"external_id": "globex", "limits": quota(3)})
	if got.Limited.Requests != 4 || got.Limited.Keys != 1 || got.Worst[0].Key.ID != limited.Key.ID ||
		got.Worst[0].ExternalID.MustGet() != "globex" {
		t.Errorf("a lowered quota: got %+v, want 4 refused", got)
	}
	if got := rehearse(map[string]any{"limits": quota(2)}); got.Keys != 2 || got.Limited.Requests != 6 || got.Limited.Share != 0.6 {
		t.Errorf("the whole project: got %+v, want 6 of 10 refused", got)
	}

	for name, c := range map[string]struct {
		scopes []string
		status int
	}{
		"both":        {[]string{"limits:write", "usage:read"}, http.StatusOK},
		"limits only": {[]string{"limits:write", "limits:read"}, http.StatusForbidden},
		"usage only":  {[]string{"usage:read", "limits:read"}, http.StatusForbidden},
	} {
		key := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": c.scopes})
		answer := w.call(t, "POST", n.path("/plans/rehearse"), byKey(key.Token), map[string]any{"limits": quota(1)})
		if answer.status != c.status {
			t.Errorf("%s: got %d, want %d", name, answer.status, c.status)
		}
	}
	stranger := w.tenant(t, "bob")
	w.call(t, "POST", stranger.path("/plans/rehearse"), stranger.owner.as, map[string]any{"plan_id": plan.ID, "limits": quota(1)}).
		want(t, http.StatusUnprocessableEntity, nil)
}
