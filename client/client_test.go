package client

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

const (
	email    = "ada@example.com"
	password = servicetest.Password
)

// instance is a Latchkey on a database of its own, with one user, Ada, who owns
// one project.
type instance struct {
	*wire
	*servicetest.World

	url     string
	ada     *Client
	project ProjectID
}

// wire carries requests to the instance and remembers where they went. It loses
// the next answers to the paths in lose.
type wire struct {
	mu   sync.Mutex
	sent []string
	lose []string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, r.Method+" "+r.URL.Path)
	if err == nil && len(w.lose) > 0 && strings.HasSuffix(r.URL.Path, w.lose[0]) {
		w.lose = w.lose[1:]
		res.Body.Close()
		return nil, errors.New("the connection broke")
	}
	return res, err
}

func (w *wire) count(request string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.sent {
		if s == request {
			n++
		}
	}
	return n
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	w := servicetest.New(t, storetest.SQLite(t), service.Options{})
	handler, err := api.New(w.App, api.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)

	i := &instance{wire: &wire{}, World: w, url: server.URL}
	w.Person(email)
	i.ada = i.as(t, Password(email, password))
	organization, err := i.ada.CreateOrganizationWithResponse(t.Context(), nil, CreateOrganizationRequest{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := i.ada.CreateProjectWithResponse(t.Context(), organization.JSON201.ID, nil, CreateProjectRequest{Name: "Payments"})
	if err != nil {
		t.Fatal(err)
	}
	i.project = project.JSON201.ID
	return i
}

func (i *instance) as(t *testing.T, credentials Credentials) *Client {
	t.Helper()
	c, err := New(i.url, credentials, HTTPClient(&http.Client{Transport: i.wire}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (i *instance) createKey(t *testing.T, name string) *CreatedKey {
	t.Helper()
	i.Pass(time.Millisecond) // so that keys have an order
	answer, err := i.ada.CreateKeyWithResponse(t.Context(), i.project, nil, CreateKeyRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return answer.JSON201
}

// keys returns the names of the project's keys, read page by page.
func (i *instance) keys(t *testing.T, perPage int) []string {
	t.Helper()
	var names []string
	for key, err := range i.ada.Keys(t.Context(), i.project, ListKeysParams{Limit: &perPage}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, key.Name)
	}
	return names
}

// wantCode fails unless err is a refusal with the code.
func wantCode(t *testing.T, err error, code ErrorCode) *Error {
	t.Helper()
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Code != code {
		t.Fatalf("got %v, want a refusal with %s", err, code)
	}
	return refusal
}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	created := i.createKey(t, "backend")
	answer, err := i.as(t, APIKey(created.Token)).GetCurrentProjectWithResponse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := answer.JSON200.ID, i.project; got != want {
		t.Errorf("got the project %s, want %s", got, want)
	}
	_, err = i.as(t, APIKey(created.Token[:len(created.Token)-1]+"!")).GetCurrentProjectWithResponse(t.Context())
	refusal := wantCode(t, err, ErrorCodeInvalidAPIKey)
	if refusal.Status != http.StatusUnauthorized || refusal.RequestID == "" || !strings.Contains(err.Error(), refusal.RequestID) {
		t.Errorf("got %v, want 401 and the request's id", err)
	}
	_, err = i.ada.CreateKeyWithResponse(t.Context(), i.project, nil, CreateKeyRequest{})
	refusal = wantCode(t, err, ErrorCodeValidationFailed)
	if diff := cmp.Diff([]FieldProblem{{Pointer: "/name", Detail: "must be 1 to 100 characters"}}, refusal.Errors); diff != "" {
		t.Errorf("the fields (-want +got):\n%s", diff)
	}
}

// However many requests need a session, there is one log-in; a session that has
// ended is replaced, and the request that found out is answered.
func TestPassword(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := i.ada.GetMeWithResponse(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := i.count("POST /v1/auth/login"); got != 1 {
		t.Errorf("logged in %d times, want once", got)
	}
	if _, err := i.ada.LogOutWithResponse(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := i.ada.GetMeWithResponse(t.Context()); err != nil {
		t.Errorf("after the session has ended: %v", err)
	}
	if got := i.count("POST /v1/auth/login"); got != 2 {
		t.Errorf("logged in %d times, want twice", got)
	}
	_, err := i.as(t, Password(email, "wrong")).GetMeWithResponse(t.Context())
	_ = wantCode(t, err, ErrorCodeInvalidCredentials)
}

// A refresh token is used once, and the one to use next is handed over; when the
// session has ended there is no other way in.
func TestResume(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	session, err := i.LogIn(t.Context(), domain.Origin{}, email, password)
	if err != nil {
		t.Fatal(err)
	}
	token := session.RefreshToken
	save := func(next string) { token = next }
	c := i.as(t, Resume(token, save))
	for range 2 {
		if _, err := c.GetMeWithResponse(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := i.count("POST /v1/auth/refresh"); got != 1 || token == session.RefreshToken {
		t.Errorf("refreshed %d times, want once, with a new token", got)
	}
	c = i.as(t, Resume(token, save))
	if _, err := c.LogOutWithResponse(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetMeWithResponse(t.Context())
	_ = wantCode(t, err, ErrorCodeInvalidToken)
}

// A creation and a rotation whose answers are lost are asked for again and done
// once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	i.lose = []string{"/keys", "/rotate"}
	created := i.createKey(t, "once")
	rotated, err := i.ada.RotateKeyWithResponse(t.Context(), i.project, created.Key.ID, nil, RotateKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(i.lose), 0; got != want {
		t.Fatalf("%d answers are still to be lost", got)
	}
	if diff := cmp.Diff([]string{"once"}, i.keys(t, 10)); diff != "" {
		t.Errorf("the keys (-want +got):\n%s", diff)
	}
	for _, token := range []string{created.Token, rotated.JSON200.Token} {
		if _, err := i.as(t, APIKey(token)).GetCurrentProjectWithResponse(t.Context()); err != nil {
			t.Errorf("a token does not work: %v", err)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	want := []string{"e", "d", "c", "b", "a"}
	for n := range want {
		i.createKey(t, want[len(want)-1-n])
	}
	if diff := cmp.Diff(want, i.keys(t, 2)); diff != "" {
		t.Errorf("the keys (-want +got):\n%s", diff)
	}
	list := "GET /v1/projects/" + i.project + "/keys"
	if got := i.count(list); got != 3 {
		t.Errorf("asked for %d pages, want 3", got)
	}
	for _, err := range i.ada.Keys(t.Context(), i.project, ListKeysParams{Limit: new(2)}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if got := i.count(list); got != 4 {
		t.Errorf("asked for %d pages more, want 1", got-3)
	}
	for _, err := range i.ada.Keys(t.Context(), "prj_00000000000000000000000000", ListKeysParams{}) {
		_ = wantCode(t, err, ErrorCodeNotFound)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "keys.example.com", "ftp://keys.example.com", "https://", "https://a b"} {
		if _, err := New(address, APIKey("token")); err == nil {
			t.Errorf("New takes the address %q", address)
		}
	}
	if _, err := New("https://keys.example.com", nil); err == nil {
		t.Error("New takes no credentials")
	}
}
