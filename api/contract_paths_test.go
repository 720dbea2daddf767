package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// A path whose id cannot be one is 404, and so is every other way of writing an
// id that exists.
func TestBadPaths(t *testing.T) {
	t.Parallel()
	b := newBadInput(t)
	id := string(b.home.project.ID)
	segments := []string{
		"", "%00", id + "%00", id + "%0a", "%70" + id[1:], "x", "prj_", id[4:], id[:len(id)-1], id + "0", strings.ToUpper(id), "%20" + id,
		id + "%20",
		id + ".json", id + ";a=b", "..", ".", "%2e%2e", "..%2f" + id, id + "%2f", id + "%2fkeys", "*", "%ff", "prj_8" + id[5:],
		"prj_" + strings.Repeat("i", 26),
		string(b.home.organization.ID), "org_" + id[4:], strings.Repeat("a", 5000), "%E2%80%8B" + id, "id=" + id,
	}
	for _, segment := range segments {
		for _, path := range []string{"/v1/projects/%s", "/v1/projects/%s/keys", "/v1/projects/%s/keys/key_" + id[4:],
			"/v1/projects/" + id + "/keys/%s"} {
			b.call(t, "GET", fmt.Sprintf(path, segment), b.home.owner.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
		}
	}
	b.call(t, "DELETE", "/v1/projects/"+id+"/keys/"+id, b.home.owner.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	b.call(t, "POST", "/v1/projects/"+id+"/keys/x/revoke", b.home.owner.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	b.nothingStored(t)
}

// A concrete path is never taken for an identifier in a templated one, whatever
// the method.
func TestConcretePathsComeFirst(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, c := range []struct{ method, path, allow string }{
		{"DELETE", "/v1/me/sessions/revoke-others", "OPTIONS, POST"},
		{"GET", "/v1/projects/" + string(s.home.project.ID) + "/keys/import", "OPTIONS, POST"},
	} {
		req := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
		s.home.owner.as(req.Header)
		rec := httptest.NewRecorder()
		s.echo.ServeHTTP(rec, req)
		if got := rec.Header().Get("Allow"); rec.Code != http.StatusMethodNotAllowed || got != c.allow {
			t.Errorf("%s %s: got %d, Allow %q; want 405, Allow %q", c.method, c.path, rec.Code, got, c.allow)
		}
	}
}

// The path decides which object is meant, whatever a body or a query says.
func TestThePathDecides(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.project(t, s.home.owner, s.home.organization.ID, "other")
	for _, body := range []string{
		`{"name":"new","project_id":"` + string(other.ID) + `"}`, `{"name":"new","id":"` + string(other.ID) + `"}`,
		`{"name":"new","ProjectID":"` + string(other.ID) + `"}`, `{"name":"new","PROJECT_ID":"` + string(other.ID) + `"}`,
	} {
		s.call(t, "PATCH", s.home.path(""), s.home.owner.as, body).fails(t, http.StatusUnprocessableEntity, failed)
	}
	s.call(t, "PATCH", s.home.path("?project_id="+string(other.ID)), s.home.owner.as, `{"name":"new"}`).
		fails(t, http.StatusUnprocessableEntity, failed)
	s.call(t, "PATCH", s.home.path(""), s.home.owner.as, `{"name":"new"}`).want(t, http.StatusOK, nil)
	var got api.Project
	s.call(t, "GET", "/v1/projects/"+string(other.ID), s.home.owner.as, nil).want(t, http.StatusOK, &got)
	if got.Name != "other" {
		t.Errorf("the other project is now called %q", got.Name)
	}
}

// What is unusual and yet right is taken.
func TestUnusualRequestsAreTaken(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for name, headers := range map[string]credential{
		"charset":            headers("Content-Type", "application/json; charset=UTF-8"),
		"charset as often":   headers("Content-Type", "application/json;charset=utf8"),
		"upper case":         headers("Content-Type", "Application/JSON"),
		"identity":           headers("Content-Type", "application/json", "Content-Encoding", "identity"),
		"accept other":       headers("Content-Type", "application/json", "Accept", "text/html"),
		"cookies":            headers("Content-Type", "application/json", "Cookie", "session=x"),
		"a strange agent":    headers("Content-Type", "application/json", "User-Agent", "\xff\xfe"+strings.Repeat("a", 5000)),
		"no agent":           headers("Content-Type", "application/json", "User-Agent", ""),
		"a request id":       headers("Content-Type", "application/json", "X-Request-Id", "mine"),
		"a method to become": headers("Content-Type", "application/json", "X-HTTP-Method-Override", "DELETE"),
	} {
		r := httptest.NewRequest(http.MethodPost, s.home.path("/keys"), strings.NewReader(" \r\n\t{\"name\" : \"\\ud83d\\udd11 😀\"} \n"))
		headers(r.Header)
		s.home.owner.as(r.Header)
		var created api.CreatedKey
		got := s.send(t, r).want(t, http.StatusCreated, &created)
		if created.Key.Name != "🔑 😀" {
			t.Errorf("%s: the name is %q", name, created.Key.Name)
		}
		if id := got.header.Get("X-Request-Id"); id == "mine" {
			t.Errorf("%s: a stranger chose the request id", name)
		}
		s.secret(created.Token)
	}
	// The longest body that fits, and a body where none is asked for.
	s.call(t, "POST", s.home.path("/keys"), s.home.owner.as, `{"name":"a"}`+strings.Repeat(" ", 64<<10-12)).want(t, http.StatusCreated, nil)
	s.call(t, "GET", s.home.path(""), s.home.owner.as, `{"name":"a"}`).want(t, http.StatusOK, nil)

	for _, body := range []any{nil, `{}`, `{"reason":null}`, `{"reason":"gone"}`} {
		k := s.key(t, s.home.owner, s.home.project.ID, nil)
		s.call(t, "POST", s.home.path("/keys/"+string(k.Key.ID)+"/revoke"), s.home.owner.as, body).want(t, http.StatusOK, nil)
	}
}

// Fields that are left out, null, and empty are three things to a PATCH.
func TestPatchKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	at := w.Now().Add(time.Hour)
	k := w.key(t, n.owner, n.project.ID, map[string]any{
		"scopes": []string{"documents:read"}, "external_id": "4711", "metadata": map[string]string{"a": "b"}, "expires_at": at,
	})
	path := n.path("/keys/" + string(k.Key.ID))
	for _, test := range []struct {
		body   string
		change func(*api.Key)
	}{
		{`{"name":"other"}`, func(k *api.Key) { k.Name = "other" }},
		{`{"external_id":null}`, func(k *api.Key) { k.ExternalID.SetNull() }},
		{`{"external_id":"x"}`, func(k *api.Key) { k.ExternalID.Set("x") }},
		{`{"external_id":""}`, func(k *api.Key) { k.ExternalID.SetNull() }},
		{`{"expires_at":null}`, func(k *api.Key) { k.ExpiresAt.SetNull() }},
		{`{"expires_at":"2030-01-01T01:00:00+01:00"}`, func(k *api.Key) { k.ExpiresAt.Set(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) }},
		{`{"expires_at":"1999-01-01T00:00:00Z"}`, func(k *api.Key) {
			k.ExpiresAt.Set(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
			k.Status = domain.KeyExpired
		}},
		{`{"scopes":[]}`, func(k *api.Key) { k.Scopes = []domain.Scope{} }},
		{`{"metadata":{}}`, func(k *api.Key) { k.Metadata = api.Metadata{} }},
	} {
		want := k.Key
		test.change(&want)
		var got, again api.Key
		w.call(t, "PATCH", path, n.owner.as, test.body).want(t, http.StatusOK, &got)
		w.call(t, "GET", path, n.owner.as, nil).want(t, http.StatusOK, &again)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", test.body, diff)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("%s: the answer and the key differ: %s", test.body, diff)
		}
		k.Key = got
	}
}
