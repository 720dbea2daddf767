package service

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// How leases of quotas and credits are visited.
const (
	visitEvery  = 100 * time.Millisecond // what wants a visit and keeps no request waiting
	lookEvery   = time.Second            // for what is idle, or not settled
	visitLimit  = 2 * time.Second        // for one transaction
	visitTries  = 5                      // of one request, which others may be faster than
	shareSoon   = 500 * time.Millisecond // for the share of a node that starts
	returnLimit = 5 * time.Second        // for returning everything at the end of Run

	sweepLeasesEvery = 10 * time.Minute
	leaseForgotten   = time.Hour          // after which a node that is not listed has lost its leases
	journalForgotten = 7 * 24 * time.Hour // the same where it may come back and say what it has spent
)

// How many requests may wait for visits, in all and of one project.
var visitBounds = fair.Bounds{Total: 2000, PerPayer: 500, Waiting: 1, WaitingPerPayer: 1}

// leases is what visits need.
type leases struct {
	turn chan struct{} // holds the one transaction that is under way
	room *fair.Gate

	visits                               [len(meter.VisitReasons)]atomic.Int64
	failed, granted, returned, forfeited atomic.Int64
	took                                 durations
}

func newLeases() *leases {
	return &leases{turn: make(chan struct{}, 1), room: fair.NewGate(visitBounds)}
}

// spendAfterVisit is spend for a request that only a visit can decide about. If there is
// none, it is not known whether the request is admitted.
func (a *App) spendAfterVisit(ctx context.Context, key domain.ProvenKey, cost domain.Cost, now int64) (d domain.Decision) {
	m := a.usage.meter
	leave, err := a.leases.room.Enter(ctx, fair.Payer(key.Tenant().Project.ID))
	if err != nil {
		return m.SpendAnyway(key, cost, now)
	}
	defer leave()
	a.awaitShare(ctx)
	for range visitTries {
		for _, w := range m.Await(key, cost, now) {
			if err := a.await(ctx, w); err != nil {
				return m.SpendAnyway(key, cost, now)
			}
		}
		now = a.instant()
		if d = m.Spend(key, cost, now); d.Code != domain.CodeUnavailable {
			return d
		}
	}
	return m.SpendAnyway(key, cost, now)
}

// awaitShare returns when this node knows its share of every rate, or soon: a node that has
// just started learns it within milliseconds.
func (a *App) awaitShare(ctx context.Context) {
	learned := a.usage.meter.ShareLearned()
	if learned == nil {
		return
	}
	soon := time.NewTimer(shareSoon)
	defer soon.Stop()
	select {
	case <-learned:
	case <-soon.C:
	case <-ctx.Done():
	}
}

// await returns when the visit that a request waits for has ended. One of those that
// wait makes the visits of all.
func (a *App) await(ctx context.Context, w *meter.Waiting) error {
	for {
		select {
		case <-w.Done:
			return w.Err
		default:
		}
		select {
		case <-w.Done:
			return w.Err
		case a.leases.turn <- struct{}{}:
			_, _ = a.visit(context.WithoutCancel(ctx), a.usage.meter.Visits(a.instant(), false)) // those who wait hear of it
			<-a.leases.turn
		case <-ctx.Done():
			return domain.Unavailable(ctx.Err())
		}
	}
}

// visit makes visits in one transaction, and returns how many. The caller holds the
// turn.
func (a *App) visit(ctx context.Context, v meter.Visits) (int, error) {
	if len(v.All) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	v.Node = a.usage.node
	began := time.Now()
	answers, err := a.store.Visit(ctx, v.Visits)
	a.usage.meter.Visited(v, answers, err)
	a.leases.took.note(time.Since(began))
	for reason, n := range v.Reasons {
		a.leases.visits[reason].Add(n)
	}
	if err != nil {
		a.leases.failed.Add(int64(len(v.All)))
		return len(v.All), err
	}
	for i, answer := range answers {
		a.leases.noteUnits(v.All[i], answer)
	}
	return len(v.All), nil
}

// keepLeases makes the visits that no request waits for, until ctx ends. Then this node
// returns what it has not spent.
func (a *App) keepLeases(ctx context.Context) {
	soon, look := time.NewTicker(visitEvery), time.NewTicker(lookEvery)
	defer soon.Stop()
	defer look.Stop()
	for {
		select {
		case <-look.C:
			a.usage.meter.LookAround(a.instant())
			continue
		case <-soon.C:
		case <-ctx.Done():
			a.returnLeases(context.WithoutCancel(ctx))
			return
		}
		if a.Sync() != InSync {
			continue // in an outage a lease lasts as long as it does
		}
		select {
		case a.leases.turn <- struct{}{}:
			if _, err := a.visit(ctx, a.usage.meter.Visits(a.instant(), true)); err != nil && ctx.Err() == nil {
				a.log.DebugContext(ctx, "counters could not be visited", "error", err)
			}
			<-a.leases.turn
		case <-ctx.Done():
		}
	}
}

// returnLeasesOf settles and returns what this node has leased of the quotas and credits
// of a key, so that the books have all that it knows.
func (a *App) returnLeasesOf(ctx context.Context, key domain.ProvenKey) error {
	select {
	case a.leases.turn <- struct{}{}:
	case <-ctx.Done():
		return domain.Unavailable(ctx.Err())
	}
	defer func() { <-a.leases.turn }()
	_, err := a.visit(ctx, a.usage.meter.ReturnsOf(key, a.instant()))
	return err
}

// returnLeases returns what this node has not spent, so that others can.
func (a *App) returnLeases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, returnLimit)
	defer cancel()
	select {
	case a.leases.turn <- struct{}{}:
		defer func() { <-a.leases.turn }()
	case <-ctx.Done():
		return
	}
	n, err := 1, error(nil)
	for n > 0 && err == nil {
		n, err = a.visit(ctx, a.usage.meter.Returns(a.instant()))
	}
	if err == nil {
		err = a.store.EndLeases(ctx, a.usage.node)
	}
	switch {
	case err == nil && a.journal != nil:
		a.journal.End()
	case err != nil && a.journal != nil:
		a.log.WarnContext(ctx, "what this node has leased of quotas and credits is returned when it starts again", "error", err)
	case err != nil:
		a.log.WarnContext(ctx, "what this node has leased of quotas and credits could not be returned, and is lost", "error", err)
	}
}

// sweepLeases ends the leases of nodes that are gone.
func (a *App) sweepLeases(ctx context.Context) error {
	now := a.limitTime()
	for more := true; more && ctx.Err() == nil; {
		ended, again, err := a.store.SweepLeases(ctx, now.Add(-leaseForgotten), now.Add(-journalForgotten), now, purgeBatch)
		if err != nil {
			return err
		}
		a.leases.forfeited.Add(ended.Forfeited)
		if more = again; ended.Forfeited > 0 {
			a.log.WarnContext(ctx, "what nodes had leased that are gone is forfeited", "units", ended.Forfeited)
		}
	}
	return nil
}

// sweepCounters removes the counters of keys that are gone. It reads all counters.
func (a *App) sweepCounters(ctx context.Context) error {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = a.store.SweepCounters(ctx, purgeBatch); err != nil {
			return err
		}
	}
	return nil
}
