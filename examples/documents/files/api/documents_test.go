package api_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees who may read and write documents: a key by its scopes, in its own
// project only; a member by their role; a stranger not at all.
func TestDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, other := w.tenant(t, "ada"), w.tenant(t, "eve")
	key := func(n tenant, scopes ...string) credential {
		return byKey(w.key(t, n.owner, n.project.ID, map[string]any{"scopes": append([]string{}, scopes...)}).Token)
	}
	as := map[string]credential{
		"key that reads": key(home, "documents:read"), "key that writes": key(home, "documents:write"), "key with no scope": key(home),
		"key with other scopes": key(home, "keys:read", "keys:write", "document:read"),
		"other project's key":   key(other, "documents:read", "documents:write"), "stranger": other.owner.as, "owner": home.owner.as,
		"anonymous": anonymous,
	}
	for _, role := range []domain.Role{domain.Viewer, domain.Developer, domain.Admin} {
		p := w.signUp(t, string(role))
		w.member(t, p, home.organization.ID, role)
		as[string(role)] = p.as
	}
	created := 0
	for name, want := range map[string]struct{ read, write int }{
		"key that reads": {200, 403}, "key that writes": {403, 201}, "key with no scope": {403, 403}, "key with other scopes": {403, 403},
		"other project's key": {404, 404}, "stranger": {404, 404}, "anonymous": {401, 401},
		"viewer": {200, 403}, "developer": {200, 201}, "admin": {200, 201}, "owner": {200, 201},
	} {
		if got := w.call(t, "GET", home.path("/documents"), as[name], nil); got.status != want.read {
			t.Errorf("%s reads: got %d, want %d: %s", name, got.status, want.read, got.body)
		}
		got := w.call(t, "POST", home.path("/documents"), as[name], map[string]string{"title": name, "text": "Once upon a time"})
		if got.status != want.write {
			t.Errorf("%s writes: got %d, want %d: %s", name, got.status, want.write, got.body)
		}
		if got.status == http.StatusCreated {
			created++
		}
	}
	var list api.DocumentList
	w.call(t, "GET", home.path("/documents"), as["key that reads"], nil).want(t, http.StatusOK, &list)
	if len(list.Items) != created || created != 4 {
		t.Errorf("got %d documents of %d, want 4", len(list.Items), created)
	}
	w.call(t, "GET", other.path("/documents"), as["other project's key"], nil).want(t, http.StatusOK, &list)
	if len(list.Items) != 0 {
		t.Errorf("the other project sees %+v", list.Items)
	}
	if names, _ := w.walk(t, as["owner"], home.path("/documents?limit=3")); len(names) != 4 {
		t.Errorf("got %d documents page by page, want 4", len(names))
	}
}
