package repository

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// Kind is what a statement does, as far as its time is concerned.
type Kind string

// The kinds of statements. A transaction has statements of several kinds.
const (
	LookUp Kind = "look-up" // of a key that is not in memory
	Read   Kind = "read"
	Write  Kind = "write"
	Commit Kind = "commit"
	Other  Kind = "other"
)

// Kinds are all of them.
var Kinds = []Kind{LookUp, Read, Write, Commit, Other}

var kindOf = map[string]Kind{"SELECT": Read, "WITH": Read, "INSERT": Write, "UPDATE": Write, "DELETE": Write, "COMMIT": Commit}

// Measure calls note after every statement, with the time from the moment at which it
// was wanted, the wait for a connection included. unavailable reports that it failed
// because the database was out of reach, too slow, or had too many statements waiting
// for it. Call it before the store is used.
func (s *Store) Measure(note func(kind Kind, took time.Duration, unavailable bool)) {
	for _, pool := range s.pools {
		pool.AddQueryHook(clock{s, note}) //nolint:staticcheck // the other way gives another DB, and these are in use
	}
	s.lookups.measured = note
}

// clock is called by bun around each statement.
type clock struct {
	store *Store
	note  func(Kind, time.Duration, bool)
}

// BeforeQuery implements bun.QueryHook.
func (clock) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

// AfterQuery implements bun.QueryHook.
func (c clock) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	kind, ok := kindOf[verb(e.Query)]
	if !ok {
		kind = Other
	}
	c.note(kind, time.Since(e.StartTime), domain.CodeOf(c.store.error(e.Err)) == domain.CodeUnavailable)
}

// Pool is how the connections to the database are used.
type Pool struct {
	Name string // one for SQLite's reads and one for its writes; all otherwise

	Most, InUse, Idle int
	Waits             int64 // for a connection, since the start
	Waited            time.Duration
}

// Traffic is what is at the database now.
type Traffic struct {
	Pools             []Pool
	Queue, QueueLimit int // statements that run or wait, and how many may
}

// Traffic returns what is at the database now.
func (s *Store) Traffic() Traffic {
	names := []string{"all"}
	if len(s.pools) > 1 {
		names = []string{"read", "write"}
	}
	t := Traffic{Queue: int(s.link.queue.length.Load()), QueueLimit: mostStatements}
	for i, pool := range s.pools {
		t.Pools = append(t.Pools, newPool(names[i], pool.Stats()))
	}
	return t
}

func newPool(name string, s sql.DBStats) Pool {
	return Pool{
		Name:   name,
		Most:   s.MaxOpenConnections,
		InUse:  s.InUse,
		Idle:   s.Idle,
		Waits:  s.WaitCount,
		Waited: s.WaitDuration,
	}
}
