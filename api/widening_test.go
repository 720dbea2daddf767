package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// managing are the scopes of the keys that widenings are tried on.
var managing = []domain.Scope{domain.KeysRead, domain.KeysWrite, domain.ProjectWrite, "documents:read"}

// widenings are changes to a key that holds managing and ends in an hour, and what
// each caller is answered. The key itself is the one that is changed; the equal
// and the brief key hold managing and documents:write, and only the brief one ends,
// in an hour; the weak key holds keys:write alone.
var widenings = []struct {
	name string
	body map[string]any // nil: rotate
	want string         // developer, admin, the key itself, equal, brief, weak key
}{
	{"a later end", map[string]any{"expires_at": "2026-03-02T11:30:00Z"}, "403 200 403 200 403 403"},
	{"no end", map[string]any{"expires_at": nil}, "403 200 403 200 403 403"},
	{"an earlier end", map[string]any{"expires_at": "2026-03-02T10:00:00Z"}, "200 200 200 200 200 403"},
	{"more scopes", map[string]any{"scopes": append([]domain.Scope{"documents:write"}, managing...)}, "403 200 403 200 200 403"},
	{"fewer scopes", map[string]any{"scopes": managing[:2]}, "200 200 200 200 200 403"},
	{"no scopes and no end", map[string]any{"scopes": []string{}, "expires_at": nil}, "200 200 403 200 200 403"},
	{"another external id", map[string]any{"external_id": "b"}, "403 200 200 200 200 403"},
	{"no external id", map[string]any{"external_id": nil}, "403 200 200 200 200 403"},
	{"no networks", map[string]any{"allowed_ips": []string{}}, "403 200 403 200 200 403"},
	{"a wider network", map[string]any{"allowed_ips": []string{"192.0.0.0/16"}}, "403 200 403 200 200 403"},
	{"a narrower network", map[string]any{"allowed_ips": []string{"192.0.2.0/28"}}, "200 200 200 200 200 403"},
	{"another name", map[string]any{"name": "renamed"}, "200 200 200 200 200 403"},
	{"other metadata", map[string]any{"metadata": map[string]string{"a": "b"}}, "200 200 200 200 200 403"},
	{"a new token", nil, "403 200 200 200 200 403"},
}

// wideningCallers returns the callers of widenings, except the key itself.
func wideningCallers(t *testing.T, w *world, home tenant) (callers [6]credential) {
	t.Helper()
	for i, role := range []domain.Role{domain.Developer, domain.Admin} {
		p := w.signUp(t, string(role))
		w.member(t, p, home.organization.ID, role)
		callers[i] = p.as
	}
	key := func(fields map[string]any) credential {
		return byKey(w.key(t, home.owner, home.project.ID, fields).Token)
	}
	more := append([]domain.Scope{"documents:write"}, managing...)
	callers[3] = key(map[string]any{"scopes": more})
	callers[4] = key(map[string]any{"scopes": more, "expires_at": w.Now().Add(time.Hour)})
	callers[5] = key(map[string]any{"scopes": []domain.Scope{domain.KeysWrite}})
	return callers
}

// Guarantees that whatever makes a key do more or last longer is refused to a
// caller who does not hold all that the key may do afterwards, and that no key
// gives itself more than it was given. What makes a key do less is not refused.
func TestWidening(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	callers := wideningCallers(t, w, home)
	for _, c := range widenings {
		for i, want := range strings.Fields(c.want) {
			target := w.key(t, home.owner, home.project.ID, map[string]any{
				"scopes": managing, "external_id": "a", "expires_at": w.Now().Add(time.Hour), "allowed_ips": []string{"192.0.2.0/24"},
			})
			as := callers[i]
			if as == nil {
				as = byKey(target.Token)
			}
			method, path, body := "PATCH", home.path("/keys/"+string(target.Key.ID)), any(c.body)
			if c.body == nil {
				method, path, body = "POST", path+"/rotate", map[string]any{"grace_seconds": 0}
			}
			got := w.call(t, method, path, as, body)
			if fmt.Sprint(got.status) != want {
				t.Errorf("%s by caller %d: got %d, want %s: %s", c.name, i, got.status, want, got.body)
			}
			if want == "403" {
				got.fails(t, http.StatusForbidden, domain.CodeScopeNotHeld)
			}
		}
	}
}

// Guarantees that an expired key comes back only by a caller who holds all that it
// may do.
func TestWideningAnExpiredKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	callers := wideningCallers(t, w, home)
	for i, want := range strings.Fields("403 200 - 200 403 403") {
		if callers[i] == nil {
			continue
		}
		target := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": managing, "expires_at": w.Now().Add(-time.Hour)})
		got := w.call(t, "PATCH", home.path("/keys/"+string(target.Key.ID)), callers[i], map[string]any{"expires_at": nil})
		if fmt.Sprint(got.status) != want {
			t.Errorf("by caller %d: got %d, want %s: %s", i, got.status, want, got.body)
		}
		status := http.StatusUnauthorized
		if want == "200" {
			status = http.StatusOK
		}
		w.call(t, "GET", "/v1/project", byKey(target.Token), nil).want(t, status, nil)
	}
}

// Guarantees that a key that ends cannot leave its power over keys to one that
// lasts longer, by making it or by repeating what once made it; keys for its own
// customers are not bounded.
func TestMadeByAKeyThatEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	as := wideningCallers(t, w, home)[4]
	hour := w.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		fields map[string]any
		want   int
	}{
		"managing without end":   {map[string]any{"scopes": managing}, http.StatusForbidden},
		"managing for longer":    {map[string]any{"scopes": managing, "expires_at": hour.Add(time.Second)}, http.StatusForbidden},
		"managing for as long":   {map[string]any{"scopes": managing, "expires_at": hour}, http.StatusCreated},
		"a customer's, for good": {map[string]any{"scopes": []string{"documents:read"}}, http.StatusCreated},
	} {
		c.fields["name"] = name
		if got := w.call(t, "POST", home.path("/keys"), as, c.fields); got.status != c.want {
			t.Errorf("%s: got %d, want %d: %s", name, got.status, c.want, got.body)
		}
	}
}
