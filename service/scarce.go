package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// scarce is what a node has only so much of, shared among those who ask for it.
type scarce struct {
	bodies  places // request bodies that are too large to have any number of in memory
	exports places // answers as long as what is in the database
	reports places // the same of callers that have proved nothing
	sums    places // questions that sum up years of usage for each page of the answer
}

func newScarce() scarce {
	return scarce{bodies: newPlaces(4, 1), exports: newPlaces(8, 2), reports: newPlaces(2, 1), sums: newPlaces(8, 2)}
}

// placeWait is how long a request waits for its place.
const placeWait = 10 * time.Second

// places are shared out twice: each caller has a few, and then the networks that
// callers come from take turns, of which none has more than half. Accounts cost
// nothing, so without that one network could have all places.
type places struct{ callers, networks *fair.Gate }

func newPlaces(total, perCaller int) places {
	const waiting = 64
	return places{
		callers: fair.NewGate(fair.Bounds{
			Total:           8 * waiting,
			PerPayer:        perCaller,
			Waiting:         waiting,
			WaitingPerPayer: 4,
			Wait:            placeWait,
		}),
		networks: fair.NewGate(fair.Bounds{
			Total:           total,
			PerPayer:        total / 2,
			Waiting:         waiting,
			WaitingPerPayer: waiting / 4,
			Wait:            placeWait,
		}),
	}
}

// enter takes a place for a caller and returns what gives it back. Errors:
// unavailable.
func (p places) enter(ctx context.Context, caller domain.Principal) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, placeWait)
	defer cancel()
	leaveCaller, err := p.callers.Enter(ctx, payer(caller))
	if err != nil {
		return nil, err
	}
	network := fair.Network(caller.Origin().IP)
	if caller.IsSystem() {
		network = ""
	}
	leaveNetwork, err := p.networks.Enter(ctx, network)
	if err != nil {
		leaveCaller()
		return nil, err
	}
	return func() { leaveNetwork(); leaveCaller() }, nil
}

// LargeBody takes one of the places for large request bodies on this node. The
// body is read after that, and leave is called when it is no longer in memory.
// Errors: unavailable.
func (a *App) LargeBody(ctx context.Context, caller domain.Principal) (leave func(), err error) {
	if _, isKey := caller.ProvenKey(); !isKey && !caller.HasUser() {
		return a.scarce.reports.enter(ctx, caller)
	}
	return a.scarce.bodies.enter(ctx, caller)
}

// payer returns who is charged for what a caller asks for: the project of a key,
// a user, or the network of an anonymous caller.
func payer(caller domain.Principal) fair.Payer {
	if key, ok := caller.ProvenKey(); ok {
		return fair.Payer(key.Tenant().Project.ID)
	}
	if user, ok := caller.User(); ok {
		return fair.Payer(user.User.ID)
	}
	if caller.IsSystem() {
		return ""
	}
	return fair.Network(caller.Origin().IP)
}

// asker is the caller that asks about a token, and the time.
type asker struct {
	project domain.ProjectID // whose key is preferred; empty: no project in particular
	from    Sender
	now     time.Time
	slow    *int // how many slow hashes may still be computed; nil: only maxSlowHashes bounds them
}

// payer returns the payer who is charged for the work: the network of an anonymous
// sender, or else the project that asks.
func (a asker) payer() fair.Payer {
	switch {
	case a.from != nil:
		return fair.Network(a.from.RealIP())
	case a.project != "":
		return fair.Payer(a.project)
	}
	return ""
}
