package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type creditEntryRow struct {
	bun.BaseModel `bun:"table:credit_entries,alias:c"`

	ID             domain.CreditEntryID `bun:",pk"`
	OrganizationID domain.OrganizationID
	ProjectID      domain.ProjectID
	OwnerID        string
	Name           string
	Per            domain.Per
	Subject        string
	Kind           domain.EntryKind
	Amount         int64
	Reason         string
	CreatedAt      micros
	ActorKind      domain.ActorKind
	ActorID        string
	ActorName      string
}

func (r creditEntryRow) entry() domain.CreditEntry {
	return domain.CreditEntry{
		ID: r.ID,
		Counter: domain.Counter{
			Owner:   r.OwnerID,
			Type:    domain.Credits,
			Name:    r.Name,
			Per:     r.Per,
			Subject: r.Subject,
		},
		Kind:      r.Kind,
		Amount:    r.Amount,
		Reason:    r.Reason,
		CreatedAt: r.CreatedAt.Time,
		CreatedBy: domain.Actor{Kind: r.ActorKind, ID: r.ActorID, Name: r.ActorName},
	}
}

func newCreditEntryRow(of counterRow, e domain.CreditEntry) creditEntryRow {
	return creditEntryRow{
		ID:             e.ID,
		OrganizationID: of.OrganizationID,
		ProjectID:      of.ProjectID,
		OwnerID:        of.OwnerID,
		Name:           of.Name,
		Per:            of.Per,
		Subject:        of.Subject,
		Kind:           e.Kind,
		Amount:         e.Amount,
		Reason:         e.Reason,
		CreatedAt:      micros{e.CreatedAt},
		ActorKind:      e.CreatedBy.Kind,
		ActorID:        e.CreatedBy.ID,
		ActorName:      e.CreatedBy.Name,
	}
}

// ownEntry is an entry that nothing has asked for.
func ownEntry(of counterRow, e domain.Entry, at time.Time) domain.CreditEntry {
	return domain.CreditEntry{
		ID:        domain.NewID[domain.CreditEntryID](at),
		Counter:   of.counter().Counter,
		Kind:      e.Kind,
		Amount:    e.Amount,
		CreatedAt: at,
		CreatedBy: domain.LimitActor,
	}
}

// ChangeCredits adds a grant or a refund to the credits of a counter of the project,
// which may be new, and returns the entry with the amount that was added and the
// books. A grant that is negative takes back what is available, and a refund gives
// back what was forfeited. It belongs into a transaction.
func (s *Store) ChangeCredits(
	ctx context.Context, scope domain.ProjectScope, t domain.Terms, e domain.CreditEntry,
) (domain.CreditEntry, domain.Books, error) {
	var books domain.Books
	err := s.changeCounter(ctx, scope, e.Counter, func(row counterRow) (visited, error) {
		books = row.books()
		opened, err := books.Visit(&domain.Lease{}, domain.Report{}, t)
		if err != nil {
			return visited{}, err
		}
		if e.Kind == domain.EntryRefund {
			e.Amount = books.Refund(e.Amount)
		} else {
			e.Amount = books.Grant(e.Amount)
		}
		done := visited{counters: []counterRow{row.withBooks(books)}}
		for _, o := range opened {
			done.entries = append(done.entries, newCreditEntryRow(row, ownEntry(row, o, t.At)))
		}
		done.entries = append(done.entries, newCreditEntryRow(row, e))
		return done, nil
	})
	return e, books, err
}

// ChangeBooks changes the books of a quota or of credits of the project, which may be
// new, after what was due. It belongs into a transaction.
func (s *Store) ChangeBooks(
	ctx context.Context, scope domain.ProjectScope, c domain.Counter, t domain.Terms, change func(*domain.Books),
) error {
	return s.changeCounter(ctx, scope, c, func(row counterRow) (visited, error) {
		books := row.books()
		opened, err := books.Visit(&domain.Lease{}, domain.Report{}, t)
		if err != nil {
			return visited{}, err
		}
		change(&books)
		done := visited{counters: []counterRow{row.withBooks(books)}}
		done.noteReached(row, books, t.At)
		for _, o := range opened {
			done.entries = append(done.entries, newCreditEntryRow(row, ownEntry(row, o, t.At)))
		}
		return done, nil
	})
}

// ResetCounter begins the period of a quota of the project anew. Leases of it are over:
// what nodes have spent of them until they hear of it counts for the period that has
// ended. It belongs into a transaction.
func (s *Store) ResetCounter(ctx context.Context, scope domain.ProjectScope, c domain.Counter, t domain.Terms) (domain.Books, error) {
	var books domain.Books
	err := s.changeCounter(ctx, scope, c, func(row counterRow) (visited, error) {
		books = row.books()
		err := books.Reset(t)
		return visited{counters: []counterRow{row.withBooks(books)}}, err
	})
	return books, err
}

// changeCounter changes a counter of the project, which may be new, under its lock.
func (s *Store) changeCounter(
	ctx context.Context, scope domain.ProjectScope, c domain.Counter, change func(counterRow) (visited, error),
) error {
	key := []counterKey{newCounterKey(domain.ProjectCounter{Project: scope.Project(), Counter: c})}
	if err := s.addCounters(ctx, key); err != nil {
		return err
	}
	rows, err := s.lockCounters(ctx, key)
	if err != nil {
		return err
	}
	row, found := rows[key[0]]
	if !found || row.OrganizationID != scope.Organization() {
		return domain.NotFound()
	}
	done, err := change(row)
	if err != nil {
		return err
	}
	return s.keep(ctx, done)
}

// Books returns the books of a counter of the project; the zero value if nothing was
// taken from it yet.
func (s *Store) Books(ctx context.Context, scope domain.ProjectScope, c domain.Counter) (domain.Books, error) {
	var row counterRow
	err := selectIn(s, scope, &row).Where("n.owner_id = ?", c.Owner).Where("n.type = ?", c.Type).Where("n.name = ?", c.Name).
		Where("n.per = ?", c.Per).Where("n.subject = ?", c.Subject).Scan(ctx)
	if err = s.error(err); domain.CodeOf(err) == domain.CodeNotFound {
		return domain.Books{}, nil
	}
	return row.books(), err
}

// CreditFilter narrows a list of entries; the zero value does not.
type CreditFilter struct {
	Name    string     // of the limit
	Per     domain.Per // with Subject
	Subject string     // a key's id, an external id or the project's id

	Among []domain.Subject // counted over one of these
}

// ListCreditEntries returns the changes of the project's credits, newest first.
func (s *Store) ListCreditEntries(
	ctx context.Context, scope domain.ProjectScope, f CreditFilter, p domain.Page,
) (domain.List[domain.CreditEntry], error) {
	var rows []creditEntryRow
	q := newest(selectIn(s, scope, &rows), "created_at", p)
	if f.Subject != "" {
		q = q.Where("c.subject = ?", f.Subject).Where("c.per = ?", f.Per)
	}
	if len(f.Among) > 0 {
		q = q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			for _, over := range f.Among {
				q = q.WhereOr("c.subject = ? AND c.per = ?", over.ID, over.Per)
			}
			return q
		})
	}
	if f.Name != "" {
		q = q.Where("c.name = ?", f.Name)
	}
	if err := q.Scan(ctx); err != nil {
		return domain.List[domain.CreditEntry]{}, s.error(err)
	}
	return list(rows, p, creditEntryRow.entry, func(e domain.CreditEntry) domain.Cursor {
		return domain.Cursor{At: e.CreatedAt, ID: string(e.ID)}
	}), nil
}
