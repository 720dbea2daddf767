package repository

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// EndLeases removes the leases of a node that has returned all that was left.
func (s *Store) EndLeases(ctx context.Context, node string) error {
	_, err := s.write.NewRaw("DELETE FROM leases WHERE node_id = ? AND granted = spent", node).Exec(ctx)
	return s.error(err)
}

// ofGone are the leases of nodes that are not listed and were not here since a moment.
func ofGone(q *bun.SelectQuery, since time.Time) *bun.SelectQuery {
	return q.Where("e.at < ?", micros{since}).Where("NOT EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = e.node_id)")
}

// SweepLeases ends at most limit leases of nodes that are not listed and were not here
// since a moment. What such a node had left is forfeited, since it may have spent it.
// It returns how many units that are, and whether there may be more leases.
func (s *Store) SweepLeases(ctx context.Context, since, now time.Time, limit int) (forfeited int64, more bool, err error) {
	var found []leaseRow
	err = ofGone(s.read.NewSelect().Model(&found), since).Limit(int64(limit)).Scan(ctx)
	if err != nil || len(found) == 0 {
		return 0, false, s.error(err)
	}
	keys := make([]counterKey, len(found))
	for i, l := range found {
		keys[i] = l.counterKey
	}
	err = s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		forfeited = 0
		counters, err := tx.lockCounters(ctx, keys)
		if err != nil {
			return err
		}
		var done visited
		for _, l := range found {
			row, ended, err := tx.endLease(ctx, l, since)
			if err != nil {
				return err
			}
			if !ended {
				continue
			}
			of := counters[l.counterKey]
			books := of.books()
			if lost := books.Forfeit(row.lease()); lost > 0 {
				forfeited += lost
				done.forfeit(of, lost, now)
			}
			counters[l.counterKey] = of.withBooks(books)
		}
		done.counters = slices.Collect(maps.Values(counters))
		return tx.keep(ctx, done)
	})
	return forfeited, len(found) == limit, err
}

// forfeit notes what was lost of credits. Quotas have no entries.
func (d *visited) forfeit(of counterRow, units int64, now time.Time) {
	if of.Type == domain.Credits {
		d.entries = append(d.entries, newCreditEntryRow(of, ownEntry(of, domain.Entry{Kind: domain.EntryForfeit, Amount: -units}, now)))
	}
}

// endLease removes the lease of a node that is still gone, as it is now.
func (s *Store) endLease(ctx context.Context, l leaseRow, since time.Time) (row leaseRow, ended bool, err error) {
	var rows []leaseRow
	err = ofGone(s.write.NewSelect().Model(&rows).Where("(e.node_id, "+counterKeyColumns+") = (?, ?, ?, ?, ?, ?, ?)",
		l.NodeID, l.ProjectID, l.OwnerID, l.Type, l.Name, l.Per, l.Subject), since).Scan(ctx)
	if err != nil || len(rows) == 0 {
		return leaseRow{}, false, s.error(err)
	}
	_, err = s.write.NewDelete().Model(&rows[0]).WherePK().Exec(ctx)
	return rows[0], true, s.error(err)
}

// SweepCounters removes at most limit counters of keys that do not exist any more, and
// reports whether there may be more. Only what was granted stays, in the entries.
func (s *Store) SweepCounters(ctx context.Context, limit int) (more bool, err error) {
	var found []counterRow
	err = s.read.NewSelect().Model(&found).Where("n.per = ?", domain.PerKey).
		Where("NOT EXISTS (SELECT 1 FROM api_keys AS k WHERE k.id = n.subject)").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return false, s.error(err)
	}
	return len(found) == limit, s.deleteCounters(ctx, found)
}

// deleteCounters removes counters, with their leases.
func (s *Store) deleteCounters(ctx context.Context, rows []counterRow) error {
	if len(rows) == 0 {
		return nil
	}
	keys := make([]counterKey, len(rows))
	for i, r := range rows {
		keys[i] = r.counterKey
	}
	return s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		if _, err := tx.lockCounters(ctx, keys); err != nil {
			return err
		}
		_, err := tx.write.NewDelete().Model(&rows).WherePK().Exec(ctx)
		return tx.error(err)
	})
}

// purgeCounters removes at most limit counters of a deleted tenant, in its own
// transaction, and returns how many.
func purgeCounters[S tenant](ctx context.Context, s *Store, scope S, limit int) (int, error) {
	var rows []counterRow
	err := selectIn(s, scope, &rows).Where("n.project_id IN (?)", selectIn(s, scope, (*projectRow)(nil)).Column("id")).
		Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return 0, s.error(err)
	}
	return len(rows), s.deleteCounters(ctx, rows)
}
