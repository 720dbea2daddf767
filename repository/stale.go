package repository

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// probeLimit is how long the database may take to return stale notes before it
// counts as unreachable.
const probeLimit = time.Second

// noteRow is a stale note, as a trigger writes it.
type noteRow struct {
	bun.BaseModel `bun:"table:changes,alias:c"`

	Xid    int64
	Kind   domain.StaleKind
	Object string

	ProjectID domain.ProjectID
}

func (r noteRow) note() domain.Note {
	return domain.Note{Stale: r.stale(), Project: r.ProjectID, Transaction: r.Xid}
}

func (r noteRow) stale() domain.Stale { return domain.Stale{Kind: r.Kind, ID: r.Object} }

// NoteStale writes a note that no trigger writes, because what is stale is only in the
// memory of nodes. It belongs into a transaction.
func (s *Store) NoteStale(ctx context.Context, n domain.Stale) error {
	_, err := s.write.NewInsert().Model(&noteRow{Kind: n.Kind, Object: n.ID}).Value("xid", s.engine.nextNote()).Exec(ctx)
	return s.error(err)
}

// Feed reads the stale notes of this process and others. It has its own
// connections, so that it neither waits behind requests nor is
// refused with them. Only one goroutine may use it, but any may call Close.
type Feed struct {
	link    *link
	poll    poller
	close   func() error
	history []mark
	pruned  time.Time
}

// poller asks one of the two databases for the stale notes since the last call;
// the first call only finds the current position. now is a number that grows
// with the notes: those below it can be removed once no poller needs them.
type poller interface {
	poll(ctx context.Context) (notes []domain.Note, now int64, err error)
	prune(ctx context.Context, before int64) error
	// db is the feed's own connection, which also keeps the list of nodes.
	db() *bun.DB
	// position is how far the last poll has read.
	position() domain.Position
	// clock is the time of the database at the last poll; zero if it has none of its own.
	clock() time.Time
}

// mark is the position in the notes at a moment.
type mark struct {
	at  time.Time
	now int64
}

const (
	// StaleKept is how long stale notes are kept. A node that was away for longer
	// cannot know what it missed.
	StaleKept = 10 * time.Minute

	pruneEvery = time.Minute
)

// Feed returns the feed of stale notes from now on.
func (s *Store) Feed(ctx context.Context) (*Feed, error) {
	p, end, err := s.engine.follow(ctx, s.link)
	if err != nil {
		return nil, err
	}
	f := &Feed{link: s.link, poll: p, close: end}
	_, _, err = p.poll(ctx)
	if err != nil {
		return nil, errors.Join(s.error(err), end())
	}
	return f, nil
}

// Poll returns the stale notes since the last Poll, in no particular order, and
// perhaps some that it has already returned. It takes a second at
// most.
func (f *Feed) Poll(ctx context.Context) ([]domain.Note, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	notes, now, err := f.poll.poll(ctx)
	if err != nil {
		return nil, domain.Unavailable(err)
	}
	if at := time.Now(); at.Sub(f.pruned) > pruneEvery {
		f.pruned = at
		f.history = append(f.history, mark{at, now})
		for len(f.history) > 0 && at.Sub(f.history[0].at) > StaleKept {
			if err := f.poll.prune(ctx, f.history[0].now); err != nil {
				return notes, nil // removing old notes can wait
			}
			f.history = f.history[1:]
		}
	}
	return notes, nil
}

// Position returns how far the last Poll has read, or where the feed began.
func (f *Feed) Position() domain.Position { return f.poll.position() }

// Clock returns the time of a database server at the last Poll; the zero time for a
// database without a clock of its own.
func (f *Feed) Clock() time.Time { return f.poll.clock() }

// Wake receives when the next Poll should happen immediately.
func (f *Feed) Wake() <-chan struct{} { return f.link.wake }

// Close ends the feed's connections.
func (f *Feed) Close() error { return f.close() }

// stale converts rows of notes.
func stale(rows []noteRow) []domain.Stale {
	notes := make([]domain.Stale, len(rows))
	for i, r := range rows {
		notes[i] = r.stale()
	}
	return notes
}
