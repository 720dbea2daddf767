package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// htmlEscapes are what encoding/json writes for <, > and & unless it knows that
// the text is not part of a page.
var htmlEscapes = []string{`\u003c`, `\u003e`, `\u0026`}

// Guarantees that people read what was written: no character of an error's detail
// is escaped for HTML, which no client shows it as.
func TestDetailsArePlain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "ada")
	key := w.key(t, home.owner, home.project.ID, nil)
	for what, got := range map[string]answer{
		"an unknown name": w.call(t, "POST", home.path("/keys"), home.owner.as, `{"name":"a","a<b&c>":1}`),
		"a key":           w.call(t, "GET", "/v1/me", byUser(key.Token), nil),
		"an import": w.call(t, "POST", home.path("/keys/import"), home.owner.as,
			`{"keys":[{"name":"a","algorithm":"django-pbkdf2-sha256","hash":"x"}]}`),
	} {
		body := string(got.body)
		if slices.ContainsFunc(htmlEscapes, func(e string) bool { return strings.Contains(body, e) }) || !strings.Contains(body, "<") {
			t.Errorf("%s: %s", what, got.body)
		}
	}
}

// Guarantees that every successful answer shows names as they were sent, on both
// edges: <, > and & are not escaped, whichever field has them. The answer is JSON
// and says so, and forbids browsers to guess, so it is never read as a page.
func TestAnswersArePlain(t *testing.T) {
	t.Parallel()
	const odd = `<b>&"\u003c"</b>` // the fourth to ninth characters are a backslash and letters, and stay so
	s := newScene(t)
	owner := s.home.owner
	s.call(t, "PATCH", "/v1/me", owner.as, map[string]any{"name": odd}).want(t, http.StatusOK, nil)
	organization := "/v1/organizations/" + string(s.home.organization.ID)
	s.call(t, "PATCH", organization, owner.as, map[string]any{"name": odd}).want(t, http.StatusOK, nil)
	s.call(t, "PATCH", s.home.path(""), owner.as, map[string]any{"name": odd}).want(t, http.StatusOK, nil)
	key := s.key(t, owner, s.home.project.ID, map[string]any{
		"name": odd, "external_id": odd, "metadata": map[string]string{odd: odd}, "scopes": []string{"project:read", "keys:verify"},
	})
	shown := 0
	look := func(what string, got answer) {
		t.Helper()
		body := strings.ReplaceAll(string(got.body), `\\u003c`, "")
		if got.status < 300 && slices.ContainsFunc(htmlEscapes, func(e string) bool { return strings.Contains(body, e) }) {
			t.Errorf("%s is escaped for HTML: %s", what, got.body)
		}
		if strings.Contains(string(got.body), "<b>&") {
			shown++
		}
		kind := got.header.Get("Content-Type")
		if got.header.Get("X-Content-Type-Options") != "nosniff" || len(got.body) > 0 && strings.HasPrefix(kind, "text/html") {
			t.Errorf("%s: got %q %v, want JSON that is not sniffed", what, kind, got.header["X-Content-Type-Options"])
		}
	}
	for path, item := range contract().Paths.Map() {
		op := item.Get
		if op == nil || strings.HasPrefix(path, "/docs") || path == "/openapi.yaml" || path == "/openapi.json" {
			continue
		}
		ids := s.ids(t, s.home, path, owner)
		ids["{key_id}"] = string(key.Key.ID)
		address := fill(t, path, ids)
		look(op.OperationID, s.call(t, "GET", address, owner.as, nil))
		look(op.OperationID+" by a key", s.call(t, "GET", address, byKey(key.Token), nil))
	}
	question := map[string]string{"key": key.Token}
	look("verifyKey, lean", s.call(t, "POST", "/v1/keys/verify", byKey(key.Token), question))
	look("verifyKey", s.call(t, "POST", "/v1/keys/verify", both(byKey(key.Token), ordinaryEdge), question))
	look("getCurrentProject", s.call(t, "GET", "/v1/project", both(byKey(key.Token), ordinaryEdge), nil))
	metadata := map[string]any{"metadata": map[string]string{"a": odd}}
	look("updateKey", s.call(t, "PATCH", s.home.path("/keys/"+string(key.Key.ID)), owner.as, metadata))
	look("export", s.call(t, "GET", organization+"/audit-events",
		both(owner.as, func(h http.Header) { h.Set("Accept", "application/x-ndjson") }), nil))
	if shown < 15 {
		t.Errorf("only %d answers had the name", shown)
	}
}

// Guarantees that a cache between a client and the instance keeps the forms of an
// answer apart: each operation whose answer the Accept header chooses says so in
// Vary, and so does each file that may be sent compressed.
func TestNegotiatedAnswersVary(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tried := 0
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			if forms(op) < 2 {
				continue
			}
			for _, accept := range []string{"", "application/json", "text/csv", "application/x-ndjson"} {
				tried++
				got := s.call(t, method, fill(t, path, s.ids(t, s.home, path, s.home.owner)),
					both(s.home.owner.as, func(h http.Header) { h.Set("Accept", accept) }), nil)
				if !slices.Contains(got.header.Values("Vary"), "Accept") {
					t.Errorf("%s as %q: got Vary %q, want Accept", op.OperationID, accept, got.header.Values("Vary"))
				}
			}
		}
	}
	if tried == 0 {
		t.Error("no operation negotiates")
	}
}

// forms is in how many media types an operation answers.
func forms(op *openapi3.Operation) int {
	ok := op.Responses.Status(http.StatusOK)
	if ok == nil {
		return 0
	}
	return len(ok.Value.Content)
}
