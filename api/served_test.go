package api_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The files of the reference page are sent as what they are, and compressed only to
// clients that accept that; what they hold is the same.
func TestFilesOfTheReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	get := func(name, encoding string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/docs/"+name, nil)
		r.Header.Set("Accept-Encoding", encoding)
		recorder := httptest.NewRecorder()
		w.echo.ServeHTTP(recorder, r)
		return recorder
	}
	for name, mediaType := range map[string]string{
		"reference.js": "text/javascript; charset=utf-8", "reference.css": "text/css; charset=utf-8",
		"errors.css": "text/css; charset=utf-8", "scalar.js": "text/javascript; charset=utf-8",
	} {
		plain, packed := get(name, ""), get(name, "br, gzip")
		if plain.Code != http.StatusOK || packed.Code != http.StatusOK || plain.Body.Len() < 100 {
			t.Errorf("%s: got %d and %d with %d bytes", name, plain.Code, packed.Code, plain.Body.Len())
		}
		for _, a := range []*httptest.ResponseRecorder{plain, packed} {
			if got := a.Header().Get("Content-Type") + a.Header().Get("Cache-Control"); got != mediaType+"public, max-age=3600" {
				t.Errorf("%s: got %s", name, got)
			}
		}
		got := packed.Body.Bytes()
		if isPacked := name == "scalar.js"; (packed.Header().Get("Content-Encoding") == "gzip") != isPacked ||
			(packed.Header().Get("Vary") != "") != isPacked || plain.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s: got headers %v and %v", name, plain.Header(), packed.Header())
		} else if isPacked {
			reader, err := gzip.NewReader(packed.Body)
			must(t, err)
			got, err = io.ReadAll(reader)
			must(t, err)
		}
		if !bytes.Equal(got, plain.Body.Bytes()) {
			t.Errorf("%s: what is compressed is something else", name)
		}
	}
}

// A member is removed with the keys that they made only if the request says so.
func TestRemoveAMemberWithKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	for query, want := range map[string]bool{"": false, "?keys=revoke": true} {
		bob := w.signUp(t, []string{"bob", "eve"}[len(query)/12])
		w.member(t, bob, n.organization.ID, domain.Developer)
		key := w.key(t, bob, n.project.ID, map[string]any{"name": "theirs"})
		path := "/v1/organizations/" + string(n.organization.ID) + "/members/" + string(bob.User.ID)
		w.call(t, "DELETE", path+query, n.owner.as, nil).want(t, http.StatusNoContent, nil)
		var got api.Key
		w.call(t, "GET", n.path("/keys/"+string(key.Key.ID)), n.owner.as, nil).want(t, http.StatusOK, &got)
		if revoked := got.Status == domain.KeyRevoked; revoked != want {
			t.Errorf("%q: revoked %v, want %v", query, revoked, want)
		}
	}
}

// What the operator suspended says since when and why, to its members.
func TestSuspensionsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	ctx := t.Context()
	p, err := w.Project(ctx, domain.System(), n.project.ID)
	must(t, err)
	_, err = p.Suspend(ctx, "unpaid")
	must(t, err)
	var project api.Project
	w.call(t, "GET", n.path(""), n.owner.as, nil).want(t, http.StatusOK, &project)
	if s := project.Suspended; s == nil || s.Reason != "unpaid" || !s.Since.Equal(w.Now()) || s.Since.Location() != time.UTC {
		t.Errorf("got %+v, want it shown", project.Suspended)
	}
	_, err = p.Resume(ctx)
	must(t, err)
	project = api.Project{}
	w.call(t, "GET", n.path(""), n.owner.as, nil).want(t, http.StatusOK, &project)
	if project.Suspended != nil {
		t.Errorf("got %+v, want none", project.Suspended)
	}
}
