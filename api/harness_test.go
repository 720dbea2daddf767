package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

const password = servicetest.Password

// world is an instance that is called in process. Every answer is held to openapi.yaml,
// and no secret that it hands out may turn up in the log or in an error.
type world struct {
	*servicetest.World

	echo *echo.Echo

	mu      sync.Mutex
	secrets []string
}

// newWorld starts an instance; change may alter how the API is served.
func newWorld(t *testing.T, change ...func(*api.Config)) *world {
	t.Helper()
	return startWorld(t, storetest.SQLite(t), nil, change...)
}

// startWorld starts an instance on a database; mailer may be nil.
func startWorld(t *testing.T, dsn string, mailer service.Mailer, change ...func(*api.Config)) *world {
	t.Helper()
	w := serveWorld(t, servicetest.Prepare(t, storetest.New(t, dsn), dsn), mailer, change...)
	servicetest.Follow(t, w.App)
	return w
}

// serveWorld starts a node with the API that answers from no memory until it follows.
func serveWorld(t *testing.T, in *servicetest.World, mailer service.Mailer, change ...func(*api.Config)) *world {
	t.Helper()
	w := &world{World: in}
	w.App = w.Another(service.Options{Mailer: mailer})
	config := api.Config{Log: slog.New(slog.NewJSONHandler(&w.Logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range change {
		f(&config)
	}
	var err error
	if w.echo, err = api.New(w.App, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.mustNotShow(t, "the log", w.Logged.String()) })
	return w
}

// secret notes what must never be shown again.
func (w *world) secret(s ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, s...)
}

func (w *world) mustNotShow(t *testing.T, where, text string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range append(w.secrets, password) {
		if strings.Contains(text, s) {
			t.Errorf("%s shows the secret %.12s…", where, s)
		}
	}
}

// credential puts what proves a caller into a request.
type credential func(http.Header)

func anonymous(http.Header) {}

func byKey(token string) credential { return func(h http.Header) { h.Set("X-Api-Key", token) } }

func byAuthorization(value string) credential {
	return func(h http.Header) { h.Set("Authorization", value) }
}

func byUser(accessToken string) credential { return byAuthorization("Bearer " + accessToken) }

func both(a, b credential) credential { return func(h http.Header) { a(h); b(h) } }

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request. A body that is neither a string nor a form is sent as JSON; nil
// is none.
func (w *world) call(t *testing.T, method, path string, as credential, body any) answer {
	t.Helper()
	var reader io.Reader
	media := "application/json"
	switch body := body.(type) {
	case nil:
	case url.Values:
		reader, media = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	case string:
		reader = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(context.Background(), method, path, reader)
	if body != nil {
		r.Header.Set("Content-Type", media)
	}
	as(r.Header)
	fromAnotherNetwork(r)
	return w.send(t, r)
}

var networks atomic.Uint32

// fromAnotherNetwork has a report of leaks come from a network that has sent none: each
// may send only a few.
func fromAnotherNetwork(r *http.Request) {
	if r.URL.Path == "/v1/leaks" {
		n := networks.Add(1)
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.1:1234", n>>8&255, n&255)
	}
}

// send serves a request and holds its answer to the contract.
func (w *world) send(t *testing.T, r *http.Request) answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.echo.ServeHTTP(recorder, r)
	a := answer{recorder.Code, recorder.Header(), recorder.Body.Bytes()}
	if a.header.Get("X-Request-Id") == "" {
		t.Errorf("%s %s: no request id", r.Method, r.URL.Path)
	}
	if a.status >= 400 {
		w.mustNotShow(t, r.Method+" "+r.URL.Path, string(a.body))
	}
	if strings.Contains(string(a.body), `"0001-01-01`) {
		t.Errorf("%s %s: a zero time in %s", r.Method, r.URL.Path, a.body)
	}
	if err := conforms(r, a); err != nil {
		t.Errorf("%s %s: the answer %d is not what openapi.yaml promises: %v\n%s", r.Method, r.URL.Path, a.status, err, a.body)
	}
	return a
}

// want fails unless the answer has the status, and reads its body into v.
func (a answer) want(t *testing.T, status int, v any) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d, want %d: %s", a.status, status, a.body)
	}
	if v != nil {
		if err := json.Unmarshal(a.body, v); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// code is the code of a problem, "" for what is none.
func (a answer) code() domain.Code {
	var p api.Problem
	if json.Unmarshal(a.body, &p) != nil {
		return ""
	}
	return p.Code
}

// fails reports unless the answer is a problem with the status and code.
func (a answer) fails(t *testing.T, status int, code domain.Code) answer {
	t.Helper()
	if a.status != status || a.code() != code {
		t.Errorf("got %d %s, want %d %s: %s", a.status, a.code(), status, code, a.body)
	}
	return a
}

// contract is openapi.yaml, loaded once for all tests.
var contract = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(latchkey.OpenAPI)
	if err != nil {
		panic(err)
	}
	for _, export := range []string{"text/csv", "application/x-ndjson", "text/html"} {
		openapi3filter.RegisterBodyDecoder(export, openapi3filter.FileBodyDecoder)
	}
	return doc
})

// routeOf finds the operation that a request is for, if it is for one.
func routeOf(r *http.Request) *routers.Route {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for path, item := range contract().Paths.Map() {
		pattern := "^" + pathParameter.ReplaceAllString(strings.ReplaceAll(path, ".", `\.`), `[^/]+`) + "$"
		if op := item.GetOperation(method); op != nil && regexp.MustCompile(pattern).MatchString(r.URL.EscapedPath()) {
			return &routers.Route{Spec: contract(), Path: path, PathItem: item, Method: method, Operation: op}
		}
	}
	return nil
}

// conforms holds an answer to openapi.yaml: status, media type and body.
func conforms(r *http.Request, a answer) error {
	route := routeOf(r)
	if route == nil || a.status == http.StatusRequestHeaderFieldsTooLarge {
		if a.status < 400 {
			return nil
		}
		var problem any
		if err := json.Unmarshal(a.body, &problem); err != nil {
			return err
		}
		return contract().Components.Schemas["Problem"].Value.VisitJSON(problem)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route},
		Status:                 a.status, Header: a.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: r.Method == http.MethodHead},
	}
	input.SetBodyBytes(a.body)
	return openapi3filter.ValidateResponse(r.Context(), input)
}

// person is a signed-in user.
type person struct {
	api.Session

	as credential
}

// signUp makes an account for name@example.com.
func (w *world) signUp(t *testing.T, name string) person {
	t.Helper()
	var p person
	w.call(t, "POST", "/v1/auth/signup", anonymous, map[string]string{
		"email": name + "@example.com", "password": password, "name": name,
	}).want(t, http.StatusCreated, &p.Session)
	w.secret(p.AccessToken, p.RefreshToken)
	p.as = byUser(p.AccessToken)
	return p
}

func (w *world) organization(t *testing.T, owner person, name string) api.Organization {
	t.Helper()
	var o api.Organization
	w.call(t, "POST", "/v1/organizations", owner.as, map[string]string{"name": name}).want(t, http.StatusCreated, &o)
	return o
}

func (w *world) project(t *testing.T, by person, in domain.OrganizationID, name string) api.Project {
	t.Helper()
	var p api.Project
	w.call(t, "POST", "/v1/organizations/"+string(in)+"/projects", by.as, map[string]string{"name": name}).want(t, http.StatusCreated, &p)
	return p
}

// key makes a key with the fields, which need no name.
func (w *world) key(t *testing.T, by person, in domain.ProjectID, fields map[string]any) api.CreatedKey {
	t.Helper()
	body := map[string]any{"name": "a key"}
	maps.Copy(body, fields)
	var k api.CreatedKey
	w.call(t, "POST", "/v1/projects/"+string(in)+"/keys", by.as, body).want(t, http.StatusCreated, &k)
	w.secret(k.Token)
	return k
}

// member makes a user a member.
func (w *world) member(t *testing.T, p person, of domain.OrganizationID, role domain.Role) {
	t.Helper()
	err := w.Store.AddMember(t.Context(), domain.Organization{ID: of}.Scope(), domain.Membership{
		UserID: p.User.ID, Role: role, JoinedAt: w.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tenant is an organization with one project, and its owner.
type tenant struct {
	owner        person
	organization api.Organization
	project      api.Project
}

func (w *world) tenant(t *testing.T, name string) tenant {
	t.Helper()
	owner := w.signUp(t, name)
	o := w.organization(t, owner, name)
	return tenant{owner, o, w.project(t, owner, o.ID, name)}
}

func (n tenant) path(below string) string { return "/v1/projects/" + string(n.project.ID) + below }
