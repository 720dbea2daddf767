package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// recoverJournal settles what the process before this one had leased, as the journal
// says, and begins the journal anew.
func (a *App) recoverJournal(ctx context.Context) error {
	if a.journal == nil {
		return nil
	}
	former := a.journal.Former()
	if former.Why != "" {
		a.log.WarnContext(ctx, "the journal cannot be trusted, so what its node had leased is forfeited", "node", former.Node,
			"why", former.Why)
	}
	if former.Node != "" {
		ended, err := a.endLeasesOf(ctx, func(now time.Time) (domain.EndedLeases, bool, error) {
			return a.store.RecoverLeases(ctx, former.Node, now, purgeBatch,
				func(c domain.ProjectCounter, l domain.Lease, journal string) (int64, bool) {
					record := former.Leases[c]
					if journal == "" || journal != former.ID || record == nil {
						return 0, false
					}
					return record.Spent(l)
				})
		})
		if err != nil {
			return err
		}
		if ended.Leases > 0 {
			a.log.InfoContext(ctx, "what the process before this one had leased is settled", "node", former.Node,
				"leases", ended.Leases, "returned", ended.Returned, "forfeited", ended.Forfeited)
		}
	}
	if err := a.journal.Begin(a.usage.node); err != nil {
		return err
	}
	a.usage.meter.Journal(a.journal)
	return nil
}

// endLeasesOf calls end until no lease is left.
func (a *App) endLeasesOf(
	ctx context.Context, end func(now time.Time) (domain.EndedLeases, bool, error),
) (all domain.EndedLeases, err error) {
	for more := true; more && ctx.Err() == nil; {
		var e domain.EndedLeases
		if e, more, err = end(a.limitTime()); err != nil {
			return all, err
		}
		all.Leases, all.Returned, all.Forfeited = all.Leases+e.Leases, all.Returned+e.Returned, all.Forfeited+e.Forfeited
		a.leases.forfeited.Add(e.Forfeited)
	}
	return all, ctx.Err()
}

// GoneNodes returns the nodes that do not report and still have leases. Only the command
// line may ask.
func (a *App) GoneNodes(ctx context.Context, caller domain.Principal) ([]domain.GoneNode, error) {
	if err := requireSystem(caller); err != nil {
		return nil, err
	}
	return a.store.GoneNodes(ctx, time.Now().Add(-nodeAlive))
}

// ForgetNode forfeits what a node has leased that will not come back. One that reports
// gives conflict, and one that has no leases not_found. Only the command line may do it.
func (a *App) ForgetNode(ctx context.Context, caller domain.Principal, id string) (domain.EndedLeases, error) {
	gone, err := a.GoneNodes(ctx, caller)
	if err != nil {
		return domain.EndedLeases{}, err
	}
	for _, n := range gone {
		if n.ID == id {
			if err := a.recordForgotten(ctx, caller, n); err != nil {
				return domain.EndedLeases{}, err
			}
			return a.endLeasesOf(ctx, func(now time.Time) (domain.EndedLeases, bool, error) {
				return a.store.ForgetLeases(ctx, id, now, purgeBatch)
			})
		}
	}
	nodes, err := a.store.ListNodes(ctx)
	for _, n := range nodes {
		if n.ID == id && time.Since(n.SeenAt) < nodeAlive {
			return domain.EndedLeases{}, domain.Errorf(domain.CodeConflict,
				"This node reports. Stop it first; it then returns what it has.")
		}
	}
	if err != nil {
		return domain.EndedLeases{}, err
	}
	return domain.EndedLeases{}, domain.NotFound()
}

// recordForgotten notes what a node had that is about to be forgotten.
func (a *App) recordForgotten(ctx context.Context, caller domain.Principal, n domain.GoneNode) error {
	return a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		return a.record(ctx, tx, caller, domain.Event{
			Action: "node.forgotten", Target: domain.Target{Kind: "node", ID: n.ID, Name: n.ID},
			Changes: domain.Changes{"leases": {nil, n.Leases}, "units": {nil, n.Units}},
		})
	})
}
