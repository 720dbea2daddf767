package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a quota and credits refuse what exceeds them, each with its status, its
// code and its time to wait, and that answers say what is left.
func TestRequestsBeyondAQuotaAndCredits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	daily := map[string]any{"name": "daily", "type": "quota", "limit": 3, "period": "day"}
	refill := map[string]any{"amount": 2, "period": "hour", "maximum": 2}
	refilled := map[string]any{"name": "hourly", "type": "credits", "initial": 2, "refill": refill}
	prepaid := map[string]any{"name": "prepaid", "type": "credits", "initial": 4}
	as := byKey(w.limitedKey(t, n, daily, refilled, prepaid).Token)
	const policy = `"daily";q=3;w=86400, "hourly";q=2, "prepaid";q=4`
	for i, c := range []struct {
		after    time.Duration
		status   int
		code     domain.Code
		violated []string
		rates    []string
	}{
		{0, 200, "", nil, []string{policy, `"daily";r=2;t=52200, "hourly";r=1;t=1800, "prepaid";r=3`, ""}},
		{0, 200, "", nil, []string{policy, `"daily";r=1;t=52200, "hourly";r=0;t=1800, "prepaid";r=2`, ""}},
		{0, 402, "credits_exhausted", []string{"hourly"}, []string{policy, `"daily";r=1;t=52200, "hourly";r=0;t=1800, "prepaid";r=2`, "1800"}},
		{30 * time.Minute, 200, "", nil, []string{policy, `"daily";r=0;t=50400, "hourly";r=1;t=3600, "prepaid";r=1`, ""}},
		{0, 429, "quota_exceeded", []string{"daily"}, []string{policy, `"daily";r=0;t=50400, "hourly";r=1;t=3600, "prepaid";r=1`, "50400"}},
		{14 * time.Hour, 200, "", nil, []string{policy, `"daily";r=2;t=86400, "hourly";r=1;t=3600, "prepaid";r=0`, ""}},
		{0, 402, "credits_exhausted", []string{"prepaid"}, []string{policy, `"daily";r=2;t=86400, "hourly";r=1;t=3600, "prepaid";r=0`, ""}},
	} {
		w.Pass(c.after)
		if i == 0 {
			w.Pass(-535898 * time.Microsecond) // to the full second
		}
		got := w.call(t, http.MethodGet, "/v1/project", as, nil).want(t, c.status, nil)
		if diff := cmp.Diff(c.rates, rates(got)); diff != "" {
			t.Errorf("request %d: -want +got:\n%s", i, diff)
		}
		if c.code == "" {
			continue
		}
		var p api.Problem
		got.fails(t, c.status, c.code).want(t, c.status, &p)
		if diff := cmp.Diff(c.violated, p.Violated); diff != "" {
			t.Errorf("request %d: -want +got:\n%s", i, diff)
		}
	}
}

// Guarantees that the states of a quota and of credits are answered alike by all
// operations, and that a quota is reset.
func TestQuotasAndCreditsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.limitedKey(t, n, map[string]any{"name": "daily", "type": "quota", "limit": 9, "period": "day"},
		map[string]any{"name": "credits", "type": "credits", "initial": 7})
	at, as := n.path("/keys/"+string(key.Key.ID)+"/limits"), byKey(key.Token)
	var v api.Verification
	w.call(t, http.MethodPost, "/v1/keys/verify", as, map[string]any{"key": key.Token, "cost": map[string]any{"credits": 8}}).
		want(t, http.StatusOK, &v)
	if v.Code != "credits_exhausted" || v.RetryAfter != nil || cmp.Diff(*v.Violated, []string{"credits"}) != "" {
		t.Errorf("got %s, %v", v.Code, v.RetryAfter)
	}
	w.call(t, http.MethodPost, "/v1/keys/verify", as, map[string]any{"key": key.Token, "cost": map[string]any{"credits": 6}}).
		want(t, http.StatusOK, &v)
	midnight := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	for _, s := range *v.Limits {
		resets, err := s.ResetsAt.Get()
		used := map[string][]int64{"daily": {1, 8}, "credits": {6, 1}}[s.Name]
		if (s.Name == "daily") != (err == nil && resets.Equal(midnight)) || cmp.Diff(used, []int64{s.Used, s.Remaining}) != "" {
			t.Errorf("got %+v", s)
		}
	}
	var list api.LimitStateList
	var who api.Caller
	w.call(t, http.MethodGet, at, n.owner.as, nil).want(t, http.StatusOK, &list)
	w.call(t, http.MethodGet, "/v1/whoami", as, nil).want(t, http.StatusOK, &who)
	if diff := cmp.Diff(list.Items, *who.Limits); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(list.Items, *v.Limits); diff != "" {
		t.Error(diff)
	}
	w.call(t, http.MethodPost, at+"/daily/reset", n.owner.as, nil).want(t, http.StatusOK, &list)
	if list.Items[0].Remaining != 9 {
		t.Errorf("got %+v", list.Items[0])
	}
	w.call(t, http.MethodPost, at+"/credits/reset", n.owner.as, nil).fails(t, http.StatusConflict, domain.CodeConflict)
}
