package api_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/api"
)

// The served documents say how this instance is configured, in every place, and
// are as good a contract as the file.
func TestServedDocument(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change    func(*api.Config)
		has, lack []string
		schemes   int
	}{
		"default": {func(*api.Config) {}, []string{"X-Api-Key", "Authorization: Api-Key", "http://127.0.0.1:8080"}, nil, 3},
		"address": {
			func(c *api.Config) { c.PublicURL = "https://keys.example/" },
			[]string{"https://keys.example"}, []string{"127.0.0.1", "https://keys.example/"}, 3,
		},
		"keyword": {
			func(c *api.Config) { c.Credentials.Keyword = "Token" },
			[]string{"Authorization: Token", "X-Api-Key"}, []string{"Authorization: Api-Key", "X-Token"}, 3,
		},
		"header": {
			func(c *api.Config) { c.Credentials.Header = "x-my-key" },
			[]string{"X-My-Key"}, []string{"X-Api-Key", "ApiKeyAuthorization", "x-my-key"}, 2,
		},
	} {
		w := newWorld(t, test.change)
		asYAML := w.call(t, "GET", "/openapi.yaml", anonymous, nil).want(t, http.StatusOK, nil)
		asJSON := w.call(t, "GET", "/openapi.json", anonymous, nil).want(t, http.StatusOK, nil)
		var docs []*openapi3.T
		for _, text := range [][]byte{asYAML.body, asJSON.body} {
			doc, err := openapi3.NewLoader().LoadFromData(text)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := doc.Validate(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := len(doc.Components.SecuritySchemes); got != test.schemes {
				t.Errorf("%s: %d security schemes, want %d", name, got, test.schemes)
			}
			docs = append(docs, doc)
			for _, part := range test.has {
				if !strings.Contains(string(text), part) {
					t.Errorf("%s: the document lacks %q", name, part)
				}
			}
			for _, part := range test.lack {
				if strings.Contains(string(text), part) {
					t.Errorf("%s: the document still has %q", name, part)
				}
			}
		}
		first, _ := docs[0].MarshalJSON()
		second, _ := docs[1].MarshalJSON()
		if diff := cmp.Diff(string(first), string(second)); diff != "" {
			t.Errorf("%s: YAML and JSON differ: %s", name, diff)
		}
	}
}

// Without settings, what is served is what the file says.
func TestServedDocumentIsTheFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	served, err := openapi3.NewLoader().LoadFromData(w.call(t, "GET", "/openapi.yaml", anonymous, nil).body)
	if err != nil {
		t.Fatal(err)
	}
	file, err := openapi3.NewLoader().LoadFromData(latchkey.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := served.MarshalJSON()
	want, _ := file.MarshalJSON()
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

// With a custom header no operation offers Authorization for keys, and none has
// become public by that.
func TestSecurityWithCustomHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config) { c.Credentials.Header = "X-My-Key" })
	served, err := openapi3.NewLoader().LoadFromData(w.call(t, "GET", "/openapi.yaml", anonymous, nil).body)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range served.Paths.Map() {
		for method, op := range item.Operations() {
			before := *operation(t, op.OperationID).Security
			want := openapi3.SecurityRequirements{}
			for _, requirement := range before {
				if _, drops := requirement["ApiKeyAuthorization"]; !drops {
					want = append(want, requirement)
				}
			}
			if diff := cmp.Diff(&want, op.Security); diff != "" || (len(before) > 0) != (len(want) > 0) {
				t.Errorf("%s %s: %s", method, path, diff)
			}
		}
	}
}

// Every answer has an X-Request-Id, so the contract says so of each.
func TestEveryAnswerNamesItsRequest(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(latchkey.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				if h := response.Value.Headers["X-Request-Id"]; h == nil || h.Ref != "#/components/headers/RequestID" {
					t.Errorf("%s %s: %s lacks it", method, path, status)
				}
			}
		}
	}
}

// The first example of a verification is a success, in the file and in the JSON
// that /docs reads, where names are in alphabetical order.
func TestFirstExampleIsASuccess(t *testing.T) {
	t.Parallel()
	examples := operation(t, "verifyKey").Responses.Status(http.StatusOK).Value.Content["application/json"].Examples
	first := slices.Min(slices.Collect(maps.Keys(examples)))
	if value, ok := examples[first].Value.Value.(map[string]any); !ok || value["valid"] != true {
		t.Errorf("the first example is %q: %v", first, examples[first].Value.Value)
	}
}
