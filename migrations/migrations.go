// Package migrations holds the database schema as numbered SQL files that both
// SQLite and PostgreSQL accept. Where SQLite's ALTER TABLE cannot follow, a
// version has a pair of files, one in each of sqlite/ and postgres/, and a test
// in package repository checks that both end in the same schema.
//
// Portable means: ids are TEXT, times are BIGINT microseconds since 1970 (UTC)
// set by the application's clock, digests are BYTEA (a blob on SQLite), lists
// and maps are JSON in a JSONB column, and a column is never given a default
// that the application would have to read back.
package migrations

import "embed"

// FS holds the files.
//
//go:embed *.sql
var FS embed.FS
