// Command collection writes the contract as a collection in Postman's format
// (v2.1), which Postman, Bruno and Restfox import. Importers that read
// openapi.yaml itself merge the alternatives of an operation's security and would
// send all of them; here every request carries exactly one credential, as a plain
// header.
package main

import (
	"cmp"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:generate go run . ../../openapi.yaml ../../examples/latchkey.postman_collection.json

func main() {
	doc, err := openapi3.NewLoader().LoadFromFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	text, err := json.MarshalIndent(newCollection(doc), "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[2], append(text, '\n'), 0o644); err != nil { //nolint:gosec // it is to be read by everybody
		log.Fatal(err)
	}
}

type collection struct {
	Info     info       `json:"info"`
	Item     []folder   `json:"item"`
	Variable []variable `json:"variable"`
}

type info struct {
	ID          string `json:"_postman_id"` //nolint:tagliatelle // the format says so; Restfox hangs the folders on it
	Name        string `json:"name"`
	Description string `json:"description"`
	Schema      string `json:"schema"`
}

type folder struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Item        []item `json:"item"`
}

type item struct {
	Name    string  `json:"name"`
	Event   []event `json:"event"`
	Request request `json:"request"`

	depth, rank int
}

type event struct {
	Listen string `json:"listen"`
	Script script `json:"script"`
}

type script struct {
	Type string   `json:"type"`
	Exec []string `json:"exec"`
}

type request struct {
	Method      string     `json:"method"`
	Header      []variable `json:"header"`
	Body        *body      `json:"body,omitempty"`
	URL         address    `json:"url"`
	Description string     `json:"description"`
}

type body struct {
	Mode string `json:"mode"`
	Raw  string `json:"raw"`
}

type address struct {
	Raw  string   `json:"raw"`
	Host []string `json:"host"`
	Path []string `json:"path"`
}

type variable struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// folders are the ways to call, each with its one header.
var folders = []struct {
	name, description, scheme string
	header                    []variable
}{
	{"without a credential", "Operations without credentials. Logging in fills the variables that the folder user needs.", "", nil},
	{"key, Authorization", "With an API key in the Authorization header.", "ApiKeyAuthorization", []variable{{"Authorization", "Api-Key {{api_key}}"}}},
	{"key, X-Api-Key", "With an API key in a header of its own.", "ApiKeyHeader", []variable{{"X-Api-Key", "{{api_key}}"}}},
	{"user", "With a user's access token.", "BearerJWT", []variable{{"Authorization", "Bearer {{access_token}}"}}},
}

// variables that the user fills in come first; answers fill the others.
var variables = []variable{
	{"base_url", "http://127.0.0.1:8080"},
	{"api_key", ""},
	{"project_id", ""},
	{"email", "ada@example.com"},
	{"password", ""},
	{"access_token", ""},
	{"refresh_token", ""},
	{"organization_id", ""},
	{"key_id", ""},
	{"plan_id", ""},
	{"name", "requests"}, // of a limit
	{"token", ""},
	{"invitation_id", ""},
	{"token_id", "000000000000"},
	{"session_id", ""},
	{"user_id", ""},
}

func newCollection(doc *openapi3.T) collection {
	c := collection{
		Info: info{
			ID:   "6c1d1f0e-6a54-4d0c-9b3c-0d8f3b1c7a52",
			Name: "Latchkey",
			Description: "Generated from openapi.yaml. Fill in the variables base_url and api_key, or email and password and send " +
				"\"Sign in with a password\" first. Every request carries exactly one credential.",
			Schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
		},
		Variable: variables,
	}
	for _, f := range folders {
		filled := folder{Name: f.name, Description: f.description}
		for path, pathItem := range doc.Paths.Map() {
			for method, op := range pathItem.Operations() {
				if takes(op, f.scheme) {
					filled.Item = append(filled.Item, newItem(method, path, op, f.header))
				}
			}
		}
		slices.SortFunc(filled.Item, compare)
		c.Item = append(c.Item, filled)
	}
	return c
}

// takes reports whether the scheme alone is enough; the empty one is none. Operations
// of OAuth take forms: libraries of OAuth send them.
func takes(op *openapi3.Operation, scheme string) bool {
	if op.RequestBody != nil && op.RequestBody.Value.Content.Get("application/json") == nil {
		return false
	}
	if len(*op.Security) == 0 {
		return scheme == ""
	}
	return slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool {
		_, ok := r[scheme]
		return ok && len(r) == 1
	})
}

// compare puts requests in an order in which they can be run from top to bottom:
// what is created is used and then deleted, and who signs out does so last.
func compare(a, b item) int {
	if a.rank == rankDelete && b.rank == rankDelete {
		return cmp.Or(cmp.Compare(b.depth, a.depth), cmp.Compare(b.Request.URL.Raw, a.Request.URL.Raw))
	}
	if a.rank >= rankRevoke || b.rank >= rankRevoke {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Request.URL.Raw, b.Request.URL.Raw))
	}
	return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.rank, b.rank), cmp.Compare(a.Request.URL.Raw, b.Request.URL.Raw))
}

const (
	rankCreate = iota
	rankRead
	rankChange
	rankRevoke
	rankDelete
	rankOthersOut
	rankSignOut
)

func rank(method string, op *openapi3.Operation) int {
	switch {
	case op.OperationID == "logOut":
		return rankSignOut
	case op.OperationID == "revokeOtherSessions":
		return rankOthersOut
	case op.OperationID == "revokeKey":
		return rankRevoke
	case method == http.MethodDelete:
		return rankDelete
	case op.Responses.Status(http.StatusCreated) != nil || op.OperationID == "logIn":
		return rankCreate
	case method == http.MethodGet:
		return rankRead
	default:
		return rankChange
	}
}

func newItem(method, path string, op *openapi3.Operation, credential []variable) item {
	filledPath := strings.NewReplacer("{", "{{", "}", "}}").Replace(path)
	i := item{
		Name:  op.Summary,
		depth: strings.Count(path, "{"),
		rank:  rank(method, op),
		Request: request{
			Method:      method,
			Header:      slices.Clone(credential),
			Description: op.Description,
			URL: address{
				Raw:  "{{base_url}}" + filledPath,
				Host: []string{"{{base_url}}"},
				Path: strings.Split(strings.TrimPrefix(filledPath, "/"), "/"),
			},
		},
		Event: []event{{Listen: "test", Script: script{Type: "text/javascript", Exec: tests(op)}}},
	}
	if i.Request.Header == nil {
		i.Request.Header = []variable{}
	}
	if op.RequestBody != nil {
		i.Request.Header = append(i.Request.Header, variable{"Content-Type", "application/json"})
		i.Request.Body = &body{Mode: "raw", Raw: example(op)}
	}
	return i
}

// tests are run after the answer. Restfox, where rf is defined, knows of pm only
// what it rewrites, which is pm.response.json; what it would not understand is
// kept from it.
func tests(op *openapi3.Operation) []string {
	statuses := otherwise[op.OperationID]
	if statuses == nil {
		for _, status := range []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent} {
			if op.Responses.Status(status) != nil {
				statuses = append(statuses, status)
			}
		}
	}
	text, err := json.Marshal(statuses)
	if err != nil {
		log.Fatal(err)
	}
	lines := []string{
		`if (typeof rf === "undefined") pm.test("` + op.OperationID + `", () => ` +
			`pm.expect(pm.response.code, pm.response.text()).to.be.oneOf(` +
			string(text) + `));`,
	}
	parts := kept[op.OperationID]
	if len(parts) == 0 {
		return lines
	}
	var values []string
	for _, name := range slices.Sorted(keys(parts)) {
		values = append(values, `["`+name+`", answer?.`+strings.ReplaceAll(strings.ReplaceAll(parts[name], ".", "?."), "1", "[1]")+`]`)
	}
	return append(lines,
		`const keep = typeof rf === "undefined" ? (name, value) => pm.collectionVariables.set(name, value) : rf.setEnvVar;`,
		`const answer = pm.response.json();`,
		`for (const [name, value] of [`+strings.Join(values, ", ")+`]) if (value) keep(name, value);`)
}
