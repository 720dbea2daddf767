package console_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/console"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/site"
)

// password is good enough for every account of the tests.
const password = "four quiet otters paddle"

// server is a Latchkey with API and console, as serve runs it, whose clock is
// moved by hand.
type server struct {
	*httptest.Server

	app   *service.App
	store *repository.Store
	ahead atomic.Int64 // how far its clock is ahead of the test's
}

func newServer(t *testing.T, options ...func(*service.Options)) *server {
	t.Helper()
	s := &server{store: storetest.New(t, storetest.SQLite(t))}
	s.Server = httptest.NewUnstartedServer(nil)
	url := "http://" + s.Listener.Addr().String()
	var err error
	o := service.Options{Store: s.store, MasterKey: [32]byte{1}, Issuer: url, Clock: s.now, Log: slog.New(slog.DiscardHandler)}
	for _, option := range options {
		option(&o)
	}
	s.app, err = service.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := api.New(s.app, api.Config{PublicURL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := console.Handler(s.app, console.Config{PublicURL: url, Version: "test",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = console.Mount(site.New(url), pages, calls)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *server) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// pass lets time go by.
func (s *server) pass(d time.Duration) { s.ahead.Add(int64(d)) }

// person is an account with its session.
type person struct {
	server *server
	cookie string
	caller domain.Principal
}

// signUp makes an account.
func (s *server) signUp(t *testing.T, email string) person {
	t.Helper()
	in, err := s.app.SignUp(t.Context(), domain.Origin{},
		domain.SignUp{Email: email, Password: password, Name: strings.Split(email, "@")[0]})
	if err != nil {
		t.Fatal(err)
	}
	return person{s, in.Cookie, domain.NewPrincipal(nil, &domain.CallingUser{User: in.User, Session: in.Session}, domain.Origin{})}
}

// project makes an organization of the person's with one project.
func (p person) project(t *testing.T, organization, name string) (domain.MemberOf, domain.Project, *service.Project) {
	t.Helper()
	ctx := t.Context()
	org, err := p.server.app.CreateOrganization(ctx, p.caller, domain.OrganizationSpec{Name: organization})
	if err != nil {
		t.Fatal(err)
	}
	o, err := p.server.app.Organization(ctx, p.caller, org.ID)
	if err != nil {
		t.Fatal(err)
	}
	project, err := o.CreateProject(ctx, domain.ProjectSpec{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	handle, err := p.server.app.Project(ctx, p.caller, project.ID)
	if err != nil {
		t.Fatal(err)
	}
	return org, project, handle
}

// call asks the API with a key, as curl does, and returns the status.
func (s *server) call(ctx context.Context, t *testing.T, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/project", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Api-Key "+token)
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
