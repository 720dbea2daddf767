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

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// link is the state that a store shares with its transactions.
type link struct {
	mu      sync.Mutex
	onStale []func([]domain.Stale)
	down    atomic.Bool
	queue   queue
	refuse  *sql.DB
	wake    chan struct{} // the feed should look immediately
	posted  chan struct{} // emails have been posted
	queued  chan struct{} // events have been written, which webhooks may wait for
}

// OnStale adds a function that receives the stale notes of each transaction,
// after the transaction and before InTx returns. Triggers write the notes in the
// transaction itself, so no write can omit them. The notes of writes outside of
// InTx reach this process by the feed, like those of other processes.
func (s *Store) OnStale(hear func([]domain.Stale)) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	s.link.onStale = append(s.link.onStale, hear)
}

func (l *link) passOn(notes []domain.Stale) {
	l.mu.Lock()
	all := slices.Clone(l.onStale)
	l.mu.Unlock()
	for _, hear := range all {
		hear(notes)
	}
}

// SetDown sets whether the database is out of reach. If it is, everything
// except the feed fails immediately with unavailable, instead of queueing for a
// database that does not answer.
func (s *Store) SetDown(down bool) { s.link.down.Store(down) }

func errDown() error { return domain.Unavailable(errors.New("the database is out of reach")) }

// newLink returns a link. Every call to its refusing database fails.
func newLink() *link {
	l := &link{wake: make(chan struct{}, 1), posted: make(chan struct{}, 1), queued: make(chan struct{}, 1)}
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

// deliveriesQueued wakes the receivers of DeliveriesQueued.
func (l *link) deliveriesQueued() {
	select {
	case l.queued <- struct{}{}:
	default: // they are about to look
	}
}
