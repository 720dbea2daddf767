package repository

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// counterKey is the primary key of a counter, and all but the node of that of a lease.
type counterKey struct {
	ProjectID domain.ProjectID `bun:",pk"`
	OwnerID   string           `bun:",pk"`
	Type      domain.LimitType `bun:",pk"`
	Name      string           `bun:",pk"`
	Per       domain.Per       `bun:",pk"`
	Subject   string           `bun:",pk"`
}

const counterKeyColumns = "project_id, owner_id, type, name, per, subject"

func newCounterKey(c domain.ProjectCounter) counterKey {
	return counterKey{c.Project, c.Owner, c.Type, c.Name, c.Per, c.Subject}
}

func (k counterKey) counter() domain.ProjectCounter {
	return domain.ProjectCounter{
		Project: k.ProjectID,
		Counter: domain.Counter{
			Owner:   k.OwnerID,
			Type:    k.Type,
			Name:    k.Name,
			Per:     k.Per,
			Subject: k.Subject,
		},
	}
}

// sameCounter compares the key of a row under an alias with the values of counterValues.
func sameCounter(alias string) string {
	same := strings.Split(counterKeyColumns, ", ")
	for i, column := range same {
		same[i] = fmt.Sprintf("%s.%s = v.column%d", alias, column, i+1)
	}
	return strings.Join(same, " AND ")
}

// counterValues is a table v of counters, with the arguments that it has.
func counterValues(counters []counterKey) (values string, args []any) {
	for _, k := range counters {
		args = append(args, k.ProjectID, k.OwnerID, k.Type, k.Name, k.Per, k.Subject)
	}
	return "(VALUES " + strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?), ", len(counters)), ", ") + ") AS v", args
}

type counterRow struct {
	bun.BaseModel `bun:"table:counters,alias:n"`
	counterKey

	OrganizationID domain.OrganizationID
	Period         micros
	Capacity       int64
	Spent          int64
	Leased         int64
	Forfeited      int64
	RenewedAt      micros
	RenewsAt       micros
	ReachedAt      micros
	Leases         int64
	Owed           int64
}

func (r counterRow) books() domain.Books {
	return domain.Books{
		Period:    r.Period.Time,
		Capacity:  r.Capacity,
		Spent:     r.Spent,
		Leased:    r.Leased,
		Forfeited: r.Forfeited,
		RenewedAt: r.RenewedAt.Time,
		RenewsAt:  r.RenewsAt.Time,
		ReachedAt: r.ReachedAt.Time,
		Leases:    r.Leases,
		Owed:      r.Owed,
	}
}

// withBooks returns the row with other books.
func (r counterRow) withBooks(b domain.Books) counterRow {
	r.Period, r.Capacity, r.Spent, r.Leased, r.Forfeited = micros{b.Period}, b.Capacity, b.Spent, b.Leased, b.Forfeited
	r.RenewedAt, r.RenewsAt, r.ReachedAt, r.Leases = micros{b.RenewedAt}, micros{b.RenewsAt}, micros{b.ReachedAt}, b.Leases
	r.Owed = b.Owed
	return r
}

type leaseRow struct {
	bun.BaseModel `bun:"table:leases,alias:e"`

	NodeID string `bun:",pk"`
	counterKey

	Number  int64
	Period  micros
	Granted int64
	Spent   int64
	At      micros // when the node was here last
	Journal string // see domain.Visit
}

func (r leaseRow) lease() domain.Lease {
	return domain.Lease{Number: r.Number, Period: r.Period.Time, Granted: r.Granted, Spent: r.Spent}
}

// Visit does what a node reports and asks for in one transaction, and returns the
// answers in the same order. The node may act on them only if there is no error.
func (s *Store) Visit(ctx context.Context, v domain.Visits) (answers []domain.Visited, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		answers, err = tx.visit(ctx, v)
		return err
	})
	return answers, err
}

func (s *Store) visit(ctx context.Context, v domain.Visits) ([]domain.Visited, error) {
	var all, first []counterKey
	for _, visit := range v.All {
		k := newCounterKey(visit.Counter)
		if all = append(all, k); visit.Report.Lease.Number == 0 {
			first = append(first, k)
		}
	}
	if err := s.addCounters(ctx, first); err != nil {
		return nil, err
	}
	counters, err := s.lockCounters(ctx, all)
	if err != nil {
		return nil, err
	}
	leases, err := s.leasesOf(ctx, v.Node, all)
	if err != nil {
		return nil, err
	}
	answers := make([]domain.Visited, len(v.All))
	var done visited
	for i, visit := range v.All {
		row, found := counters[all[i]]
		if !found {
			answers[i].Gone = true
			continue
		}
		books, lease := row.books(), leases[all[i]].lease()
		entries, err := books.Visit(&lease, visit.Report, domain.Terms{Limit: visit.Limit, At: v.At, Nodes: v.Nodes})
		if err != nil {
			return nil, err
		}
		answers[i].Books, answers[i].Lease = books, lease
		done.noteReached(row, books, v.At)
		done.add(v, visit, row, answers[i], entries)
	}
	return answers, s.keep(ctx, done)
}

// visited is what visits have changed.
type visited struct {
	counters []counterRow
	leases   []leaseRow
	entries  []creditEntryRow
	reached  []domain.Event // that nothing is left
}

// noteReached notes that all is spent, if it was not before.
func (d *visited) noteReached(before counterRow, after domain.Books, at time.Time) {
	if !after.ReachedAt.IsZero() && !after.ReachedAt.Equal(before.ReachedAt.Time) {
		d.reached = append(d.reached, before.counter().Reached(before.OrganizationID, after, at))
	}
}

func (d *visited) add(v domain.Visits, visit domain.Visit, row counterRow, answer domain.Visited, entries []domain.Entry) {
	if after := row.withBooks(answer.Books); after != row {
		d.counters = append(d.counters, after)
	}
	if l := answer.Lease; l.Number != 0 { // otherwise the row is of a former period, if there is one
		d.leases = append(d.leases, leaseRow{
			NodeID:     v.Node,
			counterKey: row.counterKey,
			Number:     l.Number,
			Period:     micros{l.Period},
			Granted:    l.Granted,
			Spent:      l.Spent,
			At:         micros{v.At},
			Journal:    visit.Journal,
		})
	}
	for _, e := range entries {
		d.entries = append(d.entries, newCreditEntryRow(row, ownEntry(row, e, v.At)))
	}
}

// addCounters adds rows for counters that have none and whose project exists. Rows are
// added and locked in one order, like all others.
func (s *Store) addCounters(ctx context.Context, counters []counterKey) error {
	if len(counters) == 0 {
		return nil
	}
	values, args := counterValues(counters)
	_, err := s.write.NewRaw(`INSERT INTO counters (`+counterKeyColumns+`, organization_id, capacity, spent, leased, forfeited, leases)
		SELECT p.id, v.column2, v.column3, v.column4, v.column5, v.column6, p.organization_id, 0, 0, 0, 0, 0
		FROM `+values+` JOIN projects AS p ON p.id = v.column1 WHERE p.deleted_at IS NULL
		ORDER BY p.id, v.column2, v.column3, v.column4, v.column5, v.column6 ?
		ON CONFLICT DO NOTHING`, append(args, bun.Safe(s.engine.keepRows("p")))...).Exec(ctx)
	return s.error(err)
}

// lockCounters returns those of the counters that have rows, and locks these until the
// transaction ends.
func (s *Store) lockCounters(ctx context.Context, counters []counterKey) (map[counterKey]counterRow, error) {
	var rows []counterRow
	values, args := counterValues(counters)
	q := s.write.NewSelect().Model(&rows).Join("JOIN "+values+" ON "+sameCounter("n"), args...)
	err := s.engine.forUpdate(q.Order("n.project_id", "n.owner_id", "n.type", "n.name", "n.per", "n.subject")).Scan(ctx)
	found := make(map[counterKey]counterRow, len(rows))
	for _, r := range rows {
		found[r.counterKey] = r
	}
	return found, s.error(err)
}

// leasesOf returns the leases that a node has of the counters, which are locked.
func (s *Store) leasesOf(ctx context.Context, node string, counters []counterKey) (map[counterKey]leaseRow, error) {
	var rows []leaseRow
	values, args := counterValues(counters)
	err := s.write.NewSelect().Model(&rows).Join("JOIN "+values+" ON "+sameCounter("e"), args...).Where("e.node_id = ?", node).Scan(ctx)
	found := make(map[counterKey]leaseRow, len(rows))
	for _, r := range rows {
		found[r.counterKey] = r
	}
	return found, s.error(err)
}

// keep writes what visits have changed. The counters are locked.
func (s *Store) keep(ctx context.Context, d visited) error {
	if len(d.counters) > 0 {
		slices.SortFunc(d.counters, func(a, b counterRow) int { return a.counter().Compare(b.counter()) })
		q := s.write.NewInsert().Model(&d.counters).On("CONFLICT (" + counterKeyColumns + ") DO UPDATE")
		for _, column := range []string{
			"period", "capacity", "spent", "leased", "forfeited", "renewed_at", "renews_at", "reached_at", "leases", "owed",
		} {
			q = q.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
		}
		if _, err := q.Exec(ctx); err != nil {
			return s.error(err)
		}
	}
	if len(d.leases) > 0 {
		q := s.write.NewInsert().Model(&d.leases).On("CONFLICT (node_id, " + counterKeyColumns + ") DO UPDATE")
		for _, column := range []string{"number", "period", "granted", "spent", "at", "journal"} {
			q = q.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
		}
		if _, err := q.Exec(ctx); err != nil {
			return s.error(err)
		}
	}
	if len(d.entries) > 0 {
		if _, err := s.write.NewInsert().Model(&d.entries).Exec(ctx); err != nil {
			return s.error(err)
		}
	}
	return s.addReached(ctx, d.reached)
}
