// Package service holds Latchkey's use cases. Each authorizes its caller, acts,
// and writes the audit trail in one transaction. Effects outside the database
// happen after the commit.
//
// Tenant data is reached through authorized handles only: App.Project and
// App.Organization return not_found unless the caller belongs there, and every
// method of a handle checks the action that it performs. A handle is made for
// one request and is not kept.
//
// All errors that the caller can act on are *domain.Error.
package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/journal"
	"github.com/latchkey-dev/latchkey/service/outgoing"
	"github.com/latchkey-dev/latchkey/service/watch"
)

// SignupPolicy says who may make an account.
type SignupPolicy string

// The sign-up policies.
const (
	SignupOpen   SignupPolicy = "open"   // anyone
	SignupInvite SignupPolicy = "invite" // people who hold an invitation to an organization
	SignupClosed SignupPolicy = "closed" // no one; the command line makes accounts
)

// Options are the settings and parts of an App.
type Options struct {
	Store     *repository.Store
	MasterKey [32]byte         // see ParseMasterKey
	Clock     func() time.Time // nil: time.Now
	Issuer    string           // iss and aud of access tokens, the same on all nodes: the public URL, or else see KeepIssuer
	PublicURL string           // where people find the instance, for links in email; empty: Issuer
	Address   string           // where this node serves, for the list of nodes; empty: the list has only its host name
	KeyPrefix string           // what tokens start with in projects that chose no prefix; empty: lk
	Signup    SignupPolicy     // empty: open
	Log       *slog.Logger     // nil: slog.Default
	Random    io.Reader        // what tokens are drawn from; nil: crypto/rand

	// Mailer delivers email. With a Mailer, people must verify their address before
	// they sign in or accept an invitation. nil: email goes only to Terminal.
	Mailer Mailer
	// Terminal shows the email that is not delivered to the person at the terminal.
	// Email holds tokens, so it must be a terminal and nothing that is stored; nil:
	// there is none.
	Terminal io.Writer

	// OutageGrace is how long known callers are served while the database is out of
	// reach, counted from the last moment at which this node knew of every change;
	// nil: DefaultOutageGrace.
	OutageGrace *time.Duration
	// UsageDays is for how many days usage is kept; 0:
	// DefaultUsageDays.
	UsageDays int
	// CacheBytes roughly bounds the memory for keys, and as much again that for the states
	// of their limits; 0: DefaultCacheBytes.
	CacheBytes int
	// Journal keeps what this node spends of leases; nil: a process that is killed loses
	// what it had. The App recovers what the process before it has left.
	Journal *journal.File
	// SyncWaiters is how many calls of SyncKeys may wait for changes at the same time; 0:
	// DefaultSyncWaiters.
	SyncWaiters int
	// Webhooks says what may be reached by webhooks beside the internet.
	Webhooks outgoing.Options
}

// App is Latchkey without its interfaces: API, console and command line all
// call it.
type App struct {
	store      *repository.Store
	clock      func() time.Time
	givenClock bool
	began      time.Time // by the clock, with its monotonic reading
	keyPrefix  string
	address    string
	signup     SignupPolicy
	log        *slog.Logger
	draining   atomic.Bool
	random     io.Reader

	keyring    *keyring
	signing    signing
	issuing    projectKeys
	identities identities
	passwords  passwordHasher
	boundSince atomic.Int64 // in microseconds; 0: not yet. See bindsToUsers
	foreign    *foreign
	usage      *usage
	usageDays  int
	scarce     scarce
	throttle   *throttle
	refusals   refusals
	deleted    deletedTokens
	publicURL  string
	mailing    *mailing
	near       *nearby
	leases     *leases
	journal    *journal.File
	watch      *watch.Watch
	waiters    waiters
	webhooks   *webhooks

	calls, questions, forwards verified
	leaks                      leakCounts
}

// New returns an App over a migrated store. It refuses a master key that is not
// the one the database was first used with, and makes the first key that signs
// access tokens.
func New(ctx context.Context, o Options) (*App, error) {
	a := &App{
		store:     o.Store,
		clock:     o.Clock,
		keyPrefix: o.KeyPrefix,
		signup:    o.Signup,
		log:       o.Log,
		random:    o.Random,
		signing:   signing{issuer: o.Issuer},
		scarce:    newScarce(),
		foreign:   newForeign(),
		throttle:  newThrottle(),
		leases:    newLeases(),
		journal:   o.Journal,
		watch:     watch.New(),
		waiters:   newWaiters(cmp.Or(o.SyncWaiters, DefaultSyncWaiters)),
		webhooks:  newWebhooks(o.Webhooks),
		publicURL: cmp.Or(o.PublicURL, o.Issuer),
	}
	a.address = o.Address
	if a.givenClock = a.clock != nil; !a.givenClock {
		a.clock = time.Now
	}
	a.began = a.clock()
	a.usage, a.usageDays = newUsage(a.now()), cmp.Or(o.UsageDays, DefaultUsageDays)
	a.setLimitClock(time.Time{})
	a.near = newNearby(o, a.usage.meter)
	if a.keyPrefix == "" {
		a.keyPrefix = domain.DefaultKeyPrefix
	}
	if a.signup == "" {
		a.signup = SignupOpen
	}
	if a.random == nil {
		a.random = rand.Reader
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.mailing = newMailing(o, a.log)
	var err error
	if a.keyring, err = newKeyring(o.MasterKey); err != nil {
		return nil, err
	}
	if err := a.checkMasterKey(ctx); err != nil {
		return nil, err
	}
	a.passwords = newPasswordHasher()
	if err := a.readBoundSince(ctx); err != nil {
		return nil, fmt.Errorf("read since when what is stored is bound to users: %w", err)
	}
	if err := a.loadSigningKeys(ctx); err != nil {
		return nil, fmt.Errorf("load the keys that sign access tokens: %w", err)
	}
	a.store.OnStale(a.forget)
	if err := a.loadImports(ctx); err != nil {
		return nil, fmt.Errorf("load what imported keys are found by: %w", err)
	}
	if err := a.recoverJournal(ctx); err != nil {
		return nil, fmt.Errorf("recover what the journal has: %w", err)
	}
	return a, nil
}

// Ready reports whether requests can be served: the database answers, and the
// process is not about to exit.
func (a *App) Ready(ctx context.Context) error {
	if a.draining.Load() {
		return domain.Unavailable(errors.New("the process is ending"))
	}
	switch a.Sync() {
	case NotFollowing:
		return a.store.Ping(ctx)
	case Lost:
		return domain.Unavailable(errors.New("the database has been out of reach for longer than the outage grace"))
	}
	return nil
}

// Drain makes Ready fail from now on, so that load balancers send new requests
// elsewhere while this node finishes the requests in flight, and answers those that
// wait for changes.
func (a *App) Drain() {
	a.draining.Store(true)
	a.watch.End()
}

// Now returns the current time, which decides when keys expire and sessions
// end.
func (a *App) Now() time.Time { return a.now() }

// now returns the current time in the precision that the database stores.
func (a *App) now() time.Time { return a.clock().UTC().Truncate(time.Microsecond) }
