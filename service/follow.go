package service

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/cache"
)

// How a node follows what others change.
const (
	followEvery    = 250 * time.Millisecond // between looks, if nothing wakes it
	reconnectEvery = time.Second            // while the feed cannot be had
)

// NodeReports is how often a node that can says that it is there.
const NodeReports = 5 * time.Second

// Sync is how well this node knows what the others have changed.
type Sync int32

// From best to worst. Without Run a node does not follow, and asks the database
// about every caller.
const (
	NotFollowing Sync = iota
	InSync            // every change is seen within a second
	Degraded          // the database is out of reach; callers who are known are served for the outage grace
	Lost              // for longer than that; nobody is served
)

func (s Sync) String() string {
	return [...]string{"not following", "in sync", "degraded", "lost"}[s]
}

// nearby is what a node keeps of the database, and how true that still is.
type nearby struct {
	keys   *cache.Keys
	people *cache.People
	sync   atomic.Int32 // a Sync: asked at every request, so kept ready
	last   atomic.Int64 // when all changes were last heard, in Unix microseconds
	grace  time.Duration

	graceEnd *time.Timer // makes a degraded node a lost one; for assess
}

// DefaultOutageGrace is how long callers who are known are served without the
// database, unless Options say otherwise.
const DefaultOutageGrace = time.Minute

// DefaultCacheBytes holds about a million keys.
const DefaultCacheBytes = 256 << 20

func newNearby(o Options) *nearby {
	turns := cache.Turns()
	n := &nearby{grace: DefaultOutageGrace, people: cache.NewPeople(turns)}
	if o.OutageGrace != nil {
		n.grace = *o.OutageGrace
	}
	size := o.CacheBytes
	if size == 0 {
		size = DefaultCacheBytes
	}
	n.keys = cache.NewKeys(size, turns)
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

// CacheStats counts what the cache of keys did and holds.
func (a *App) CacheStats() cache.Stats { return a.near.keys.Stats() }

// Nodes returns the servers on this database.
func (a *App) Nodes(ctx context.Context) ([]repository.Node, error) { return a.store.ListNodes(ctx) }

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

// forget drops every copy that the changes make untrue. It is called with what a
// transaction of this process has changed, before its caller hears that it is
// done, and with what the feed tells.
func (a *App) forget(changes []domain.Stale) {
	reload := false
	for _, c := range changes {
		switch c.Kind {
		case domain.StaleSigningKeys:
			reload = true
		case domain.StaleEverything:
			reload = a.Sync() != NotFollowing // else they have just been read
			a.near.keys.ForgetAll()
			a.near.people.ForgetAll()
		default:
			a.near.keys.Forget(c)
			a.near.people.Forget(c)
		}
	}
	if reload {
		a.signing.outdate()
		a.near.people.ForgetAll() // also tokens whose signing key is not believed any more
	}
}

// follow keeps up with what others change until ctx ends.
func (a *App) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := a.followOnce(ctx); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "the changes of other nodes cannot be followed yet", "error", err)
		}
		if ctx.Err() != nil {
			break
		}
		a.assess(errors.New("the feed of changes cannot be had"))
		select {
		case <-time.After(reconnectEvery):
		case <-ctx.Done():
		}
	}
	// From here on nobody listens, so nothing is answered from memory.
	a.near.sync.Store(int32(NotFollowing))
	a.store.SetDown(false)
}

// followOnce opens the feed and follows it until ctx ends. Only opening can
// fail: from then on a database that does not answer is a state to be in.
func (a *App) followOnce(ctx context.Context) error {
	feed, err := a.store.Feed(ctx)
	if err != nil {
		return err
	}
	defer feed.Close() //nolint:errcheck // nothing was written
	// What was kept before cannot be trusted: nobody has listened meanwhile.
	a.forget([]domain.Stale{{Kind: domain.StaleEverything}})
	a.assess(nil)

	node := repository.Node{ID: rand.Text(), StartedAt: time.Now()}
	node.Name, _ = os.Hostname() // an empty name is a name, too
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		if time.Since(node.SeenAt) > NodeReports && a.Sync() == InSync {
			node.SeenAt = time.Now()
			node.Lag = a.SyncLag()
			if err := feed.ReportNode(ctx, node); err != nil {
				a.log.DebugContext(ctx, "this node could not put itself on the list", "error", err)
			}
		}
		select {
		case <-feed.Wake():
		case <-ticker.C:
		case <-ctx.Done():
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconnectEvery)
			defer cancel()
			_ = feed.RemoveNode(leave, node.ID) // it would go by itself, later
			return nil
		}
		started := time.Now()
		changes, err := feed.Poll(ctx)
		if ctx.Err() != nil {
			continue // the poll failed because this is the end
		}
		if err == nil {
			if a.SyncLag() > repository.ChangesKept/2 {
				changes = append(changes, domain.Stale{Kind: domain.StaleEverything})
			}
			a.forget(changes)
			a.near.last.Store(started.UnixMicro())
		}
		a.assess(err)
	}
}

// assess sets what state the node is in after an attempt to hear of changes.
func (a *App) assess(err error) {
	before, after := a.Sync(), InSync
	switch {
	case err != nil && before == NotFollowing:
		return
	case err == nil && before == NotFollowing:
		a.near.last.Store(time.Now().UnixMicro())
	case err != nil && a.SyncLag() < a.near.grace:
		after = Degraded
	case err != nil:
		after = Lost
	}
	if a.near.graceEnd != nil {
		a.near.graceEnd.Stop()
	}
	if after == Degraded {
		// The next attempt may hang for longer than there is grace.
		a.near.graceEnd = time.AfterFunc(a.near.grace-a.SyncLag(), func() { a.enter(Degraded, Lost, err) })
	}
	a.store.SetDown(after != InSync)
	a.enter(before, after, err)
}

// enter changes the state, unless somebody else has meanwhile.
func (a *App) enter(before, after Sync, err error) {
	if a.near.sync.CompareAndSwap(int32(before), int32(after)) && before != after && before != NotFollowing {
		a.log.Warn("the state of this node towards its database has changed", "from", before.String(), "to", after.String(), "error", err)
	}
}
