// Package servicetest starts instances for tests: an App on a migrated store, with
// a clock that only the test moves, a log that the test reads, and people who have
// signed in.
package servicetest

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// Password is the password of all people in the tests.
const Password = "seven violet lamps at the harbour"

// MasterKey is the master key of all nodes.
var MasterKey = [32]byte{1, 2, 3}

// World is a node and its database.
type World struct {
	*service.App

	Store  *repository.Store
	DSN    string // of the database, for another store on it
	Logged Log

	t   testing.TB
	mu  sync.Mutex
	now time.Time
}

// New returns a node that follows the changes of others until the test ends, as a
// server does, on the empty database at dsn.
func New(t testing.TB, dsn string, o service.Options) *World {
	t.Helper()
	w := Prepare(t, storetest.New(t, dsn), dsn)
	w.App = w.Another(o)
	Follow(t, w.App)
	return w
}

// Prepare returns a world without a node. The test makes one with Another, after it
// has prepared the database; until Follow runs for it, it answers from no memory.
func Prepare(t testing.TB, store *repository.Store, dsn string) *World {
	return &World{Store: store, DSN: dsn, t: t, now: time.Date(2026, 3, 2, 9, 30, 0, 535898000, time.UTC)}
}

// Another returns another App with the world's clock, log and master key. Where o has
// no store, it shares the world's.
func (w *World) Another(o service.Options) *service.App {
	w.t.Helper()
	if o.Store == nil {
		o.Store = w.Store
	}
	if o.Issuer == "" {
		o.Issuer = "http://127.0.0.1:8080"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewJSONHandler(&w.Logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	o.MasterKey, o.Clock = MasterKey, w.Now
	app, err := service.New(w.t.Context(), o)
	w.check(err)
	return app
}

// Follow has a node follow the changes of others, and so answer from memory, until
// the test ends or cut is called.
func Follow(t testing.TB, app *service.App) (cut func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { app.Run(ctx) })
	cut = func() {
		stop()
		running.Wait()
	}
	t.Cleanup(cut)
	Eventually(t, "the node is in sync", func() bool { return app.Sync() == service.InSync })
	return cut
}

// Pass moves the clock of all nodes of the world.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Now returns the time on the clock of all nodes of the world.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Person makes an account and returns its session, and the person as a caller.
func (w *World) Person(email string) (service.SignedIn, domain.Principal) {
	w.t.Helper()
	name, _, _ := strings.Cut(email, "@")
	in, err := w.SignUp(w.t.Context(), domain.Origin{}, domain.SignUp{Email: email, Password: Password, Name: name})
	w.check(err)
	return in, domain.NewPrincipal(nil, &domain.CallingUser{User: in.User, Session: in.Session}, domain.Origin{})
}

// NewOrganization makes an organization and returns its owner's handle.
func (w *World) NewOrganization(owner domain.Principal, name string) *service.Organization {
	w.t.Helper()
	made, err := w.CreateOrganization(w.t.Context(), owner, domain.OrganizationSpec{Name: name})
	w.check(err)
	o, err := w.Organization(w.t.Context(), owner, made.ID)
	w.check(err)
	return o
}

// NewProject makes a project in o and returns the handle of o's caller.
func (w *World) NewProject(o *service.Organization, name string) *service.Project {
	w.t.Helper()
	made, err := o.CreateProject(w.t.Context(), domain.ProjectSpec{Name: name})
	w.check(err)
	p, err := w.Project(w.t.Context(), o.Caller(), made.ID)
	w.check(err)
	return p
}

func (w *World) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Log is what the nodes of a world have logged.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
