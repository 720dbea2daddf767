package repository

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/latchkey-dev/latchkey/domain"
)

// DjangoTable names the table and the columns of the keys of
// djangorestframework-api-key, or of a model that extends its model. An empty
// column is not read.
type DjangoTable struct {
	Name       string
	Prefix     string
	HashedKey  string
	KeyName    string
	Created    string
	ExpiryDate string
	Revoked    string
	ExternalID string // of a custom model, such as organization_id
}

// DefaultDjangoTable is the table that the library creates.
var DefaultDjangoTable = DjangoTable{
	Name:       "rest_framework_api_key_apikey",
	Prefix:     "prefix",
	HashedKey:  "hashed_key",
	KeyName:    "name",
	Created:    "created",
	ExpiryDate: "expiry_date",
	Revoked:    "revoked",
}

// DjangoKeys reads the keys from the database of a Django project, without
// changing it: postgres://… or sqlite:PATH, also as sqlite:///PATH. It stops at
// the first error.
func DjangoKeys(ctx context.Context, dsn string, table DjangoTable) iter.Seq2[domain.ImportRow, error] {
	return func(yield func(domain.ImportRow, error) bool) {
		db, err := openDjango(dsn)
		if err != nil {
			yield(domain.ImportRow{}, err)
			return
		}
		stopped := false
		err = table.read(ctx, db, func(row domain.ImportRow) bool {
			stopped = !yield(row, nil)
			return !stopped
		})
		if err = errors.Join(err, db.Close()); err != nil && !stopped {
			yield(domain.ImportRow{}, fmt.Errorf("read table %s of %s: %w", table.Name, Redact(dsn), err))
		}
	}
}

func openDjango(dsn string) (*bun.DB, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "sqlite", "sqlite3":
		path := strings.TrimPrefix(rest, "//")
		db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&_pragma=query_only(ON)")
		if err != nil {
			return nil, err
		}
		return bun.NewDB(db, sqlitedialect.New()), nil
	case "postgres", "postgresql":
		config, err := readAddress(dsn)
		if err != nil {
			return nil, fmt.Errorf("the address of the database %w", err)
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
		config.RuntimeParams["default_transaction_read_only"] = "on"
		return bun.NewDB(stdlib.OpenDB(*config), pgdialect.New()), nil
	}
	return nil, fmt.Errorf(
		"a Django database is read from postgres://… or sqlite:PATH, not from %s:…; of others, export the table as CSV", scheme)
}

func (t DjangoTable) read(ctx context.Context, db *bun.DB, take func(domain.ImportRow) bool) error {
	q := db.NewSelect().TableExpr("?", bun.Ident(t.Name))
	for _, column := range t.columns() {
		if column == "" {
			q = q.ColumnExpr("NULL")
		} else {
			q = q.ColumnExpr("?", bun.Ident(column))
		}
	}
	rows, err := q.OrderExpr("?", bun.Ident(t.HashedKey)).Rows(ctx)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values := make([]any, len(t.columns()))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if !take(djangoRow(values)) {
			return nil
		}
	}
	return rows.Err()
}

func (t DjangoTable) columns() []string {
	return []string{t.Prefix, t.HashedKey, t.KeyName, t.Created, t.ExpiryDate, t.Revoked, t.ExternalID}
}

// djangoRow reads the values of the columns. The database and its driver decide
// the type of each.
func djangoRow(values []any) domain.ImportRow {
	text := func(i int) string {
		switch v := values[i].(type) {
		case nil:
			return ""
		case []byte:
			return string(v)
		default:
			return fmt.Sprint(v)
		}
	}
	moment := func(i int) time.Time {
		if t, ok := values[i].(time.Time); ok {
			return t.UTC()
		}
		return domain.ParseImportTime(text(i))
	}
	hash := text(1)
	return domain.ImportRow{
		Prefix:     text(0),
		Hash:       domain.Hidden(hash),
		Algorithm:  domain.AlgorithmOf(hash),
		Name:       text(2),
		CreatedAt:  moment(3),
		ExpiresAt:  moment(4),
		Revoked:    text(5) == "true" || text(5) == "1",
		ExternalID: text(6),
	}
}
