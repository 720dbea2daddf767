package repository

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// probeLimit is how long the database may take to report changes before it
// counts as unreachable.
const probeLimit = time.Second

// link is the state that a store shares with its transactions.
type link struct {
	mu     sync.Mutex
	tell   []func([]domain.Stale)
	down   atomic.Bool
	queue  queue
	refuse *sql.DB
	wake   chan struct{} // the feed should look immediately
	posted chan struct{} // emails have been posted
}

// OnStale adds a function that learns which copies a transaction has made
// untrue, after the transaction and before InTx returns. Triggers note the
// changes in the transaction itself, so no write can omit them. Writes outside
// of InTx reach this process by the feed, like those of other processes.
func (s *Store) OnStale(tell func([]domain.Stale)) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	s.link.tell = append(s.link.tell, tell)
}

func (l *link) tellAll(changes []domain.Stale) {
	l.mu.Lock()
	tell := slices.Clone(l.tell)
	l.mu.Unlock()
	for _, t := range tell {
		t(changes)
	}
}

// SetDown sets whether the database is out of reach. If it is, everything
// except the feed fails immediately with unavailable, instead of queueing for a
// database that does not answer.
func (s *Store) SetDown(down bool) { s.link.down.Store(down) }

func errDown() error { return domain.Unavailable(errors.New("the database is out of reach")) }

// newLink returns a link. Every call to its refusing database fails.
func newLink() *link {
	l := &link{wake: make(chan struct{}, 1), posted: make(chan struct{}, 1)}
	l.refuse = sql.OpenDB(refuser{l})
	return l
}

// refusal returns why no query may be sent to the database now, or nil.
func (l *link) refusal() error {
	switch {
	case l.down.Load():
		return errDown()
	case l.queue.full():
		return errBusy()
	}
	return nil
}

// ResolveConn refuses queries while the database is out of reach or too many
// requests wait for it. It implements bun.ConnResolver.
func (l *link) ResolveConn(context.Context, bun.Query) bun.IConn {
	if l.refusal() != nil {
		return l.refuse
	}
	return nil // the pool itself
}

// Close implements bun.ConnResolver.
func (l *link) Close() error { return nil }

type refuser struct{ link *link }

func (r refuser) Connect(context.Context) (driver.Conn, error) {
	return nil, cmp.Or(r.link.refusal(), errBusy()) // the reason may have ended
}

func (refuser) Driver() driver.Driver { return nil }

// poke makes the feed poll immediately.
func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it is about to poll
	}
}

// mailPosted wakes the receivers of MailPosted.
func (l *link) mailPosted() {
	select {
	case l.posted <- struct{}{}:
	default: // they are about to look
	}
}

// changeRow is a row of the table that triggers write.
type changeRow struct {
	bun.BaseModel `bun:"table:changes,alias:c"`

	Xid    int64
	Kind   domain.StaleKind
	Object string
}

func (r changeRow) stale() domain.Stale { return domain.Stale{Kind: r.Kind, ID: r.Object} }

// Feed reports what this process and others have changed in the database. It
// has its own connections, so that it neither waits behind requests nor is
// refused with them. Only one goroutine may use it, but any may call Close.
type Feed struct {
	link    *link
	poll    poller
	close   func() error
	history []mark
	pruned  time.Time
}

// poller asks one of the two databases what has changed since the last call;
// the first call only finds the current position. now is a number that grows
// with the changes: those below it can be removed once no poller needs them.
type poller interface {
	poll(ctx context.Context) (changes []domain.Stale, now int64, err error)
	prune(ctx context.Context, before int64) error
	// seen and nodes keep the list of servers.
	db() *bun.DB
}

// mark is the position in the changes at a moment.
type mark struct {
	at  time.Time
	now int64
}

const (
	// ChangesKept is how long changes are kept. A node that was away for longer
	// cannot know what it missed.
	ChangesKept = 10 * time.Minute

	pruneEvery = time.Minute
)

// Feed returns the feed of changes from now on.
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

// Poll returns what has changed since the last Poll, in no particular order,
// and perhaps some changes that it has already returned. It takes a second at
// most.
func (f *Feed) Poll(ctx context.Context) ([]domain.Stale, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	changes, now, err := f.poll.poll(ctx)
	if err != nil {
		return nil, domain.Unavailable(err)
	}
	if at := time.Now(); at.Sub(f.pruned) > pruneEvery {
		f.pruned = at
		f.history = append(f.history, mark{at, now})
		for len(f.history) > 0 && at.Sub(f.history[0].at) > ChangesKept {
			if err := f.poll.prune(ctx, f.history[0].now); err != nil {
				return changes, nil // removing old changes can wait
			}
			f.history = f.history[1:]
		}
	}
	return changes, nil
}

// Wake receives when the next Poll should happen immediately.
func (f *Feed) Wake() <-chan struct{} { return f.link.wake }

// Close ends the feed's connections.
func (f *Feed) Close() error { return f.close() }

type nodeRow struct {
	bun.BaseModel `bun:"table:nodes,alias:n"`

	ID        string `bun:",pk"`
	Name      string
	Version   string
	StartedAt micros
	SeenAt    micros
	Lag       int64 // microseconds
}

// nodeForgotten is how long a node that no longer reports stays in the list.
const nodeForgotten = time.Hour

// ReportNode adds n to the list of servers, or updates its entry.
func (f *Feed) ReportNode(ctx context.Context, n domain.Node) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	row := &nodeRow{
		ID: n.ID, Name: n.Name, Version: n.Version, StartedAt: micros{n.StartedAt}, SeenAt: micros{n.SeenAt}, Lag: n.Lag.Microseconds(),
	}
	db := f.poll.db()
	if _, err := db.NewInsert().Model(row).On("CONFLICT (id) DO UPDATE").Set("seen_at = EXCLUDED.seen_at").Set("lag = EXCLUDED.lag").
		Exec(ctx); err != nil {
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
			ID: r.ID, Name: r.Name, Version: r.Version, StartedAt: r.StartedAt.Time, SeenAt: r.SeenAt.Time,
			Lag: time.Duration(r.Lag) * time.Microsecond,
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

// stale converts rows of changes.
func stale(rows []changeRow) []domain.Stale {
	changes := make([]domain.Stale, len(rows))
	for i, r := range rows {
		changes[i] = r.stale()
	}
	return changes
}
