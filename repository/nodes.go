package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type nodeRow struct {
	bun.BaseModel `bun:"table:nodes,alias:n"`

	ID        string `bun:",pk"`
	Name      string
	Version   string
	StartedAt micros
	SeenAt    micros
	FlushedAt int64 // microseconds; 0: never
	Lag       int64 // microseconds
}

// nodeForgotten is how long a node that no longer reports stays in the list.
const nodeForgotten = time.Hour

// ReportNode adds n to the list of servers, or updates its entry.
func (f *Feed) ReportNode(ctx context.Context, n domain.Node) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	row := &nodeRow{
		ID:        n.ID,
		Name:      n.Name,
		Version:   n.Version,
		StartedAt: micros{n.StartedAt},
		SeenAt:    micros{n.SeenAt},
		Lag:       n.Lag.Microseconds(),
	}
	if !n.FlushedAt.IsZero() {
		row.FlushedAt = n.FlushedAt.UnixMicro()
	}
	db := f.poll.db()
	if _, err := db.NewInsert().Model(row).On("CONFLICT (id) DO UPDATE").Set("seen_at = EXCLUDED.seen_at").Set("lag = EXCLUDED.lag").
		Set("flushed_at = EXCLUDED.flushed_at").Exec(ctx); err != nil {
		return err
	}
	_, err := db.NewDelete().Model((*nodeRow)(nil)).Where("n.seen_at < ?", micros{n.SeenAt.Add(-nodeForgotten)}).Exec(ctx)
	return err
}

// RemoveNode removes a node that is about to exit from the list.
func (f *Feed) RemoveNode(ctx context.Context, id string) error {
	_, err := f.poll.db().NewDelete().Model((*nodeRow)(nil)).Where("n.id = ?", id).Exec(ctx)
	return err
}

// ListNodes returns the servers that have reported within the last hour.
func (s *Store) ListNodes(ctx context.Context) ([]domain.Node, error) {
	var rows []nodeRow
	if err := s.read.NewSelect().Model(&rows).Order("started_at", "id").Scan(ctx); err != nil {
		return nil, s.error(err)
	}
	nodes := make([]domain.Node, len(rows))
	for i, r := range rows {
		nodes[i] = domain.Node{
			ID:        r.ID,
			Name:      r.Name,
			Version:   r.Version,
			StartedAt: r.StartedAt.Time,
			SeenAt:    r.SeenAt.Time,
			Lag:       time.Duration(r.Lag) * time.Microsecond,
		}
		if r.FlushedAt != 0 {
			nodes[i].FlushedAt = time.UnixMicro(r.FlushedAt).UTC()
		}
	}
	return nodes, nil
}

// EveryNodeAtLeast reports whether all servers that reported within the last
// hour run version or newer. Then data in a form that came with that version
// may be written; an older server could not read it. A database without servers
// has no older readers. Call it in the transaction that writes.
func (s *Store) EveryNodeAtLeast(ctx context.Context, version string) (bool, error) {
	var running []string
	if err := s.read.NewSelect().Model((*nodeRow)(nil)).Distinct().Column("version").Scan(ctx, &running); err != nil {
		return false, s.error(err)
	}
	for _, v := range running {
		if !domain.VersionAtLeast(v, version) {
			return false, nil
		}
	}
	return true, nil
}
