package service

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Nodes share no counters yet, so each of them admits its part of every rate limit.
// The parts together are the limit, or less while the nodes have just changed: a node
// that ends without saying so counts for nodeAlive.

// peers are the nodes that this one knows. A node is alive while its reports change,
// by the clock of this one: clocks of nodes may differ.
type peers struct {
	heard map[string]heard
	read  time.Time // when the list was last read
}

type heard struct {
	reported time.Time // what the node says, by its own clock
	at       time.Time // when that changed; zero: not since this node began
}

// staleAtFirst is how old a report may be, by any two clocks, of a node that is still
// there when this one begins.
const staleAtFirst = time.Minute

// alive returns the ids of the nodes that are there.
func (p *peers) alive(nodes []domain.Node, now time.Time) (ids []string) {
	known, away := p.heard, max(0, now.Sub(p.read)-NodeReports)
	p.heard, p.read = make(map[string]heard, len(nodes)), now
	for _, n := range nodes {
		h, ok := known[n.ID]
		if !h.at.IsZero() {
			h.at = h.at.Add(away) // while this node could not read the list, the others may have been unable to report
		}
		if !h.reported.Equal(n.SeenAt) {
			old := !ok && now.Sub(n.SeenAt).Abs() > staleAtFirst
			h = heard{reported: n.SeenAt}
			if !old {
				h.at = now
			}
		}
		p.heard[n.ID] = h
		if !h.at.IsZero() && now.Sub(h.at) < nodeAlive {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// countNodes learns which nodes there are, and so this one's share of every rate.
func (a *App) countNodes(ctx context.Context, p *peers) error {
	nodes, err := a.store.ListNodes(ctx)
	if err != nil {
		return err
	}
	ids := p.alive(nodes, time.Now())
	if !slices.Contains(ids, a.usage.node) {
		ids = append(ids, a.usage.node)
	}
	slices.Sort(ids)
	a.usage.meter.SetShare(domain.Share{Nodes: len(ids), Place: slices.Index(ids, a.usage.node)}, a.instant())
	return nil
}
