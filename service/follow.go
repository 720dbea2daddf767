package service

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// How a node follows the stale notes of others.
const (
	followEvery    = 250 * time.Millisecond // between looks, if nothing wakes it
	reconnectEvery = time.Second            // while the feed is unavailable
)

// NodeReports is how often a node reports to the list of nodes.
const NodeReports = 5 * time.Second

// Sync is how well this node knows what is stale.
type Sync int32

// From best to worst. Without Run a node does not follow stale notes and asks the
// database about every caller.
const (
	NotFollowing Sync = iota
	InSync            // every change is seen within a second
	Degraded          // the database is out of reach; known callers are served for the outage grace
	Lost              // out of reach for longer than that; no one is served
)

func (s Sync) String() string {
	return [...]string{"not following", "in sync", "degraded", "lost"}[s]
}

// follow follows the stale notes of others until ctx ends. The node stays in the
// list until counted is closed: what it has counted is written then.
func (a *App) follow(ctx context.Context, counted <-chan struct{}) {
	var others peers
	for ctx.Err() == nil {
		if err := a.followOnce(ctx, counted, &others); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "the stale notes of other nodes cannot be followed yet", "error", err)
		}
		if ctx.Err() != nil {
			break
		}
		a.assess(errors.New("the feed of stale notes is unavailable"))
		select {
		case <-time.After(reconnectEvery):
		case <-ctx.Done():
		}
	}
	a.stopFollowing()
}

// stopFollowing has this node answer nothing from memory, since it hears of no
// stale notes from here on.
func (a *App) stopFollowing() {
	a.near.sync.Store(int32(NotFollowing))
	a.watch.Lose()
	a.store.SetDown(false)
}

// staleOf returns what the notes call stale.
func staleOf(notes []domain.Note) []domain.Stale {
	stale := make([]domain.Stale, len(notes))
	for i, n := range notes {
		stale[i] = n.Stale
	}
	return stale
}

// followOnce opens the feed and follows it until ctx ends. Only opening can
// fail: after that, a database that does not answer is a state of the node.
func (a *App) followOnce(ctx context.Context, counted <-chan struct{}, others *peers) error {
	began := time.Now()
	feed, err := a.store.Feed(ctx)
	if err != nil {
		return err
	}
	defer feed.Close() //nolint:errcheck // nothing was written
	// Copies from before cannot be trusted: this node has missed the notes since then.
	a.forget([]domain.Stale{{Kind: domain.StaleEverything}})
	a.watch.Restart(feed.Position(), began)
	node := domain.Node{ID: a.usage.node, Version: domain.Version, StartedAt: time.Now()}
	host, _ := os.Hostname() // an empty name is a name, too
	node.Name = strings.Trim(host+" "+a.address, " ")
	a.report(ctx, feed, &node, others) // before it serves, so that the others leave it a share of every rate
	a.assess(nil)

	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		if a.Sync() == InSync && (time.Since(node.SeenAt) > NodeReports || !a.usage.meter.ShareKnown()) {
			a.report(ctx, feed, &node, others)
		}
		select {
		case <-feed.Wake():
		case <-ticker.C:
		case <-ctx.Done():
			a.stopFollowing()
			<-counted
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconnectEvery)
			defer cancel()
			_ = feed.RemoveNode(leave, node.ID) // otherwise it is removed later
			return nil
		}
		started := time.Now()
		notes, err := feed.Poll(ctx)
		if ctx.Err() != nil {
			continue // the poll failed because ctx has ended
		}
		if err == nil {
			if a.SyncLag() > repository.StaleKept/2 {
				notes = append(notes, domain.Note{Stale: domain.Stale{Kind: domain.StaleEverything}})
			}
			a.forget(staleOf(notes))
			a.watch.Advance(feed.Position(), notes, started)
			a.setLimitClock(feed.Clock())
			if slices.ContainsFunc(notes, func(n domain.Note) bool { return n.Kind == domain.StaleNodes }) {
				a.report(ctx, feed, &node, others)
			}
			a.near.last.Store(started.UnixMicro())
		} else if a.SyncLag() > unheard {
			a.watch.Lose()
		}
		a.assess(err)
	}
}

// report keeps the list of nodes: it adds this one and reads the others.
func (a *App) report(ctx context.Context, feed *repository.Feed, node *domain.Node, others *peers) {
	node.SeenAt = time.Now()
	node.Lag, node.FlushedAt = a.SyncLag(), a.usage.complete()
	err := feed.ReportNode(ctx, *node)
	if err == nil || a.usage.meter.ShareKnown() { // before the others hear of this node, no share is its own
		err = errors.Join(err, a.countNodes(ctx, others))
	}
	if err = errors.Join(err, a.lookForOlderNodes(ctx)); err != nil {
		a.log.DebugContext(ctx, "this node could not keep the list of nodes", "error", err)
	}
}

// assess sets the state of the node after an attempt to read stale notes.
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
		// The next attempt may take longer than the remaining grace.
		a.near.graceEnd = time.AfterFunc(a.near.grace-a.SyncLag(), func() { a.enter(Degraded, Lost, err) })
	}
	a.store.SetDown(after != InSync)
	a.enter(before, after, err)
}

// enter changes the state, unless it is no longer before.
func (a *App) enter(before, after Sync, err error) {
	if a.near.sync.CompareAndSwap(int32(before), int32(after)) && before != after && before != NotFollowing {
		a.log.Warn("database sync state changed", "from", before.String(), "to", after.String(), "error", err)
	}
}
