// Package repository keeps Latchkey's objects in a database: embedded SQLite,
// or PostgreSQL. It is the only package that knows bun, SQL and the drivers.
//
// Every query for a tenant's rows takes a domain.ProjectScope or a
// domain.OrganizationScope right after ctx and starts from selectIn, updateIn
// or deleteIn, which add the tenant's predicate. The few methods that find a
// tenant in the first place (…AsMember, CallingKey, KeyByToken) say so.
//
// Errors are *domain.Error: not_found for no row, conflict for a taken unique
// value or a lost race, unavailable if the database cannot answer now. All
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

// Store is a database or, inside InTx, one transaction of it.
type Store struct {
	engine      engine
	read, write bun.IDB // separate on SQLite; the same on PostgreSQL and in a transaction
	pools       []*bun.DB
	link        *link
	lookups     *lookups
	onCommit    *[]func() // nil outside of InTx
}

// engine is how the two databases differ.
type engine interface { //nolint:interfacebloat // it is all that the two differ in
	// name is what the product calls the database: SQLite or PostgreSQL.
	name() string
	// forUpdate locks the selected rows until the transaction ends.
	forUpdate(*bun.SelectQuery) *bun.SelectQuery
	// skipLocked locks the selected rows and skips those that are locked.
	skipLocked(*bun.SelectQuery) *bun.SelectQuery
	// keepRows is the clause that prevents the deletion of the rows that a query
	// reads under an alias, until its transaction ends.
	keepRows(alias string) string
	// boundWaits makes the transaction give up after it has waited this long for a
	// lock of another one; 0: no bound. gaveUp reports that this happened.
	boundWaits(ctx context.Context, tx bun.IDB, d time.Duration) error
	gaveUp(err error) bool
	// yielded reports that the database rolled back a transaction in favor of
	// others.
	yielded(err error) bool
	// forDelete locks the selected rows for their removal.
	forDelete(*bun.SelectQuery) *bun.SelectQuery
	// insertMany adds rows, a pointer to a slice, in one statement of a
	// transaction.
	insertMany(ctx context.Context, db bun.IDB, rows any) error
	// texts is a table l whose column value holds the texts. An index answers a
	// subquery for each of them. A long IN makes PostgreSQL read the whole table if
	// it has no statistics, as in the middle of an import.
	texts(values []string) schema.QueryWithArgs
	// ownStale returns the stale notes of a transaction since the result of
	// staleSoFar at its start; follow opens the feed of stale notes; announce
	// says to other processes that there are new ones.
	staleSoFar(ctx context.Context, tx bun.IDB) (int64, error)
	ownStale(ctx context.Context, tx bun.IDB, since int64) ([]domain.Stale, error)
	follow(ctx context.Context, l *link) (poller, func() error, error)
	announce(s *Store)
	// nextNote is the number of a note that the transaction writes itself.
	nextNote() string
	// placeholder is the argument in hand-written statements; prepares reports
	// whether the server keeps prepared statements.
	placeholder() string
	prepares() bool
	// clockQuery asks for the version and the time in microseconds; checkHealth makes
	// the checks that are specific to this database.
	clockQuery() string
	checkHealth(ctx context.Context, s *Store) ([]string, error)
	// translate turns a driver's error into a *domain.Error, or returns it
	// unchanged.
	translate(error) error
	// gooseDialect and locker are for the migration library; SQLite needs no
	// locker, since its writers exclude each other. otherMigrations are the files
	// for the other database only.
	gooseDialect() goose.Dialect
	migratedQuery() string // counts the tables that the library notes migrations in
	otherMigrations() []string
	migrationPool(s *Store) (pool *sql.DB, end func() error)
	locker() (lock.SessionLocker, error)
}

// Options are how a store connects. The zero value is for most databases.
type Options struct {
	// Direct is the address of a PostgreSQL that goes around its pooler, where one
	// assigns connections by transaction, for what needs its own connection: locks
	// during migrations, and notifications.
	Direct string
	// Through returns the connector that makes the driver's connections, for code
	// that observes them or makes them fail; nil: the driver's own.
	Through func(driver.Connector) driver.Connector
}

// Open connects to the database at dsn: sqlite:path/to/file, or
// postgres://user@host/name. It fails if the database cannot be reached.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if o.Through == nil {
		o.Through = func(c driver.Connector) driver.Connector { return c }
	}
	scheme, rest, _ := strings.Cut(dsn, ":")
	var (
		s   *Store
		err error
	)
	switch scheme {
	case "sqlite":
		s, err = openSQLite(ctx, o.Through, rest)
	case "postgres", "postgresql":
		s, err = openPostgres(dsn, o)
	default:
		return nil, fmt.Errorf("a database is sqlite:PATH or postgres://…, not %s:…", scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Redact(dsn), err)
	}
	if err := s.Ping(ctx); err != nil {
		if unfit, ok := errors.AsType[*UnfitError](err); ok {
			err = unfit // it answers, so this is no outage
		}
		return nil, errors.Join(fmt.Errorf("open %s: %w", Redact(dsn), err), s.Close())
	}
	if err := s.checkProgram(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", Redact(dsn), err), s.Close())
	}
	return s, nil
}

// newStore wraps connection pools: one, or the reader's and the writer's.
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

// Observe calls see with every statement as it is sent; the arguments are not
// interpreted. Call it before the store is used.
func (s *Store) Observe(see func(statement string)) {
	for _, pool := range s.pools {
		pool.AddQueryHook(observer(see)) //nolint:staticcheck // the other way gives another DB, and these are in use
	}
}

// observer is called by bun around each statement.
type observer func(statement string)

func (o observer) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	o(e.Query)
	return ctx
}

func (observer) AfterQuery(context.Context, *bun.QueryEvent) {}

// Ping checks that both pools answer.
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

// InTx runs fn in a transaction and commits if it returns nil. tx is this store
// over the transaction; using the outer one inside fn would act outside of it
// and, on SQLite, wait for itself. Effects outside the database belong after
// InTx has returned nil. If the database rolled the transaction back in favor
// of another one, fn runs a second time, so it must overwrite what the first
// run left outside of the transaction.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context, tx *Store) error) error {
	if err := s.link.refusal(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var notes []domain.Stale
	var onCommit []func()
	err := s.again(func() error {
		notes, onCommit = nil, nil
		return s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			before, err := s.engine.staleSoFar(ctx, tx)
			if err != nil {
				return err
			}
			inTx := &Store{
				engine:   s.engine,
				read:     tx,
				write:    tx,
				link:     s.link,
				lookups:  s.lookups,
				onCommit: &onCommit,
			}
			if err := fn(ctx, inTx); err != nil {
				return err
			}
			notes, err = s.engine.ownStale(ctx, tx, before)
			return err
		})
	})
	// Also after an error: if only the answer was lost, the commit succeeded.
	if len(notes) > 0 {
		s.link.passOn(notes)
		s.engine.announce(s)
	}
	for _, act := range onCommit {
		act()
	}
	return s.error(err)
}

// again runs an operation that is done completely or not at all, and repeats it
// once if the database rolled it back in favor of others (a deadlock, or an
// order of changes that it could not keep): then it has done nothing.
func (s *Store) again(run func() error) error {
	err := run()
	if s.engine.yielded(err) {
		err = run()
	}
	return err
}

// afterCommit calls act once the transaction has ended, or immediately if there
// is none. act only wakes: losing the call must do no harm.
func (s *Store) afterCommit(act func()) {
	if s.onCommit == nil {
		act()
		return
	}
	*s.onCommit = append(*s.onCommit, act)
}

// error is the one place where an error of the database becomes a domain error.
func (s *Store) error(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return domain.NotFound()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, sql.ErrTxDone), // only a deadline or a lost connection ends transactions early
		strings.HasSuffix(err.Error(), "sql: database is closed"):
		s.link.poke() // the feed checks whether the database is out of reach
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

// conflict is the error for every unique violation. The service knows what it
// tried, so it says what was taken.
func conflict(cause error) error {
	return &domain.Error{Code: domain.CodeConflict, Detail: "That is already taken, or someone else changed it first.", Err: cause}
}

// insert adds row. A row with the same unique value gives conflict without
// ending the transaction, so that the caller can try another value.
func (s *Store) insert(ctx context.Context, row any) error {
	res, err := s.write.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// changed returns none if a conditional write found no row.
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
