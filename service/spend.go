package service

import "github.com/latchkey-dev/latchkey/domain"

// Spend takes what a request of a proven key costs from the key's limits and counts
// the request. If a limit refuses it, it takes nothing. Asking about other keys is not
// using one's own, so the caller leaves it out for those operations. It asks no
// database, and for a key that is kept in memory it allocates nothing.
func (a *App) Spend(key domain.ProvenKey, cost domain.Cost) domain.Decision {
	d := a.spend(key, cost)
	switch d.Code {
	case "":
		a.CountUse(key)
	case domain.CodeRateLimited:
		a.usage.meter.Count(key, domain.OutcomeRateLimited)
	default:
		a.usage.meter.Count(key, domain.OutcomeOther)
	}
	return d
}

// LimitStats returns how many limits have a state in the memory of this node, and how
// many nodes share every rate.
func (a *App) LimitStats() (states, nodes int) {
	return a.usage.meter.Counters(), max(1, a.usage.meter.Share().Nodes)
}

// SpendMore takes what a request costs besides its own use from the named limits of a
// key, all of them or none. It is no use of its own.
func (a *App) SpendMore(key domain.ProvenKey, cost domain.Cost) domain.Decision {
	all := domain.Cost{}
	limits, _ := key.Limits()
	for i := range limits.Len() {
		all[limits.At(i).Name] = cost[limits.At(i).Name]
	}
	return a.spend(key.Metered(0), all) // minutes after the key was proved, its line may be that of another one
}

// spend is Spend without the count. Most keys have no limits and need no clock.
func (a *App) spend(key domain.ProvenKey, cost domain.Cost) domain.Decision {
	if !key.Limited() {
		return domain.Decision{}
	}
	return a.usage.meter.Spend(key, cost, a.instant())
}

// instant is the clock of limits: nanoseconds since this node began. It only moves
// forward, also when the time of day is set back.
func (a *App) instant() int64 { return int64(a.clock().Sub(a.began)) }
