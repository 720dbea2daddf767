package storetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-dev/latchkey/repository"
)

// FaultKind is how a statement fails.
type FaultKind int

// The kinds of faults.
const (
	Refused FaultKind = iota // the statement is not run
	Cut                      // it is run, and its rows break off before the first
	Lost                     // a COMMIT is done, and its answer is lost
	Stuck                    // it waits until its context ends, and is not run
)

func (k FaultKind) String() string { return [...]string{"refused", "cut", "lost", "stuck"}[k] }

// stuckFor is how long a stuck statement waits for the end of its context: less than
// the deadline that every statement has.
const stuckFor = 3 * time.Second

// Fault makes one of the statements that run under its context fail. It also
// counts BEGIN, COMMIT and the preparation of statements.
type Fault struct {
	At   int // which one fails, from 1; 0: none
	Kind FaultKind
	// Again also makes each later statement with the same text fail, for what is
	// tried twice.
	Again bool
	// Reached, if it is not nil, is called when a statement begins to be stuck.
	Reached func()

	text string

	mu   sync.Mutex
	seen []string
	hit  bool
	left bool
}

type faultKey struct{}

// Context returns a context under which the fault is active.
func (f *Fault) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, faultKey{}, f)
}

// Seen returns the statements that were run so far.
func (f *Fault) Seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

// Hit reports whether the statement has failed.
func (f *Fault) Hit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

// Left reports whether the stuck statement's context has ended while it waited.
func (f *Fault) Left() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left
}

// stuck waits until the context of a statement ends, if the statement is to be
// stuck.
func stuck(ctx context.Context, statement string) error {
	f, ok := ctx.Value(faultKey{}).(*Fault)
	if !ok || f.Kind != Stuck {
		return nil
	}
	if _, fails := meets(ctx, statement, Stuck); !fails {
		return nil
	}
	f.Reached()
	select {
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		f.left = true
		return ctx.Err()
	case <-time.After(stuckFor):
		return errors.New("the statement's context did not end")
	}
}

// meets records a statement and returns how it fails, if it does.
func meets(ctx context.Context, statement string, kinds ...FaultKind) (kind FaultKind, fails bool) {
	f, ok := ctx.Value(faultKey{}).(*Fault)
	if !ok {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Kind == Stuck && !slices.Contains(kinds, Stuck) {
		return 0, false // stuck has counted it
	}
	f.seen = append(f.seen, statement)
	if len(f.seen) == f.At {
		f.text = statement
	} else if !f.hit || !f.Again || statement != f.text {
		return 0, false
	}
	if !slices.Contains(kinds, f.Kind) {
		return 0, false
	}
	f.hit = true
	return f.Kind, true
}

// NewBreakable is like New, for a store whose statements a Fault can make fail.
func NewBreakable(t testing.TB, dsn string) *repository.Store {
	t.Helper()
	outage := outageOf(t.Context(), dsn)
	return open(t, dsn, func(c driver.Connector) driver.Connector { return breakable{c, outage} })
}

// outageOf returns the error of the database's driver during an outage:
// PostgreSQL says that it is shutting down, SQLite that it cannot open its
// file.
func outageOf(ctx context.Context, dsn string) error {
	if !strings.HasPrefix(dsn, "sqlite:") {
		return &pgconn.PgError{Severity: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"}
	}
	db, err := sql.Open("latchkey-sqlite", "file:/there/is/no/such/folder")
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

type breakable struct {
	driver.Connector

	outage error
}

func (b breakable) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := b.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(fullConn)
	if !ok {
		return nil, errors.New("the driver lacks what this wraps")
	}
	return &breakableConn{full, b.outage}, nil
}

// fullConn is what both drivers' connections can do.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
}

type breakableConn struct {
	fullConn

	outage error
}

func (c *breakableConn) ResetSession(ctx context.Context) error {
	if r, ok := c.fullConn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *breakableConn) IsValid() bool {
	v, ok := c.fullConn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *breakableConn) Ping(ctx context.Context) error {
	if _, fails := meets(ctx, "PING", Refused); fails {
		return c.outage
	}
	return c.fullConn.Ping(ctx)
}

func (c *breakableConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.fullConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *breakableConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := stuck(ctx, "PREPARE "+query); err != nil {
		return nil, err
	}
	if _, fails := meets(ctx, "PREPARE "+query, Refused); fails {
		return nil, c.outage
	}
	stmt, err := c.fullConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := stmt.(fullStmt)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks what this wraps"), stmt.Close())
	}
	return &breakableStmt{full, query, c.outage}, nil
}

func (c *breakableConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := stuck(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	if _, fails := meets(ctx, "BEGIN", Refused); fails {
		return nil, c.outage
	}
	tx, err := c.fullConn.BeginTx(ctx, o)
	return &breakableTx{tx, ctx, c.outage}, err
}

func (c *breakableConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := stuck(ctx, query); err != nil {
		return nil, err
	}
	if _, fails := meets(ctx, query, Refused); fails {
		return nil, c.outage
	}
	return c.fullConn.ExecContext(ctx, query, args)
}

func (c *breakableConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return queried(ctx, query, c.outage, func() (driver.Rows, error) { return c.fullConn.QueryContext(ctx, query, args) })
}

func queried(ctx context.Context, query string, outage error, run func() (driver.Rows, error)) (driver.Rows, error) {
	if err := stuck(ctx, query); err != nil {
		return nil, err
	}
	kind, fails := meets(ctx, query, Refused, Cut)
	if fails && kind == Refused {
		return nil, outage
	}
	rows, err := run()
	if err == nil && fails {
		return cutRows{rows, outage}, nil
	}
	return rows, err
}

// cutRows are rows that end with an error before the first one.
type cutRows struct {
	driver.Rows

	outage error
}

func (r cutRows) Next([]driver.Value) error { return r.outage }

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type breakableStmt struct {
	fullStmt

	query  string
	outage error
}

func (s *breakableStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := stuck(ctx, s.query); err != nil {
		return nil, err
	}
	if _, fails := meets(ctx, s.query, Refused); fails {
		return nil, s.outage
	}
	return s.fullStmt.ExecContext(ctx, args)
}

func (s *breakableStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return queried(ctx, s.query, s.outage, func() (driver.Rows, error) { return s.fullStmt.QueryContext(ctx, args) })
}

type breakableTx struct {
	driver.Tx

	ctx    context.Context //nolint:containedctx // Commit has none of its own
	outage error
}

func (tx *breakableTx) Commit() error {
	switch kind, fails := meets(tx.ctx, "COMMIT", Refused, Lost); {
	case fails && kind == Refused:
		return errors.Join(tx.outage, tx.Tx.Rollback())
	case fails:
		return errors.Join(tx.Tx.Commit(), tx.outage)
	}
	return tx.Tx.Commit()
}
