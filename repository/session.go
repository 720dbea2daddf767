package repository

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// connectLimit applies to addresses that set no connect_timeout.
const connectLimit = 5 * time.Second

// Settings of every PostgreSQL session, regardless of what an administrator has
// set for the server, the database or the role: the meaning of statements and
// answers depends on them. search_path is left alone, since administrators use
// it to choose the schema of the tables.
var (
	// startupSettings are sent with the request for a connection. PgBouncer keeps
	// these for each client, so they also work behind it; it refuses a connection
	// that asks for any other setting.
	startupSettings = map[string]string{
		"standard_conforming_strings": "on", "client_encoding": "UTF8", "DateStyle": "ISO, YMD", "TimeZone": "UTC",
	}
	// connectionSettings are set when a connection is made. Behind a pooler that
	// assigns connections by transaction they reach some of the server's
	// connections, and doctor says whether others have different settings.
	connectionSettings = []setting{
		{"bytea_output", "hex"}, {"IntervalStyle", "postgres"}, {"transform_null_equals", "off"}, {"array_nulls", "on"},
		{"default_transaction_isolation", "read committed"},
	}
)

type setting struct{ name, value string }

// parsePostgres reads an address and adds the settings of its sessions.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	config, err := readAddress(dsn)
	if err != nil {
		return nil, err
	}
	// bun writes arguments into the text, so statements are not prepared: a
	// prepared statement for each text would pile up on the server.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	for name := range config.RuntimeParams {
		for ours := range startupSettings {
			if strings.EqualFold(name, ours) {
				delete(config.RuntimeParams, name)
			}
		}
	}
	maps.Copy(config.RuntimeParams, startupSettings)
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "latchkey"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectLimit
	}
	config.AfterConnect = beginSession
	return config, nil
}

// beginSession refuses a database that cannot store every text, and applies the
// settings that cannot be sent with the request for a connection.
func beginSession(ctx context.Context, conn *pgconn.PgConn) error {
	if encoding := conn.ParameterStatus("server_encoding"); encoding != "" && encoding != "UTF8" {
		return &UnfitError{fmt.Sprintf("the database is encoded in %s, in which not every text can be kept: "+
			"make one with ENCODING 'UTF8' and move the data there", encoding)}
	}
	return conn.Exec(ctx, sessionStatement).Close()
}

var sessionStatement = func() string {
	calls := make([]string, len(connectionSettings))
	for i, s := range connectionSettings {
		calls[i] = fmt.Sprintf("set_config('%s', '%s', false)", s.name, s.value)
	}
	return "SELECT " + strings.Join(calls, ", ")
}()

// UnfitError says why a database that answers cannot be used.
type UnfitError struct{ why string }

func (e *UnfitError) Error() string { return e.why }

// postgresDialect writes values into statements so that they mean the same with
// any value of standard_conforming_strings: bun sends no parameters, and its
// own literals need that setting to be on.
type postgresDialect struct{ *pgdialect.Dialect }

func newPostgresDialect() postgresDialect { return postgresDialect{pgdialect.New()} }

func (d postgresDialect) AppendString(b []byte, s string) []byte {
	return escaped(b, d.Dialect.AppendString(nil, s))
}

func (d postgresDialect) AppendBytes(b, value []byte) []byte {
	return escaped(b, d.Dialect.AppendBytes(nil, value))
}

func (d postgresDialect) AppendJSON(b, value []byte) []byte {
	return escaped(b, d.Dialect.AppendJSON(nil, value))
}

// escaped appends a literal. A literal with backslashes becomes an escape
// string, in which each backslash is doubled.
func escaped(b, literal []byte) []byte {
	const backslash = '\\'
	if !bytes.HasPrefix(literal, []byte("'")) || bytes.IndexByte(literal, backslash) < 0 {
		return append(b, literal...)
	}
	b = append(b, " E"...)
	for _, c := range literal {
		if c == backslash {
			b = append(b, backslash)
		}
		b = append(b, c)
	}
	return b
}

// arrayOfTexts writes an array of texts as PostgreSQL reads it.
func arrayOfTexts(values []string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = `"` + quote.Replace(v) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}
