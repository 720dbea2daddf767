package repository

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// Bounds of what waits for the database. A queue that grows helps nobody: those
// at its end would be gone before their turn. And a transaction that is stuck
// must not hold the only writer connection of SQLite for ever.
const (
	mostStatements = 500              // under way or waiting for a connection; all beyond are refused
	deadline       = 10 * time.Second // for a statement or a transaction, its turn included
)

// queue counts the statements under way or waiting for a connection, and bounds
// how long they take. It implements bun.QueryHook.
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
		// The context of BEGIN is that of the whole transaction, and who writes SQL by
		// hand, such as the doctor or a backup, knows how long it may take.
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
