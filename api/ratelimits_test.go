package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

func perMinute(name string, limit int, fields ...any) map[string]any {
	l := map[string]any{"name": name, "type": "rate", "limit": limit, "period": "minute"}
	for pair := range slices.Chunk(fields, 2) {
		l[pair[0].(string)] = pair[1]
	}
	return l
}

// limitedKey makes a key with limits of its own.
func (w *world) limitedKey(t *testing.T, n tenant, limits ...any) api.CreatedKey {
	t.Helper()
	return w.key(t, n.owner, n.project.ID, map[string]any{
		"scopes": []string{"keys:verify", "keys:read", "limits:read"}, "limits": append([]any{}, limits...),
	})
}

// rates are the headers of draft-ietf-httpapi-ratelimit-headers-10 and Retry-After.
func rates(a answer) []string {
	return []string{a.header.Get("RateLimit-Policy"), a.header.Get("RateLimit"), a.header.Get("Retry-After")}
}

// Guarantees that a key makes as many requests as its limits allow, whichever
// operation it calls, and learns from every answer what is left and how long to wait.
func TestRequestsBeyondALimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.limitedKey(t, n, perMinute("requests", 60, "burst", 2))
	as := byKey(key.Token)
	const policy = `"requests";q=60;w=60;latchkey-burst=2`
	for _, c := range []struct {
		path   string
		status int
		rates  []string
	}{
		{"/v1/project", http.StatusOK, []string{policy, `"requests";r=1;t=1`, ""}},
		{n.path("/keys/" + string(domain.NewID[domain.KeyID](w.Now()))), http.StatusNotFound, []string{policy, `"requests";r=0;t=1`, ""}},
		{"/v1/project", http.StatusTooManyRequests, []string{policy, `"requests";r=0;t=1`, "1"}},
		{n.path("/keys"), http.StatusTooManyRequests, []string{policy, `"requests";r=0;t=1`, "1"}},
		{"/v1/whoami", http.StatusOK, []string{"", "", ""}}, // costs nothing
		{"/v1/usage", http.StatusOK, []string{"", "", ""}},
	} {
		got := w.call(t, http.MethodGet, c.path, as, nil).want(t, c.status, nil)
		if diff := cmp.Diff(c.rates, rates(got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.path, diff)
		}
		if c.status != http.StatusTooManyRequests {
			continue
		}
		var p api.Problem
		got.fails(t, c.status, domain.CodeRateLimited).want(t, c.status, &p)
		if want := "This key may make 60 requests a minute."; p.Detail != want || !slices.Equal(p.Violated, []string{"requests"}) {
			t.Errorf("got %q, %v", p.Detail, p.Violated)
		}
	}
	w.Pass(time.Second)
	w.call(t, http.MethodGet, "/v1/project", as, nil).want(t, http.StatusOK, nil)
	if got := w.call(t, http.MethodGet, "/v1/project", byKey(w.limitedKey(t, n).Token), nil); strings.Join(rates(got), "") != "" {
		t.Errorf("a key without limits gets %v", rates(got))
	}
}

// Guarantees that verifyKey takes what a client's request costs from the limits of the
// key that it asks about, all of them or none, and never from those of the asking key.
func TestVerifyKeyTakesTheCost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	asking := byKey(w.limitedKey(t, n, perMinute("requests", 1)).Token)
	asked := w.limitedKey(t, n,
		perMinute("tokens", 1000, "cost", 0), perMinute("requests", 3), perMinute("watched", 1, "mode", "observe"))
	type state struct {
		Remaining int64
		Exceeded  bool
	}
	for _, c := range []struct {
		cost   map[string]int
		scopes []string
		code   api.VerificationCode
		left   map[string]state
	}{
		{nil, nil, "valid", map[string]state{"tokens": {1000, false}, "requests": {2, false}, "watched": {0, false}}},
		{map[string]int{"tokens": 600}, nil, "valid", map[string]state{"tokens": {400, false}, "requests": {1, false}, "watched": {0, true}}},
		{map[string]int{"tokens": 401}, nil, "rate_limited", map[string]state{"tokens": {400, true}, "requests": {1, false}, "watched": {0, true}}},
		{nil, []string{"documents:write"}, "insufficient_scope", nil},
		{map[string]int{"tokens": 400, "none": 9}, nil, "valid", map[string]state{"tokens": {0, false}, "requests": {0, false}, "watched": {0, true}}},
		{map[string]int{"requests": 0, "watched": 0}, nil, "valid",
			map[string]state{"tokens": {0, false}, "requests": {0, false}, "watched": {0, false}}},
	} {
		body := map[string]any{"key": asked.Token, "cost": c.cost, "scopes": c.scopes}
		if c.cost == nil {
			delete(body, "cost")
		}
		if c.scopes == nil {
			delete(body, "scopes")
		}
		var v api.Verification
		w.call(t, http.MethodPost, "/v1/keys/verify", asking, body).want(t, http.StatusOK, &v)
		var left map[string]state
		if v.Limits != nil {
			left = map[string]state{}
			for _, l := range *v.Limits {
				left[l.Name] = state{l.Remaining, l.Exceeded}
			}
		}
		if diff := cmp.Diff(c.left, left); diff != "" || v.Code != c.code || v.Valid != (c.code == "valid") {
			t.Errorf("%v: got %s, -want +got:\n%s", c.cost, v.Code, diff)
		}
		if c.code == "rate_limited" && (!slices.Equal(*v.Violated, []string{"tokens"}) || *v.RetryAfter != 1) {
			t.Errorf("got %v, %v", *v.Violated, *v.RetryAfter)
		}
	}
	w.call(t, http.MethodPost, "/v1/keys/verify", asking, map[string]any{"key": asked.Token, "cost": map[string]any{"A": 1}}).
		fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
}

// Guarantees that a limit that is reset is as good as new, and that its state is
// answered alike by all operations.
func TestLimitsOfAKeyAreShownAndReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.limitedKey(t, n, perMinute("requests", 2))
	at, as := n.path("/keys/"+string(key.Key.ID)+"/limits"), byKey(key.Token)
	for range 2 {
		w.call(t, http.MethodGet, "/v1/project", as, nil).want(t, http.StatusOK, nil)
	}
	var list api.LimitStateList
	w.call(t, http.MethodGet, at, n.owner.as, nil).want(t, http.StatusOK, &list)
	if l := list.Items[0]; len(list.Items) != 1 || l.Remaining != 0 || l.Used != 2 || l.Source != "key" || l.Subject != string(key.Key.ID) {
		t.Errorf("got %+v", list.Items)
	}
	var who api.Caller
	var usage api.OwnUsage
	w.call(t, http.MethodGet, "/v1/whoami", as, nil).want(t, http.StatusOK, &who)
	w.call(t, http.MethodGet, "/v1/usage", as, nil).want(t, http.StatusOK, &usage)
	if diff := cmp.Diff(list.Items, *who.Limits) + cmp.Diff(list.Items, usage.Limits); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"other", "A", strings.Repeat("a", 33)} {
		w.call(t, http.MethodPost, at+"/"+name+"/reset", n.owner.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	}
	w.call(t, http.MethodPost, at+"/requests/reset", n.owner.as, map[string]string{"reason": "a test"}).want(t, http.StatusOK, &list)
	if list.Items[0].Remaining != 2 {
		t.Errorf("got %+v", list.Items)
	}
	w.call(t, http.MethodGet, "/v1/project", as, nil).want(t, http.StatusOK, nil)
}

// Guarantees that a change to a plan holds for the next request of its keys, and that
// the keys of one customer share a limit.
func TestPlansHoldForTheirKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	pro := w.plan(t, n, "Pro")
	change := func(limit int) {
		w.call(t, http.MethodPatch, n.path("/plans/"+string(pro.ID)), n.owner.as,
			map[string]any{"limits": []any{perMinute("requests", limit, "per", "external_id")}}).want(t, http.StatusOK, nil)
	}
	var keys []credential
	for range 2 {
		keys = append(keys, byKey(w.key(t, n.owner, n.project.ID, map[string]any{"plan_id": pro.ID, "external_id": "c"}).Token))
	}
	ask := func(i, status int) {
		t.Helper()
		w.call(t, http.MethodGet, "/v1/project", keys[i], nil).want(t, status, nil)
	}
	ask(0, http.StatusOK)
	change(2)
	ask(0, http.StatusOK)
	ask(1, http.StatusOK)
	ask(0, http.StatusTooManyRequests)
	ask(1, http.StatusTooManyRequests)
	change(4)
	ask(1, http.StatusOK) // two of four units are still used
	ask(0, http.StatusOK)
	ask(1, http.StatusTooManyRequests)
	w.Pass(15 * time.Second)
	ask(1, http.StatusOK)
	ask(0, http.StatusTooManyRequests)
}

// Guarantees that the routes of another program, behind Guard, cost the limits of keys
// as Latchkey's do.
func TestGuardSpends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	as := byKey(w.limitedKey(t, n, perMinute("requests", 1)).Token)
	writer := byKey(w.limitedKey(t, n, perMinute("tokens", 5, "cost", 0), perMinute("requests", 9)).Token)
	e := echo.New()
	api.Guard(e, w.App, api.GuardConfig{Default: permission.HasAPIKey})
	e.HTTPErrorHandler = func(_ error, c echo.Context) {
		if !c.Response().Committed {
			t.Error("the refusal is not answered")
		}
	}
	e.POST("/documents", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }, api.Cost("tokens", 2))
	e.PUT("/documents", func(c echo.Context) error {
		if err := api.Spend(c, domain.Cost{"tokens": 3, "unlimited": 7}); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
	e.GET("/documents", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	e.PATCH("/documents", func(c echo.Context) error { return api.Spend(c, domain.Cost{"tokens": -1}) })
	if got := serve(e, http.MethodPatch, "/documents", writer); got.code() != domain.CodeValidationFailed {
		t.Errorf("a cost below zero: got %d %s", got.status, got.body)
	}
	for _, want := range []int{http.StatusNoContent, http.StatusTooManyRequests} {
		if got := serve(e, http.MethodGet, "/documents", as); got.status != want || got.header.Get("RateLimit") != `"requests";r=0;t=60` {
			t.Errorf("got %d, want %d: %v", got.status, want, got.header)
		}
	}
	for i, method := range []string{http.MethodPost, http.MethodPut, http.MethodPost, http.MethodPut} {
		want := []int{http.StatusNoContent, http.StatusNoContent, http.StatusTooManyRequests, http.StatusTooManyRequests}[i]
		got := serve(e, method, "/documents", writer)
		if got.status != want || want == http.StatusTooManyRequests && got.code() != domain.CodeRateLimited {
			t.Errorf("request %d: got %d, want %d: %s", i, got.status, want, got.body)
		}
	}
}

// Guarantees that a request which costs more than a limit ever admits is answered with
// that, and not with a time to wait.
func TestARequestThatIsNeverAdmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.limitedKey(t, n, perMinute("tokens", 60, "burst", 20))
	asking := byKey(w.limitedKey(t, n).Token)
	ask := func(units int) api.Verification {
		var v api.Verification
		w.call(t, http.MethodPost, "/v1/keys/verify", asking, map[string]any{"key": key.Token, "cost": map[string]int{"tokens": units}}).
			want(t, http.StatusOK, &v)
		return v
	}
	if v := ask(21); v.Valid || v.RetryAfter != nil {
		t.Errorf("21 of a burst of 20: got valid %v, retry after %v", v.Valid, v.RetryAfter)
	}
	if v := ask(20); !v.Valid {
		t.Errorf("20 of a burst of 20: got %s", v.Code)
	}
	if v := ask(20); v.Valid || v.RetryAfter == nil || *v.RetryAfter != 20 {
		t.Errorf("20 more: got valid %v, retry after %v, want 20", v.Valid, v.RetryAfter)
	}
	for name, c := range map[string]struct {
		limit        map[string]any
		header, says string
	}{
		"a limit of 0": {perMinute("requests", 0), `"requests";r=0`, "The limit requests is 0, so it admits no request."},
		"above the burst": {perMinute("requests", 60, "burst", 20, "cost", 30), `"requests";r=20;t=1`,
			"This request costs more units of requests than the limit ever admits together: 20. Waiting does not help."},
	} {
		got := w.call(t, http.MethodGet, "/v1/project", byKey(w.limitedKey(t, n, c.limit).Token), nil)
		var p api.Problem
		got.want(t, http.StatusTooManyRequests, &p)
		if p.Detail != c.says || got.header.Get("RateLimit") != c.header || got.header.Get("Retry-After") != "" {
			t.Errorf("%s: got %q, %v", name, p.Detail, rates(got))
		}
	}
}
