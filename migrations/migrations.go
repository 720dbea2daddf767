// Package migrations holds the database schema as numbered SQL files that both
// SQLite and PostgreSQL accept. If they need different SQL, as for triggers, a
// version has a pair of files, NAME.sqlite.sql and NAME.postgres.sql, and a
// test in package repository checks that both lead to the same tables.
//
// Portable means: ids are TEXT, times are BIGINT microseconds since 1970 (UTC)
// set by the application's clock, digests are BYTEA (a blob on SQLite), lists
// and maps are JSON in a JSONB column, and a column is never given a default
// that the application would have to read back, other than for the rows that are
// there when it is added.
package migrations

import (
	"embed"
	"io/fs"
)

// FS holds the files.
//
//go:embed *.sql
var FS embed.FS

// Only returns the names of the files that are for one database alone: sqlite
// or postgres.
func Only(database string) []string {
	names, err := fs.Glob(FS, "*."+database+".sql")
	if err != nil {
		panic(err) // the pattern is malformed
	}
	return names
}
