package service

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
	"github.com/latchkey-dev/latchkey/service/watch"
)

// Bounds of syncKeys.
const (
	// DefaultSyncWaiters is how many calls may wait at a node, unless Options say otherwise.
	DefaultSyncWaiters = 10_000

	DefaultSyncWait = 5 * time.Second
	MaxSyncWait     = 20 * time.Second
	MaxUses         = 500

	waitersPerKey     = 200
	waitersPerProject = 2000
)

// waiters are the places of calls that wait for changes: first those of a caller, then
// those of the project, then those of its network, which has at most half of all. So
// none of them leaves the others without.
type waiters struct{ callers, projects, networks *fair.Gate }

func newWaiters(total int) waiters {
	gate := func(total, perPayer int) *fair.Gate {
		return fair.NewGate(fair.Bounds{Total: total, PerPayer: perPayer})
	}
	return waiters{gate(total, waitersPerKey), gate(total, waitersPerProject), gate(total, max(1, total/2))}
}

// enter takes a place, or returns unavailable.
func (w waiters) enter(ctx context.Context, caller domain.Principal, project domain.ProjectID) (leave func(), err error) {
	leaving := make([]func(), 0, 3)
	leave = func() {
		for _, one := range leaving {
			one()
		}
	}
	for _, place := range []struct {
		gate  *fair.Gate
		payer fair.Payer
	}{
		{w.callers, fair.Payer(caller.Actor().ID)},
		{w.projects, fair.Payer(project)},
		{w.networks, fair.Network(caller.Origin().IP)},
	} {
		one, err := place.gate.Enter(ctx, place.payer)
		if err != nil {
			leave()
			return nil, err
		}
		leaving = append(leaving, one)
	}
	return leave, nil
}

// SyncWaiting returns how many calls of SyncKeys wait at this node.
func (a *App) SyncWaiting() int { return a.watch.Waiting() }

// Following is what a client that keeps answers asks for.
type Following struct {
	Cursor string        // that the last answer had; empty: the first question
	Wait   time.Duration // for a change, if there is none yet
	Uses   []ReportedUse
}

// ReportedUse is how often a client has answered about a token itself.
type ReportedUse struct {
	TokenID domain.TokenID
	Count   int64
	LastAt  time.Time
}

// SyncKeys returns what has changed of the tokens of the project since the
// cursor, as soon as something has, and records what is reported. It costs no statement,
// unless uses are reported of tokens that this node does not have in memory. It needs
// keys:verify. Errors: unavailable, also if this node does not know of every change.
func (p *Project) SyncKeys(ctx context.Context, f Following) (watch.Answer, error) {
	if err := p.Authorize(domain.KeysVerify); err != nil {
		return watch.Answer{}, err
	}
	if err := p.reportUses(ctx, f.Uses); err != nil {
		return watch.Answer{}, err
	}
	if !p.app.hearsOfChanges() {
		return watch.Answer{}, domain.Unavailable(errors.New("this node does not know of every change"))
	}
	leave, err := p.app.waiters.enter(ctx, p.caller, p.project.ID)
	if err != nil {
		return watch.Answer{}, err
	}
	defer leave()
	return p.app.watch.Wait(ctx, watch.Question{
		Project:      p.project.ID,
		Organization: p.project.OrganizationID,
		Cursor:       f.Cursor,
		Wait:         min(f.Wait, MaxSyncWait),
	})
}

// reportUses counts uses that a client has answered itself, of the tokens that are of
// this project. It ignores others, and says nothing about them. Those that are not in
// memory cost one statement together.
func (p *Project) reportUses(ctx context.Context, uses []ReportedUse) error {
	now := p.app.now()
	known := map[domain.TokenID]domain.ReportedUse{}
	var unknown []domain.TokenID
	for _, u := range uses[:min(len(uses), MaxUses)] {
		if key, ok := p.app.near.keys.Get(u.TokenID); !ok {
			unknown = append(unknown, u.TokenID)
		} else if key.Tenant().Project.ID == p.project.ID {
			fields := key.Fields()
			known[u.TokenID] = fields.Reported()
		}
	}
	if len(unknown) > 0 {
		owners, err := p.app.store.OwnersOfTokens(ctx, p.project.Scope(), unknown)
		if err != nil {
			return err
		}
		for _, owner := range owners {
			known[owner.TokenID] = owner
		}
	}
	for _, u := range uses {
		if owner, ok := known[u.TokenID]; ok && u.Count > 0 {
			owner.OrganizationID, owner.Count, owner.Last = p.project.OrganizationID, u.Count, u.LastAt
			if owner.Last.After(now) {
				owner.Last = now
			}
			p.app.usage.meter.Report(owner)
		}
	}
	return nil
}
