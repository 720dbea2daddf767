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

// ending says which leases end, and what was spent of them.
type ending struct {
	which func(q *bun.SelectQuery) *bun.SelectQuery
	spent func(domain.ProjectCounter, domain.Lease, string) (units int64, known bool)
}

// unknown is what was spent of leases that no journal knows.
func unknown(domain.ProjectCounter, domain.Lease, string) (int64, bool) { return 0, false }

// SweepLeases ends at most limit leases of nodes that are not listed and were not here
// since a moment: those with a journal, which may come back, since an earlier one. What
// such a node had left is forfeited, since it may have spent it. more reports whether
// there may be others.
func (s *Store) SweepLeases(ctx context.Context, since, journaled, now time.Time, limit int) (e domain.EndedLeases, more bool, err error) {
	return s.endLeases(ctx, now, limit, ending{spent: unknown, which: func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("e.at < ? AND (e.journal = '' OR e.at < ?)", micros{since}, micros{journaled}).
			Where("NOT EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = e.node_id)")
	}})
}

// RecoverLeases ends at most limit leases of a node. spent returns what was spent of one,
// given which journal it is in. Of those that it does not know, what the node had left is
// forfeited.
func (s *Store) RecoverLeases(
	ctx context.Context, node string, now time.Time, limit int,
	spent func(c domain.ProjectCounter, l domain.Lease, journal string) (units int64, known bool),
) (e domain.EndedLeases, more bool, err error) {
	return s.endLeases(ctx, now, limit, ending{spent: spent, which: func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("e.node_id = ?", node)
	}})
}

// ForgetLeases is like RecoverLeases for a node of which nothing is known.
func (s *Store) ForgetLeases(ctx context.Context, node string, now time.Time, limit int) (e domain.EndedLeases, more bool, err error) {
	return s.RecoverLeases(ctx, node, now, limit, unknown)
}

func (s *Store) endLeases(ctx context.Context, now time.Time, limit int, which ending) (e domain.EndedLeases, more bool, err error) {
	var found []leaseRow
	err = which.which(s.read.NewSelect().Model(&found)).Limit(int64(limit)).Scan(ctx)
	if err != nil || len(found) == 0 {
		return domain.EndedLeases{}, false, s.error(err)
	}
	keys := make([]counterKey, len(found))
	for i, l := range found {
		keys[i] = l.counterKey
	}
	err = s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		e = domain.EndedLeases{}
		counters, err := tx.lockCounters(ctx, keys)
		if err != nil {
			return err
		}
		var done visited
		for _, l := range found {
			row, ended, err := tx.endLease(ctx, l, which)
			if err != nil {
				return err
			}
			if ended {
				counters[l.counterKey] = done.end(&e, counters[l.counterKey], row, which, now)
			}
		}
		done.counters = slices.Collect(maps.Values(counters))
		return tx.keep(ctx, done)
	})
	return e, len(found) == limit, err
}

// end books the end of a lease and returns the row of its counter.
func (d *visited) end(e *domain.EndedLeases, of counterRow, l leaseRow, which ending, now time.Time) counterRow {
	books, lease := of.books(), l.lease()
	available := books.Available()
	e.Leases++
	if spent, known := which.spent(l.counter(), lease, l.Journal); known {
		books.End(lease, spent)
		e.Returned += books.Available() - available
	} else if lost := books.Forfeit(lease); lost > 0 {
		e.Forfeited += lost
		d.forfeit(of, lost, now)
	}
	return of.withBooks(books)
}

// forfeit notes what was lost of credits. Quotas have no entries.
func (d *visited) forfeit(of counterRow, units int64, now time.Time) {
	if of.Type == domain.Credits {
		d.entries = append(d.entries, newCreditEntryRow(of, ownEntry(of, domain.Entry{Kind: domain.EntryForfeit, Amount: -units}, now)))
	}
}

// endLease removes a lease, as it is now, if it is still to end.
func (s *Store) endLease(ctx context.Context, l leaseRow, which ending) (row leaseRow, ended bool, err error) {
	var rows []leaseRow
	err = which.which(s.write.NewSelect().Model(&rows).Where("(e.node_id, "+counterKeyColumns+") = (?, ?, ?, ?, ?, ?, ?)",
		l.NodeID, l.ProjectID, l.OwnerID, l.Type, l.Name, l.Per, l.Subject)).Scan(ctx)
	if err != nil || len(rows) == 0 {
		return leaseRow{}, false, s.error(err)
	}
	_, err = s.write.NewDelete().Model(&rows[0]).WherePK().Exec(ctx)
	return rows[0], true, s.error(err)
}

// GoneNodes returns the nodes that have leases and did not report since a moment.
func (s *Store) GoneNodes(ctx context.Context, since time.Time) ([]domain.GoneNode, error) {
	var rows []struct {
		NodeID        string
		Leases, Units int64
		Journaled     int64
		At            micros
	}
	err := s.read.NewRaw(`SELECT e.node_id, COUNT(*) AS leases, SUM(e.granted - e.spent) AS units,
		MAX(CASE WHEN e.journal <> '' THEN 1 ELSE 0 END) AS journaled, MAX(e.at) AS at FROM leases AS e
		WHERE NOT EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = e.node_id AND o.seen_at >= ?)
		GROUP BY e.node_id ORDER BY e.node_id`, micros{since}).Scan(ctx, &rows)
	nodes := make([]domain.GoneNode, len(rows))
	for i, r := range rows {
		nodes[i] = domain.GoneNode{
			ID:        r.NodeID,
			Leases:    int(r.Leases),
			Units:     r.Units,
			Journaled: r.Journaled != 0,
			SeenAt:    r.At.Time,
		}
	}
	return nodes, s.error(err)
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

// addReached adds the events that nothing is left of limits, as far as their projects have
// a place for them in this hour.
func (s *Store) addReached(ctx context.Context, events []domain.Event) error {
	room := map[domain.ProjectID]int64{}
	for _, e := range events {
		left, counted := room[e.ProjectID]
		if !counted {
			n, err := s.write.NewSelect().Model((*eventRow)(nil)).Where("e.organization_id = ?", e.OrganizationID).
				Where("e.at >= ?", micros{e.At.Truncate(time.Hour)}).Where("e.project_id = ?", e.ProjectID).
				Where("e.action = ?", domain.ActionReached).Count(ctx)
			if err != nil {
				return s.error(err)
			}
			left = domain.ReachedEachHour - n
		}
		if room[e.ProjectID] = left - 1; left <= 0 {
			continue
		}
		if err := s.AddEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
