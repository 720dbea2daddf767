package console_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/console"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
	"github.com/latchkey-dev/latchkey/service/site"
)

const password = servicetest.Password

// server is a Latchkey with API and console, as serve runs it.
type server struct {
	*httptest.Server
	*servicetest.World
}

// newServer starts a server whose clock begins now, since browsers end cookies by
// the clock of the machine.
func newServer(t *testing.T, options ...func(*service.Options)) *server {
	t.Helper()
	dsn := storetest.SQLite(t)
	s := &server{httptest.NewUnstartedServer(nil), servicetest.Prepare(t, storetest.New(t, dsn), dsn)}
	s.Pass(time.Since(s.Now()).Truncate(time.Second))
	url := "http://" + s.Listener.Addr().String()
	o := service.Options{Issuer: url}
	for _, option := range options {
		option(&o)
	}
	s.App = s.Another(o)
	calls, err := api.New(s.App, api.Config{PublicURL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := console.Handler(s.App, console.Config{PublicURL: url, Version: "test",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = console.Mount(site.New(url), pages, calls)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// person is an account with its session.
type person struct {
	server *server
	cookie string
	caller domain.Principal
}

// signUp makes an account.
func (s *server) signUp(t *testing.T, email string) person {
	t.Helper()
	in, caller := s.Person(email)
	return person{s, in.Cookie, caller}
}

// project makes an organization of the person's with one project.
func (p person) project(t *testing.T, organization, name string) (domain.MemberOf, domain.Project, *service.Project) {
	t.Helper()
	o := p.server.NewOrganization(p.caller, organization)
	handle := p.server.NewProject(o, name)
	org, err := o.Get()
	if err != nil {
		t.Fatal(err)
	}
	project, err := handle.Get()
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
