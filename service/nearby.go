package service

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/cache"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// maxForeignToken is how long a token that was made elsewhere may be, in bytes.
const maxForeignToken = 512

// nearby has what a node keeps of the database in memory, and how current it is.
type nearby struct {
	keys     *cache.Keys
	people   *cache.People
	issuers  *cache.Issuers
	imported *cache.Imported
	untagged *cache.Untagged

	outdated  chan struct{} // the index of untagged tokens has to be read
	olderNode atomic.Int64  // when a node was last listed that makes untagged tokens, in Unix microseconds

	loadingImports sync.Mutex
	lastImport     repository.Import // under loadingImports

	sync  atomic.Int32 // a Sync: asked at every request, so kept ready
	last  atomic.Int64 // when all stale notes were last heard, in Unix microseconds
	grace time.Duration

	graceEnd *time.Timer // makes a degraded node a lost one; for assess
}

// DefaultOutageGrace is how long callers who are known are served without the
// database, unless Options say otherwise.
const DefaultOutageGrace = time.Minute

// DefaultCacheBytes holds about a million keys.
const DefaultCacheBytes = 256 << 20

func newNearby(o Options, m *meter.Meter) *nearby {
	turns := cache.Turns()
	n := &nearby{
		grace:    DefaultOutageGrace,
		people:   cache.NewPeople(turns),
		issuers:  cache.NewIssuers(turns),
		imported: cache.NewImported(),
		untagged: cache.NewUntagged(),
		outdated: make(chan struct{}, 1),
	}
	if o.OutageGrace != nil {
		n.grace = *o.OutageGrace
	}
	size := o.CacheBytes
	if size == 0 {
		size = DefaultCacheBytes
	}
	n.keys = cache.NewKeys(size, turns, m)
	m.Bound(size)
	return n
}

// Sync returns how well this node knows what the others have changed.
func (a *App) Sync() Sync { return Sync(a.near.sync.Load()) }

// SyncLag returns how long ago this node last knew of every change; 0 when it
// does not follow.
func (a *App) SyncLag() time.Duration {
	if a.Sync() == NotFollowing {
		return 0
	}
	return time.Since(time.UnixMicro(a.near.last.Load()))
}

// unheard is how long a node vouches for answers without having heard of changes.
const unheard = 5 * time.Second

// hearsOfChanges reports whether this node knows of every change of the last seconds,
// so that it can tell callers how long they may keep an answer.
func (a *App) hearsOfChanges() bool { return a.Sync() == InSync && a.SyncLag() < unheard }

// CacheStats counts what the cache of keys did and holds.
func (a *App) CacheStats() cache.Stats { return a.near.keys.Stats() }

// Nodes returns the servers on this database.
func (a *App) Nodes(ctx context.Context) ([]domain.Node, error) { return a.store.ListNodes(ctx) }

// mayUseCopies reports whether what is kept may be answered from, or unavailable
// when nothing may be answered at all.
func (a *App) mayUseCopies() (bool, error) {
	switch a.Sync() {
	case NotFollowing:
		return false, nil
	case Lost:
		return false, domain.Unavailable(errors.New("the database has been out of reach for longer than the outage grace"))
	}
	return true, nil
}

// forget drops every copy that the notes call stale. It is called with the notes
// of each transaction of this process, before its caller hears that it is done,
// and with those of the feed.
func (a *App) forget(notes []domain.Stale) {
	reload := false
	for _, n := range notes {
		switch n.Kind {
		case domain.StaleSigningKeys:
			reload = true
		case domain.StaleEverything:
			reload = true
			a.near.keys.ForgetAll()
			a.near.issuers.ForgetAll()
			a.near.outdateUntagged()
			a.usage.meter.DoubtAll()
		case domain.StaleUntagged:
			a.near.untagged.Add(domain.TokenID(n.ID))
		case domain.StaleLimit:
			a.usage.meter.ResetLimit(domain.ParseReset(n.ID), a.instant())
		default:
			a.near.keys.Forget(n)
			a.near.people.Forget(n)
			a.near.issuers.Forget(n)
		}
	}
	if reload {
		a.signing.outdate()
		a.near.people.ForgetAll() // also tokens whose signing key is not believed any more
	}
}

// errNeverMade is not_found for every token that this instance never made. There
// is one for all, because there may be many such tokens.
var errNeverMade = domain.NotFound()

// keyOfToken is like keyOf, but takes the token itself: one that this instance
// never made costs a code over it, and no query.
func (a *App) keyOfToken(ctx context.Context, token domain.Token, asks asker) (domain.ProvenKey, error) {
	id := token.ID()
	key, known, err := a.keyNear(id)
	if known || err != nil {
		return key, err
	}
	if a.Sync() == InSync && !token.TaggedBy(a.keyring.tag) && !a.near.mayBeUntagged(id) {
		return domain.ProvenKey{}, errNeverMade
	}
	key, err = a.readKey(ctx, id, asks)
	if domain.CodeOf(err) == domain.CodeNotFound {
		a.near.untagged.Remove(id)
	}
	return key, err
}

// olderNodesLinger is for how long tokens without a tag are looked up after the
// last node of 0.1 has left the list: each newer node reads the list in that
// time, and then makes only tagged tokens.
const olderNodesLinger = 3 * NodeReports

// mayBeUntagged reports whether a token without a tag may have been made here.
func (n *nearby) mayBeUntagged(id domain.TokenID) bool {
	if n.untagged.MayHave(id) {
		return true
	}
	listed := n.olderNode.Load()
	return listed != 0 && time.Since(time.UnixMicro(listed)) < olderNodesLinger
}

// keyOf returns the key that a token's id belongs to, from memory or from the
// database. Nothing is proved by that.
func (a *App) keyOf(ctx context.Context, id domain.TokenID, asks asker) (domain.ProvenKey, error) {
	key, known, err := a.keyNear(id)
	if known || err != nil {
		return key, err
	}
	return a.readKey(ctx, id, asks)
}

// importedKeys yields the keys that a token may belong to if it was imported,
// those imported first in front, and of the project that asks alone. Nothing is
// proved by that.
func (a *App) importedKeys(ctx context.Context, text string, asks asker) iter.Seq2[domain.ProvenKey, error] {
	return func(yield func(domain.ProvenKey, error) bool) {
		if len(text) > maxForeignToken {
			return
		}
		locators := a.keyring.locators(text)
		for _, id := range a.near.imported.Find(locators) {
			key, err := a.keyOf(ctx, id, asks)
			switch {
			case domain.CodeOf(err) == domain.CodeNotFound:
				a.near.imported.Remove(locators, id)
				continue
			case err == nil && asks.project != "" && key.Tenant().Project.ID != asks.project:
				continue // what another project imported is nothing to the one that asks
			}
			if !yield(key, err) {
				return
			}
		}
	}
}

// keyNear is the half of keyOf that asks no database.
func (a *App) keyNear(id domain.TokenID) (key domain.ProvenKey, known bool, err error) {
	copies, err := a.mayUseCopies()
	if copies {
		key, known = a.near.keys.Get(id)
	}
	return key, known, err
}

// readKey is the other half.
func (a *App) readKey(ctx context.Context, id domain.TokenID, asks asker) (domain.ProvenKey, error) {
	if a.Sync() != NotFollowing {
		return a.near.keys.Load(ctx, id, asks.now,
			cache.Reader{Key: a.store.KeyByToken, CallingKey: a.store.CallingKey, Plans: a.store.AllPlans, Payer: asks.payer()})
	}
	secret, key, err := a.store.CallingKey(ctx, id)
	if err != nil {
		return domain.ProvenKey{}, err
	}
	return a.provenKey(ctx, secret, key)
}

// provenKey returns a key with a tenant of its own, which knows the plan of the key.
func (a *App) provenKey(ctx context.Context, s domain.Secret, k domain.CallingKey) (domain.ProvenKey, error) {
	var plans []domain.Plan
	if k.Key.Plan.ID != "" {
		switch plan, err := a.store.FindPlan(ctx, k.Project.Scope(), k.Key.Plan.ID); {
		case err == nil:
			plans = append(plans, plan)
		case domain.CodeOf(err) != domain.CodeNotFound: // otherwise the key has got another plan, and this one was deleted
			return domain.ProvenKey{}, err
		}
	}
	tenant := domain.NewTenant(k.Project, k.Organization, plans)
	return domain.NewProvenKey(string(domain.PackKey(nil, s, k.Key)), tenant), nil
}

// session returns a session and its user, from memory or from the database.
func (a *App) session(ctx context.Context, id domain.SessionID) (*domain.CallingUser, error) {
	copies, err := a.mayUseCopies()
	if err != nil {
		return nil, err
	}
	if !copies {
		caller, err := a.store.CallingUser(ctx, id)
		return &caller, err
	}
	return a.near.people.Session(ctx, id, func(ctx context.Context) (domain.CallingUser, error) { return a.store.CallingUser(ctx, id) })
}

// projectMember returns what a user is at a project, from memory or from the
// database.
func (a *App) projectMember(ctx context.Context, user domain.UserID, at domain.ProjectID) (*cache.Member, error) {
	copies, err := a.mayUseCopies()
	if err != nil {
		return nil, err
	}
	if copies {
		if member, ok := a.near.people.AtProject(user, at); ok {
			return member, nil
		}
	}
	read := func(ctx context.Context) (cache.Member, error) {
		project, in, err := a.store.ProjectAsMember(ctx, user, at)
		return cache.Member{Project: project, Organization: in.Organization, Role: in.Role}, err
	}
	if copies {
		return a.near.people.ProjectMember(ctx, user, at, read)
	}
	member, err := read(ctx)
	return &member, err
}

// organizationMember returns what a user is at an organization, from memory or
// from the database.
func (a *App) organizationMember(ctx context.Context, user domain.UserID, at domain.OrganizationID) (cache.Member, error) {
	read := func(ctx context.Context) (cache.Member, error) {
		m, err := a.store.OrganizationAsMember(ctx, user, at)
		return cache.Member{Organization: m.Organization, Role: m.Role}, err
	}
	copies, err := a.mayUseCopies()
	if err != nil {
		return cache.Member{}, err
	}
	if !copies {
		return read(ctx)
	}
	member, err := a.near.people.OrganizationMember(ctx, user, at, read)
	if err != nil {
		return cache.Member{}, err
	}
	return *member, nil
}
