// Package repository keeps Latchkey's objects in a database: SQLite embedded, or
// PostgreSQL. It is the only package that knows bun, SQL and the drivers.
//
// Every query for a tenant's rows takes a domain.ProjectScope or a
// domain.OrganizationScope right behind ctx and starts from selectIn, updateIn
// or deleteIn, which add the tenant's predicate. The few methods that find a
// tenant in the first place (…AsMember, CallingKey, KeyByToken) say so.
//
// Errors are *domain.Error: not_found for no row, conflict for a taken unique
// value or a lost race, unavailable when the database cannot answer now. All
// others are internal.
package repository

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/latchkey-dev/latchkey/domain"
)

// Store is a database, or inside InTx one transaction of it.
type Store struct {
	engine      engine
	read, write bun.IDB // apart on SQLite, the same on PostgreSQL and in a transaction
	pools       []*bun.DB
	link        *link
	lookups     *lookups
	onCommit    *[]func() // nil outside of InTx
}

// engine is what the two databases do differently.
type engine interface { //nolint:interfacebloat // it is all that the two differ in
	// name is what the product calls the database: SQLite or PostgreSQL.
	name() string
	// forUpdate locks the selected rows until the transaction ends.
	forUpdate(*bun.SelectQuery) *bun.SelectQuery
	// skipLocked locks the selected rows and leaves out those that are locked.
	skipLocked(*bun.SelectQuery) *bun.SelectQuery
	// keepRows is the clause that keeps the rows which a query reads under an alias
	// from being deleted until its transaction ends.
	keepRows(alias string) string
	// boundWaits makes the transaction give up when it has waited so long for a
	// lock that another one holds; 0: no bound. gaveUp reports that this happened.
	boundWaits(ctx context.Context, tx bun.IDB, d time.Duration) error
	gaveUp(err error) bool
	// yielded reports that the database undid a transaction for the sake of others.
	yielded(err error) bool
	// forDelete locks the selected rows for their removal.
	forDelete(*bun.SelectQuery) *bun.SelectQuery
	// insertMany adds rows, a pointer to a slice of them, in one statement of a
	// transaction.
	insertMany(ctx context.Context, db bun.IDB, rows any) error
	// texts is a table l whose column value holds the texts. A subquery for each is
	// answered by an index, whereas a long IN makes PostgreSQL without statistics,
	// which it lacks in the middle of an import, read the whole table.
	texts(values []string) schema.QueryWithArgs
	// ownChanges returns what a transaction has noted as changed, since what
	// changesSoFar returned at its start; follow opens the feed of changes, and
	// announce tells other processes that it has news.
	changesSoFar(ctx context.Context, tx bun.IDB) (int64, error)
	ownChanges(ctx context.Context, tx bun.IDB, since int64) ([]domain.Stale, error)
	follow(ctx context.Context, l *link) (poller, func() error, error)
	announce(s *Store)
	// placeholder is how the statements that are written by hand name their
	// argument; prepares reports whether the server keeps prepared statements.
	placeholder() string
	prepares() bool
	// clockQuery asks for the version and the time in microseconds; examine finds
	// what only this database can be asked.
	clockQuery() string
	examine(ctx context.Context, s *Store) ([]string, error)
	// translate turns a driver's error into ours, or returns it as it is.
	translate(error) error
	// gooseDialect and locker are how the migration library drives it; SQLite
	// needs no locker, since its writers exclude each other. otherMigrations are
	// the files that are for the other database alone.
	gooseDialect() goose.Dialect
	migratedQuery() string // counts the tables that the library notes migrations in
	otherMigrations() []string
	migrationPool(s *Store) (pool *sql.DB, end func() error)
	locker() (lock.SessionLocker, error)
}

// Open connects to the database at dsn: sqlite:path/to/file, or
// postgres://user@host/name. It fails when the database cannot be reached.
//
// For a PostgreSQL behind a pooler that hands out connections by transaction,
// direct is an address that leads around it, for what needs a connection of its
// own: locks while migrating, and notifications. Otherwise leave it out.
func Open(ctx context.Context, dsn string, direct ...string) (*Store, error) {
	return OpenThrough(ctx, func(c driver.Connector) driver.Connector { return c }, dsn, direct...)
}

// OpenThrough is like Open, but has the driver's connections made by what
// through returns, for those who watch them or have them fail.
func OpenThrough(ctx context.Context, through func(driver.Connector) driver.Connector, dsn string, direct ...string) (*Store, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	var (
		s   *Store
		err error
	)
	switch scheme {
	case "sqlite":
		s, err = openSQLite(ctx, through, rest)
	case "postgres", "postgresql":
		s, err = openPostgres(through, dsn, direct...)
	default:
		return nil, fmt.Errorf("a database is sqlite:PATH or postgres://…, not %s:…", scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Redact(dsn), err)
	}
	if err := s.Ping(ctx); err != nil {
		if unfit, ok := errors.AsType[*UnfitError](err); ok {
			err = unfit // it answers: this is no outage
		}
		return nil, errors.Join(fmt.Errorf("open %s: %w", Redact(dsn), err), s.Close())
	}
	if err := s.checkProgram(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", Redact(dsn), err), s.Close())
	}
	return s, nil
}

// newStore wraps connection pools: one, or the reader's and then the writer's.
func newStore(e engine, d func() schema.Dialect, pools ...*sql.DB) *Store {
	s := &Store{engine: e, link: newLink(), lookups: newLookups()}
	for _, pool := range pools {
		db := bun.NewDB(pool, d(), bun.WithConnResolver(s.link))
		db.AddQueryHook(&s.link.queue) //nolint:staticcheck // the other way gives another DB
		s.pools = append(s.pools, db)
	}
	s.read, s.write = s.pools[0], s.pools[len(s.pools)-1]
	return s
}

// Engine names the database: SQLite or PostgreSQL.
func (s *Store) Engine() string { return s.engine.name() }

// Observe has see told of every statement, as it is sent but without its
// arguments' meaning. It is to be called before the store is used.
func (s *Store) Observe(see func(statement string)) {
	for _, pool := range s.pools {
		pool.AddQueryHook(observer(see)) //nolint:staticcheck // the other way gives another DB, and these are in use
	}
}

// observer is what bun calls around each statement.
type observer func(statement string)

func (o observer) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	o(e.Query)
	return ctx
}

func (observer) AfterQuery(context.Context, *bun.QueryEvent) {}

// Ping asks both pools for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	for _, pool := range s.pools {
		if err := pool.PingContext(ctx); err != nil {
			return domain.Unavailable(err)
		}
	}
	return nil
}

// Close ends all connections.
func (s *Store) Close() error {
	var errs []error
	for _, pool := range s.pools {
		errs = append(errs, pool.Close())
	}
	return errors.Join(append(errs, s.link.refuse.Close())...)
}

// InTx runs fn in a transaction and commits when it returns nil. tx is this
// store over the transaction; using the outer one inside fn would act outside
// of it and, on SQLite, wait for itself. Effects outside the database belong
// after InTx has returned nil. When the database gave the transaction up for
// another one, fn runs a second time, so what it leaves behind outside of the
// transaction must be what it sets itself.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context, tx *Store) error) error {
	if err := s.link.refusal(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var changes []domain.Stale
	var onCommit []func()
	err := s.again(func() error {
		changes, onCommit = nil, nil
		return s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			before, err := s.engine.changesSoFar(ctx, tx)
			if err != nil {
				return err
			}
			inTx := &Store{engine: s.engine, read: tx, write: tx, link: s.link, lookups: s.lookups, onCommit: &onCommit}
			if err := fn(ctx, inTx); err != nil {
				return err
			}
			changes, err = s.engine.ownChanges(ctx, tx, before)
			return err
		})
	})
	// Also after an error: a commit whose answer was lost may have been one.
	if len(changes) > 0 {
		s.link.tellAll(changes)
		s.engine.announce(s)
	}
	for _, act := range onCommit {
		act()
	}
	return s.error(err)
}

// again runs what is whole or not at all, and once more when the database gave it
// up in favor of others that were under way (a deadlock, or an order of changes
// that it could not keep): it has done nothing then.
func (s *Store) again(run func() error) error {
	err := run()
	if s.engine.yielded(err) {
		err = run()
	}
	return err
}

// afterCommit has act called once the transaction has ended, or immediately
// where there is none. It only wakes: what is lost then must come otherwise.
func (s *Store) afterCommit(act func()) {
	if s.onCommit == nil {
		act()
		return
	}
	*s.onCommit = append(*s.onCommit, act)
}

// error is the one place where what the database says becomes a domain error.
func (s *Store) error(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return domain.NotFound()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, sql.ErrTxDone), // ours are ended early by nothing but their deadline and a lost connection
		strings.HasSuffix(err.Error(), "sql: database is closed"):
		s.link.poke() // the feed finds out whether the database is out of reach
		return domain.Unavailable(err)
	}
	if _, ours := errors.AsType[*domain.Error](err); ours {
		return err
	}
	err = s.engine.translate(err)
	if domain.CodeOf(err) == domain.CodeUnavailable {
		s.link.poke()
	}
	return err
}

// conflict is what every unique violation becomes; what was taken is for the
// service to say, which knows what it tried.
func conflict(cause error) error {
	return &domain.Error{Code: domain.CodeConflict, Detail: "That is taken already, or somebody else changed it meanwhile.", Err: cause}
}

// insert adds row. A row with the same unique value gives conflict, without
// ending the transaction, so that the caller may try another value.
func (s *Store) insert(ctx context.Context, row any) error {
	res, err := s.write.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// changed checks that a conditional write met its row, and returns none if not.
func (s *Store) changed(res sql.Result, err error, none error) error {
	if err != nil {
		return s.error(err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return s.error(err)
	} else if n == 0 {
		return none
	}
	return nil
}
