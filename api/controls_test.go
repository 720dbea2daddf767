package api_test

import (
	"database/sql"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/domain"
)

// disruptive are texts that change what is around them: they control terminals,
// begin lines, or change the direction of writing.
var disruptive = []string{
	"\x1b[2Ja", "a\x07", "a\r\nb", "a\x00b", "a\x7fb", "a\u0085b", "a\u009bb", "a\u2028b", "a\u2029b",
	"a\u202ab", "a\u202eb\u202c", "a\u2066b", "a\u2069b",
}

// Guarantees that no field that people read takes a control character, a line break
// or a change of the direction of writing, whichever operation has the field. The
// answer names the field.
func TestNamesHoldNoControls(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tried := 0
	bodies(func(method, path string, op *openapi3.Operation, schema *openapi3.Schema) {
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			field := schema.Properties[name].Value
			if !field.Type.Is(openapi3.TypeString) || field.Enum != nil || field.Format != "" && field.Format != "email" ||
				slices.Contains([]string{"token", "refresh_token", "invitation_token", "key", "cursor"}, name) {
				continue // not shown to anyone
			}
			for _, text := range disruptive {
				if field.Format == "email" {
					text += "@example.com"
				}
				body := map[string]any{name: text}
				for _, other := range schema.Required {
					if body[other] = schema.Properties[other].Value.Example; other == name {
						body[other] = text
					} else if other == "password" {
						body[other] = password
					}
				}
				tried++
				got := s.call(t, method, fill(t, path, s.ids(t, s.home, path, s.home.owner)), s.caller(op), body)
				named := got.status == http.StatusUnprocessableEntity &&
					slices.ContainsFunc(fieldsOf(t, got), func(f domain.FieldError) bool { return f.Pointer == "/"+name })
				if !named && op.OperationID != "logIn" { // which says no more than that it failed
					t.Errorf("%s, %s of %q: got %d %s", op.OperationID, name, text, got.status, got.body)
				}
			}
		}
	})
	if tried < 50 {
		t.Errorf("only %d texts were tried", tried)
	}
}

// Guarantees that names which 0.1 stored with such characters are answered as valid
// JSON by both edges, with the same bytes, and without one of the characters that
// JSON does not allow.
func TestStoredControlsAnswerAlike(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	key := s.key(t, s.home.owner, s.home.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	name := strings.ReplaceAll(strings.Join(disruptive, ""), "\x00", "")
	db, err := sql.Open("latchkey-sqlite", "file:"+strings.TrimPrefix(s.DSN, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"UPDATE projects SET name = $1", "UPDATE api_keys SET name = $1",
		"UPDATE organizations SET name = $1", "UPDATE users SET name = $1",
	} {
		if _, err := db.ExecContext(t.Context(), statement, name); err != nil {
			t.Fatal(err)
		}
	}
	question := map[string]string{"key": key.Token}
	for _, ask := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/v1/project", nil}, {"POST", "/v1/keys/verify", question},
	} {
		lean := s.call(t, ask.method, ask.path, byKey(key.Token), ask.body).want(t, http.StatusOK, nil)
		ordinary := s.call(t, ask.method, ask.path, both(byKey(key.Token), ordinaryEdge), ask.body).want(t, http.StatusOK, nil)
		if string(lean.body) != string(ordinary.body) {
			t.Errorf("the edges differ:\n%s\n%s", lean.body, ordinary.body)
		}
		if strings.ContainsFunc(strings.TrimSuffix(string(lean.body), "\n"), func(r rune) bool { return r < ' ' }) {
			t.Errorf("this is no JSON: %q", lean.body)
		}
		var shown struct {
			Name string `json:"name"`
			Key  struct {
				Name string `json:"name"`
			} `json:"key"`
		}
		if err := json.Unmarshal(lean.body, &shown); err != nil || shown.Name+shown.Key.Name != name {
			t.Errorf("%s: the name is in %q (%v)", ask.path, lean.body, err)
		}
	}
}

// ordinaryEdge makes a request one that the lean edge leaves to the ordinary one.
func ordinaryEdge(h http.Header) { h.Set("Origin", "https://app.example.com") }
