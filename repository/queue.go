package repository

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// Bounds of the queue for the database. A queue that keeps growing helps no
// one: callers at its end would be gone before their turn. And a transaction
// that hangs must not hold SQLite's only writer connection forever.
const (
	mostStatements = 500              // running or waiting for a connection; more are refused
	deadline       = 10 * time.Second // for a statement or a transaction, including its wait
)

// queue counts the statements that run or wait for a connection, and bounds how
// long they take. It implements bun.QueryHook.
type queue struct{ length atomic.Int64 }

type cancelKey struct{}

func (q *queue) full() bool { return q.length.Load() > mostStatements }

func errBusy() error {
	return domain.Unavailable(errors.New("too many statements are waiting for the database"))
}

// BeforeQuery implements bun.QueryHook.
func (q *queue) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	q.length.Add(1)
	switch e.IQuery.(type) {
	case nil, *bun.RawQuery:
		// The context of BEGIN covers the whole transaction. Code with hand-written
		// SQL, such as the doctor or a backup, knows how long it may take.
		return ctx
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	if e.Stash == nil {
		e.Stash = map[any]any{}
	}
	e.Stash[cancelKey{}] = cancel
	return ctx
}

// AfterQuery implements bun.QueryHook.
func (q *queue) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	q.length.Add(-1)
	if cancel, ok := e.Stash[cancelKey{}].(context.CancelFunc); ok {
		cancel()
	}
}
