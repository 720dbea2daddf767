package repository

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/migrations"
)

// sqliteReaders bounds the pool that reads. With WAL, reads continue beside the
// one connection that writes.
const sqliteReaders = 8

// sqliteDriver is the driver with a LOWER that knows all letters, as
// PostgreSQL's does; SQLite's own knows only ASCII.
const sqliteDriver = "latchkey-sqlite"

// sqliteConnector connects to the SQLite database of an address.
type sqliteConnector string

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	return lowering.Open(string(c))
}

func (sqliteConnector) Driver() driver.Driver { return lowering }

var lowering = &sqlite.Driver{}

func init() {
	d := lowering
	d.MustRegisterDeterministicScalarFunction("lower", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if text, ok := args[0].(string); ok {
			return strings.ToLower(text), nil
		}
		return args[0], nil
	})
	sql.Register(sqliteDriver, d)
}

type sqliteEngine struct{ dsn string }

// openSQLite opens the file at path. Writers queue in Go for one connection,
// and transactions take the write lock when they begin, so that none fails in
// the middle with SQLITE_BUSY. synchronous=FULL: what is acknowledged survives
// a crash.
func openSQLite(ctx context.Context, through func(driver.Connector) driver.Connector, path string) (*Store, error) {
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	// Create the file here, for its owner alone: SQLite would let every user of the
	// machine read it. Its other files get the mode of this one.
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "foreign_keys(ON)", "synchronous(FULL)"},
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
	write := sql.OpenDB(through(sqliteConnector(dsn)))
	write.SetMaxOpenConns(1)
	read := sql.OpenDB(through(sqliteConnector(dsn + "&_pragma=query_only(ON)")))
	read.SetMaxOpenConns(sqliteReaders)
	read.SetMaxIdleConns(sqliteReaders)
	// The writer comes first: it creates the file and turns WAL on.
	if err := write.PingContext(ctx); err != nil {
		return nil, errors.Join(err, write.Close(), read.Close())
	}
	return newStore(sqliteEngine{dsn}, func() schema.Dialect { return sqlitedialect.New() }, read, write), nil
}

func (sqliteEngine) name() string { return "SQLite" }

// forDelete adds nothing either.
func (sqliteEngine) forDelete(q *bun.SelectQuery) *bun.SelectQuery { return q }

// yielded is always false: writers wait for each other.
func (sqliteEngine) yielded(error) bool { return false }

// forUpdate adds nothing: a transaction that writes is the only one.
func (sqliteEngine) forUpdate(q *bun.SelectQuery) *bun.SelectQuery { return q }

// skipLocked skips nothing, for the same reason.
func (sqliteEngine) skipLocked(q *bun.SelectQuery) *bun.SelectQuery { return q }

// keepRows adds nothing, for the same reason.
func (sqliteEngine) keepRows(string) string { return "" }

// boundWaits bounds nothing: a transaction waits before it begins, or not at
// all.
func (sqliteEngine) boundWaits(context.Context, bun.IDB, time.Duration) error { return nil }

func (sqliteEngine) gaveUp(error) bool { return false }

func (sqliteEngine) insertMany(ctx context.Context, db bun.IDB, rows any) error {
	_, err := db.NewInsert().Model(rows).Exec(ctx)
	return err
}

func (sqliteEngine) texts(values []string) schema.QueryWithArgs {
	text, _ := json.Marshal(values) //nolint:errchkjson // strings cannot fail
	return bun.SafeQuery("json_each(?) AS l", string(text))
}

func (sqliteEngine) gooseDialect() goose.Dialect { return goose.DialectSQLite3 }

// announce does nothing: other processes watch the file.
func (sqliteEngine) announce(*Store) {}

func (sqliteEngine) placeholder() string { return "?" }

func (sqliteEngine) prepares() bool { return true }

func (sqliteEngine) migrationPool(s *Store) (*sql.DB, func() error) {
	return s.pools[len(s.pools)-1].DB, func() error { return nil }
}

func (sqliteEngine) otherMigrations() []string { return migrations.Only("postgres") }

func (sqliteEngine) locker() (lock.SessionLocker, error) { return nil, nil } //nolint:nilnil // none is needed

func (sqliteEngine) translate(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return conflict(err)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return domain.NotFound()
	case sqlite3.SQLITE_CONSTRAINT_TRIGGER:
		if strings.Contains(err.Error(), "FOREIGN KEY") { // a trigger that is one
			return domain.NotFound()
		}
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT:
		return domain.Unavailable(err)
	}
	return err
}
