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

// connectLimit is for addresses that set no connect_timeout.
const connectLimit = 5 * time.Second

// What every session with PostgreSQL is set to, whatever an administrator has
// set for the server, the database or the role: what the text of a statement
// means, and that of an answer, depends on it. search_path is left alone, since
// it is how an administrator chooses the schema that the tables are in.
var (
	// startupSettings travel with the request for a connection. They are those
	// that PgBouncer keeps for each client, so they hold behind it, too; it
	// refuses a connection that asks for any other.
	startupSettings = map[string]string{
		"standard_conforming_strings": "on", "client_encoding": "UTF8", "DateStyle": "ISO, YMD", "TimeZone": "UTC",
	}
	// connectionSettings are set when a connection is made. Behind a pooler that
	// hands out connections by transaction they reach some of the server's, and
	// doctor says whether the database has others.
	connectionSettings = []setting{
		{"bytea_output", "hex"}, {"IntervalStyle", "postgres"}, {"transform_null_equals", "off"}, {"array_nulls", "on"},
		{"default_transaction_isolation", "read committed"},
	}
)

type setting struct{ name, value string }

// parsePostgres reads an address and settles what its sessions are set to.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	config, err := readAddress(dsn)
	if err != nil {
		return nil, err
	}
	// bun writes arguments into the text, so statements are sent as they are: a
	// prepared one for each text would pile up on the server.
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

// beginSession refuses a database that cannot keep every text, and sets what
// cannot travel with the request for a connection.
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

// postgresDialect writes values into statements so that they mean the same
// whatever standard_conforming_strings says: bun sends no parameters, and its
// own literals rely on that setting being on.
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

// escaped appends a literal. One with backslashes becomes an escape string, in
// which each of them is written twice.
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

// arrayOfTexts is how PostgreSQL reads an array of texts.
func arrayOfTexts(values []string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = `"` + quote.Replace(v) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}
