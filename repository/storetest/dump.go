package storetest

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Dump is the content of a database: the rows of each table, in no particular
// order.
type Dump map[string][]string

// notKept are tables and columns that change without a request: what nodes tell
// each other, and the times of last use.
var notKept = []string{"changes", "nodes", "goose_db_version", "sqlite_sequence", "last_used_at"}

// Dumper reads the content of a database.
type Dumper struct {
	db     *sql.DB
	tables []string
}

// NewDumper returns a Dumper of the database at dsn, which has all its tables.
func NewDumper(t testing.TB, dsn string) *Dumper {
	t.Helper()
	driver, address, tables := "pgx", dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, address, tables = "latchkey-sqlite", "file:"+path, "SELECT name FROM sqlite_master WHERE type = 'table'"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d := &Dumper{db: db}
	d.tables, err = readRows(t.Context(), db, tables)
	if err != nil {
		t.Fatal(err)
	}
	d.tables = slices.DeleteFunc(d.tables, func(name string) bool { return slices.Contains(notKept, name) })
	slices.Sort(d.tables)
	return d
}

// Dump reads all tables.
func (d *Dumper) Dump(t testing.TB) Dump {
	t.Helper()
	dump := Dump{}
	for _, table := range d.tables {
		rows, err := readRows(t.Context(), d.db, "SELECT * FROM "+table) //nolint:unqueryvet // all there is, whatever a migration adds
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(rows)
		dump[table] = rows
	}
	return dump
}

// readRows returns the rows of a query, each as one text.
func readRows(ctx context.Context, db *sql.DB, query string) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		var parts []string
		for i, value := range values {
			if slices.Contains(notKept, columns[i]) {
				continue
			}
			switch v := (*value.(*any)).(type) {
			case []byte:
				parts = append(parts, hex.EncodeToString(v))
			default:
				parts = append(parts, fmt.Sprint(v))
			}
		}
		all = append(all, strings.Join(parts, " | "))
	}
	return all, rows.Err()
}

// Diff returns the rows that only one of two dumps has, with the table's name.
// "-" marks those of the first.
func (d Dump) Diff(other Dump) (diff []string) {
	for table, rows := range d {
		for _, row := range rows {
			if !slices.Contains(other[table], row) {
				diff = append(diff, "-"+table+": "+row)
			}
		}
		for _, row := range other[table] {
			if !slices.Contains(rows, row) {
				diff = append(diff, "+"+table+": "+row)
			}
		}
	}
	return diff
}
