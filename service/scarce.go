package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// scarce is what a node has only so much of, shared among those who ask for it.
type scarce struct {
	bodies  *fair.Gate // request bodies that are too large to have any number of in memory
	exports *fair.Gate // answers as long as what is in the database
}

func newScarce() scarce {
	return scarce{
		bodies:  fair.NewGate(fair.Bounds{Total: 4, PerPayer: 1, Waiting: 64, WaitingPerPayer: 4, Wait: 10 * time.Second}),
		exports: fair.NewGate(fair.Bounds{Total: 8, PerPayer: 2, Waiting: 64, WaitingPerPayer: 4, Wait: 10 * time.Second}),
	}
}

// LargeBody takes one of the places for large request bodies on this node. The
// body is read after that, and leave is called when it is no longer in memory.
// Errors: unavailable.
func (a *App) LargeBody(ctx context.Context, caller domain.Principal) (leave func(), err error) {
	return a.scarce.bodies.Enter(ctx, payer(caller))
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
