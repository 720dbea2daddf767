package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// password is the password of every user in these tests.
const password = "seven violet lamps at the harbour"

// world is an instance with a database of its own, called in process. Every
// answer is held to openapi.yaml, and no secret that it hands out may turn up in
// the log or in an error.
type world struct {
	app   *service.App
	store *repository.Store
	echo  *echo.Echo
	log   *logged
	clock *clock

	mu      sync.Mutex
	secrets []string
}

// newWorld starts an instance; change may alter how the API is served.
func newWorld(t *testing.T, change ...func(*api.Config)) *world {
	t.Helper()
	dsn := storetest.SQLite(t)
	if err := os.WriteFile(strings.TrimPrefix(dsn, "sqlite:"), migrated(), 0o600); err != nil {
		t.Fatal(err)
	}
	return startWorld(t, dsn, nil, change...)
}

// migrated is an empty database with all tables. To copy it takes a fraction of
// the time that migrating does, which a hundred worlds would spend each.
var migrated = sync.OnceValue(func() []byte {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "latchkey")
	must(err)
	defer os.RemoveAll(dir)
	store, err := repository.Open(context.Background(), "sqlite:"+dir+"/latchkey.db")
	must(err)
	must(store.Migrate(context.Background()))
	must(store.Close())
	image, err := os.ReadFile(dir + "/latchkey.db")
	must(err)
	return image
})

// startWorld starts an instance on a database; mailer may be nil.
func startWorld(t *testing.T, dsn string, mailer service.Mailer, change ...func(*api.Config)) *world {
	t.Helper()
	return startWorldOn(t, storetest.New(t, dsn), mailer, change...)
}

// startWorldOn starts an instance on a store.
func startWorldOn(t *testing.T, store *repository.Store, mailer service.Mailer, change ...func(*api.Config)) *world {
	t.Helper()
	w := idleWorldOn(t, store, mailer, change...)
	w.follow(t)
	return w
}

// idleWorldOn starts an instance that does nothing but answer, and from no
// memory.
func idleWorldOn(t *testing.T, store *repository.Store, mailer service.Mailer, change ...func(*api.Config)) *world {
	t.Helper()
	ctx := t.Context()
	var err error
	w := &world{store: store, log: &logged{}, clock: &clock{now: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)}}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.app, err = service.New(ctx, service.Options{
		Store: store, MasterKey: [32]byte{1, 2, 3}, Issuer: "http://127.0.0.1:8080", Clock: w.clock.time, Log: logger,
		Mailer: mailer,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := api.Config{Log: logger}
	for _, f := range change {
		f(&config)
	}
	if w.echo, err = api.New(w.app, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.mustNotShow(t, "the log", w.log.String()) })
	return w
}

// follow has the instance answer from memory, as a server does.
func (w *world) follow(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.app.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	for w.app.Sync() != service.InSync {
		runtime.Gosched()
	}
}

// clock is the instance's, which only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logged is what the instance has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
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

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request. A body that is not a string is sent as JSON; nil is none.
func (w *world) call(t *testing.T, method, path string, as credential, body any) answer {
	t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
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
		r.Header.Set("Content-Type", "application/json")
	}
	as(r.Header)
	return w.send(t, r)
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

func (w *world) project(t *testing.T, by person, in domain.OrganizationID, name string) api.ProjectBody {
	t.Helper()
	var p api.ProjectBody
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
	err := w.store.AddMember(t.Context(), domain.Organization{ID: of}.Scope(), domain.Membership{
		UserID: p.User.ID, Role: role, JoinedAt: w.clock.time(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tenant is an organization with one project, and its owner.
type tenant struct {
	owner        person
	organization api.Organization
	project      api.ProjectBody
}

func (w *world) tenant(t *testing.T, name string) tenant {
	t.Helper()
	owner := w.signUp(t, name)
	o := w.organization(t, owner, name)
	return tenant{owner, o, w.project(t, owner, o.ID, name)}
}

func (n tenant) path(below string) string { return "/v1/projects/" + string(n.project.ID) + below }
