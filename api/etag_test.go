package api_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// Two people who change the same thing do not overwrite each other: organizations,
// projects and keys say their revision, and a change that expects another one
// changes nothing.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.key(t, n.owner, n.project.ID, nil)
	at := n.path("/keys/" + string(key.Key.ID))
	expecting := func(tags string) credential {
		return func(h http.Header) { n.owner.as(h); h.Set("If-Match", tags) }
	}
	for _, path := range []string{at, n.path(""), "/v1/organizations/" + string(n.organization.ID)} {
		read := w.call(t, "GET", path, n.owner.as, nil).want(t, 200, nil)
		old := read.header.Get("ETag")
		if again := w.call(t, "GET", path, n.owner.as, nil).header.Get("ETag"); old == "" || old != again {
			t.Fatalf("%s: got ETag %q, then %q; want the same one twice", path, old, again)
		}
		rename := map[string]string{"name": "renamed"}
		changed := w.call(t, "PATCH", path, expecting(old), rename).want(t, 200, nil)
		if fresh := changed.header.Get("ETag"); fresh == old || fresh == "" {
			t.Errorf("%s: got ETag %q after a change of %q", path, fresh, old)
		}
		for _, stale := range []string{old, `"0"`, `W/` + changed.header.Get("ETag"), "", "7", `""`, `"x", "y"`} {
			w.call(t, "PATCH", path, expecting(stale), map[string]string{"name": "overwritten"}).
				fails(t, 412, domain.CodePreconditionFailed)
			w.call(t, "DELETE", path, expecting(stale), nil).fails(t, 412, domain.CodePreconditionFailed)
		}
		w.call(t, "PATCH", path, expecting(`"0" , `+changed.header.Get("ETag")), map[string]string{"name": "again"}).want(t, 200, nil)
		w.call(t, "PATCH", path, expecting("*"), map[string]string{"name": "any"}).want(t, 200, nil)
	}
	for _, action := range []string{"/revoke", "/rotate"} {
		w.call(t, "POST", at+action, expecting(`"1"`), nil).fails(t, 412, domain.CodePreconditionFailed)
	}

	// Verifying and using a key is no change of it.
	before := w.call(t, "GET", at, n.owner.as, nil).header.Get("ETag")
	w.call(t, "GET", "/v1/project", byKey(key.Token), nil).want(t, 200, nil)
	after := w.call(t, "GET", at, n.owner.as, nil).header.Get("ETag")
	if got, want := after, before; got != want {
		t.Errorf("got ETag %s after a use, want %s as before", got, want)
	}
	var found api.Key
	w.call(t, "GET", at, n.owner.as, nil).want(t, 200, &found)
	if got, want := found.Name, "any"; got != want {
		t.Errorf("got name %q, want %q: refused changes change nothing", got, want)
	}
}

// A key learns which revision of its project it reads, whichever way it asks,
// and can change that one and no other.
func TestETagOfTheCurrentProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	as := byKey(w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"project:write"}}).Token)
	w.call(t, "PATCH", n.path(""), n.owner.as, map[string]string{"name": "second"}).want(t, 200, nil)
	want := w.call(t, "GET", n.path(""), as, nil).want(t, 200, nil).header.Get("ETag")
	if got := w.call(t, "GET", "/v1/project", as, nil).want(t, 200, nil).header.Get("ETag"); got == "" || got != want {
		t.Errorf("got ETag %q of the current project, want %q", got, want)
	}
}
