package repository

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"

	"github.com/uptrace/bun/schema"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/migrations"
)

// postgresConnections bounds the pool of one node. More connections do not make
// PostgreSQL faster on a machine of a few cores; they only queue inside it.
const postgresConnections = 20

type postgresEngine struct {
	config, direct *pgx.ConnConfig
	pooled         bool // config connects to a pooler
	announcer      *announcer
}

func openPostgres(dsn string, o Options) (*Store, error) {
	config, err := parsePostgres(dsn)
	if err != nil {
		return nil, err
	}
	e := postgresEngine{config: config, direct: config, announcer: &announcer{}}
	if o.Direct != "" {
		if e.direct, err = parsePostgres(o.Direct); err != nil {
			return nil, fmt.Errorf("the direct address: %w", err)
		}
		e.pooled = true
	}
	db := sql.OpenDB(o.Through(stdlib.GetConnector(*config)))
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	return newStore(e, func() schema.Dialect { return newPostgresDialect() }, db), nil
}

func (postgresEngine) name() string { return "PostgreSQL" }

// forUpdate allows references to the locked row: recording a use of a key does
// not wait for a change to the key, nor the other way round.
func (postgresEngine) forUpdate(q *bun.SelectQuery) *bun.SelectQuery {
	return q.For("NO KEY UPDATE OF ?TableAlias")
}

func (postgresEngine) skipLocked(q *bun.SelectQuery) *bun.SelectQuery {
	return q.For("UPDATE OF ?TableAlias SKIP LOCKED")
}

func (postgresEngine) forDelete(q *bun.SelectQuery) *bun.SelectQuery {
	return q.For("UPDATE OF ?TableAlias")
}

func (postgresEngine) yielded(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == pgDeadlock || e.Code == pgSerialization)
}

func (postgresEngine) keepRows(alias string) string { return "FOR KEY SHARE OF " + alias }

func (postgresEngine) boundWaits(ctx context.Context, tx bun.IDB, d time.Duration) error {
	_, err := tx.NewRaw("SET LOCAL lock_timeout = ?", d.Milliseconds()).Exec(ctx)
	return err
}

func (postgresEngine) gaveUp(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == pgLockNotAvailable
}

// insertMany sends the rows as one array for each column. PostgreSQL needs
// little more time for it than for COPY, and three times as much for a thousand
// VALUES. bun would write the arrays into the statement, so it is sent by the
// transaction below bun.
func (postgresEngine) insertMany(ctx context.Context, db bun.IDB, rows any) error {
	tx, ok := db.(bun.Tx)
	if !ok {
		return errors.New("many rows are added in a transaction")
	}
	all := reflect.Indirect(reflect.ValueOf(rows))
	table := db.Dialect().Tables().Get(all.Type().Elem())
	var columns, unnested []string
	var arrays []any
	for _, f := range table.Fields {
		if f.Tag.HasOption("scanonly") {
			continue
		}
		array, kind := columnArray(f, all)
		columns, arrays = append(columns, f.Name), append(arrays, array)
		unnested = append(unnested, fmt.Sprintf("$%d::%s", len(arrays), kind))
	}
	list := strings.Join(columns, ", ")
	_, err := tx.Tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS r (%s)",
		table.Name, list, list, strings.Join(unnested, ", "), list), arrays...)
	return err
}

// columnArray returns the values of a field in all rows, as an array with NULLs
// that pgx can send, and the type of the array.
func columnArray(f *schema.Field, rows reflect.Value) (array any, kind string) {
	switch {
	case f.Tag.HasOption("type"):
		return column(f, rows, func(v any) string {
			text, _ := json.Marshal(v) // they are texts, numbers, and lists of them
			return string(text)
		}), "text[]::" + f.UserSQLType + "[]"
	case f.IndirectType == reflect.TypeFor[micros]():
		return column(f, rows, func(v any) int64 { return v.(micros).UnixMicro() }), "bigint[]"
	case f.IndirectType.Kind() == reflect.Int, f.IndirectType.Kind() == reflect.Int64:
		return column(f, rows, func(v any) int64 { return reflect.ValueOf(v).Int() }), "bigint[]"
	case f.IndirectType.Kind() == reflect.Slice:
		return column(f, rows, func(v any) []byte { return v.([]byte) }), "bytea[]"
	case f.IndirectType.Kind() == reflect.Bool:
		return column(f, rows, func(v any) bool { return v.(bool) }), "boolean[]"
	}
	return column(f, rows, func(v any) string { return reflect.ValueOf(v).String() }), "text[]"
}

// column converts the values of a field in all rows; nil is NULL.
func column[T any](f *schema.Field, rows reflect.Value, convert func(any) T) []*T {
	all := make([]*T, rows.Len())
	for i := range all {
		row := reflect.Indirect(rows.Index(i))
		v := f.Value(row).Interface()
		_, isTime := v.(micros)
		_, isBytes := v.([]byte)
		if (f.NullZero || isTime || isBytes) && f.HasZeroValue(row) {
			continue
		}
		value := convert(v)
		all[i] = &value
	}
	return all
}

func (postgresEngine) texts(values []string) schema.QueryWithArgs {
	return bun.SafeQuery("unnest(?::text[]) AS l (value)", arrayOfTexts(values))
}

func (postgresEngine) gooseDialect() goose.Dialect { return goose.DialectPostgres }

func (e postgresEngine) announce(s *Store) { e.announcer.announce(s.pools[0], s.link.poke) }

func (postgresEngine) placeholder() string { return "$1" }

func (e postgresEngine) prepares() bool { return !e.pooled }

// migrationPool goes around a pooler, which would release the lock.
func (e postgresEngine) migrationPool(s *Store) (*sql.DB, func() error) {
	if !e.pooled {
		return s.pools[0].DB, func() error { return nil }
	}
	db := stdlib.OpenDB(*e.direct)
	return db, db.Close
}

func (postgresEngine) otherMigrations() []string { return migrations.Only("sqlite") }

// locker lets one node migrate while other nodes wait, for two minutes at most.
func (postgresEngine) locker() (lock.SessionLocker, error) {
	return lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
}

// SQLSTATE codes and classes, PostgreSQL documentation, appendix A.
const (
	pgUniqueViolation     = "23505"
	pgForeignKeyViolation = "23503"
	pgLockNotAvailable    = "55P03"
	pgDeadlock            = "40P01"
	pgSerialization       = "40001"
)

// pgUnavailable are the classes that mean "not now": connection exceptions,
// rolled-back transactions, insufficient resources, operator intervention,
// system errors; and 55P03 and 25006, a lock that is not available and a
// read-only server, such as a standby after a failover.
var pgUnavailable = []string{"08", "40", "53", "57", "58", pgLockNotAvailable, "25006"}

func (postgresEngine) translate(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case e.Code == pgUniqueViolation:
			return conflict(err)
		case e.Code == pgForeignKeyViolation:
			return domain.NotFound()
		}
		for _, class := range pgUnavailable {
			if strings.HasPrefix(e.Code, class) {
				return domain.Unavailable(err)
			}
		}
		return err
	}
	_, network := errors.AsType[net.Error](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if network || connecting || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "conn closed") {
		return domain.Unavailable(err)
	}
	return err
}
