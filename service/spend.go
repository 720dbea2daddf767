package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Spend takes what a request of a proven key costs from the key's limits and counts
// the request. If a limit refuses it, it takes nothing. Asking about other keys is not
// using one's own, so the caller leaves it out for those operations. For a key that is
// kept in memory it asks no database and allocates nothing, unless a quota or credits
// of which this node has nothing left must be visited first.
func (a *App) Spend(ctx context.Context, key domain.ProvenKey, cost domain.Cost) domain.Decision {
	d := a.spend(ctx, key, cost)
	if d.Admitted() {
		a.CountUse(key)
	} else {
		a.usage.meter.Count(key, domain.OutcomeOf(d.Code))
	}
	return d
}

// SpendMore takes what a request costs besides its own use from the named limits of a
// key, all of them or none. It is no use of its own: if a limit refuses it, the use that
// Spend has counted becomes a refused one.
func (a *App) SpendMore(ctx context.Context, key domain.ProvenKey, cost domain.Cost) domain.Decision {
	all := domain.Cost{}
	limits, _ := key.Limits()
	for i := range limits.Len() {
		all[limits.At(i).Name] = cost[limits.At(i).Name]
	}
	d := a.spend(ctx, key.Metered(0), all) // minutes after the key was proved, its line may be that of another one
	if !d.Admitted() {
		a.usage.meter.Recount(key, domain.OutcomeOf(d.Code))
	}
	return d
}

// spend is Spend without the count. Most keys have no limits and need no clock.
func (a *App) spend(ctx context.Context, key domain.ProvenKey, cost domain.Cost) domain.Decision {
	if !key.Limited() {
		return domain.Decision{}
	}
	now := a.instant()
	d := a.usage.meter.Spend(key, cost, now)
	if d.Code == domain.CodeUnavailable && d.Limits != nil {
		d = a.spendAfterVisit(ctx, key, cost, now)
	}
	a.usage.meter.CountDecision(key, &d)
	return d
}

// instant is the clock of this node for limits: nanoseconds since it began. It only
// moves forward, also when the time of day is set back.
func (a *App) instant() int64 { return int64(a.clock().Sub(a.began)) }

// setLimitClock sets the clock of limits by the one of the database, so that all nodes
// have one and a jump of their own is not seen. Where the database has none, and where
// the node was given a clock, it is that of the node.
func (a *App) setLimitClock(database time.Time) {
	now := a.clock()
	if database.IsZero() || a.givenClock {
		database = now
	}
	a.usage.meter.SetClock(database, int64(now.Sub(a.began)))
}

// limitTime is what the clock of limits shows, as the database stores it.
func (a *App) limitTime() time.Time {
	return a.usage.meter.LimitTime(a.instant()).Truncate(time.Microsecond)
}
