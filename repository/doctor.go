package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/domain"
)

// Health is the result of checking a database.
type Health struct {
	Version string        // of the database server or library
	Clock   time.Time     // the database's; nothing depends on it, but a wrong one misleads people
	Took    time.Duration // for one small query
	Notes   []string      // what an operator should know
	Faults  []string      // stored data that is inconsistent, or settings that endanger it
}

// questions are the queries that CheckHealth runs on both databases: each counts
// rows that should not exist. A note is no fault: it was allowed once and still
// works.
var questions = []struct {
	note  bool
	found string
	query string
}{
	{found: "keys have no token that works, nor ever will", query: `SELECT COUNT(*) FROM api_keys k
		WHERE k.revoked_at IS NULL AND NOT EXISTS
		(SELECT 1 FROM api_key_secrets s WHERE s.project_id = k.project_id AND s.key_id = k.id AND s.valid_until IS NULL)`},
	{found: "organizations have no owner", query: `SELECT COUNT(*) FROM organizations o WHERE o.deleted_at IS NULL AND NOT EXISTS
		(SELECT 1 FROM memberships m WHERE m.organization_id = o.id AND m.role = 'owner')`},
	{found: "service accounts are members of another organization than their own", query: `SELECT COUNT(*) FROM users u
		JOIN memberships m ON m.user_id = u.id WHERE u.kind <> 'person' AND m.organization_id <> u.organization_id`},
	{found: "keys were made without a trace in the audit trail", query: `SELECT COUNT(*) FROM api_keys k WHERE NOT EXISTS
		(SELECT 1 FROM audit_events e WHERE e.organization_id = k.organization_id AND e.target_id = k.id) AND NOT EXISTS
		(SELECT 1 FROM audit_events e WHERE e.organization_id = k.organization_id AND e.project_id = k.project_id
		AND e.action = 'keys.imported')`},
	{found: "counters have promised nodes other units than their leases say", query: `SELECT COUNT(*) FROM counters n WHERE n.leased <>
		COALESCE((SELECT SUM(e.granted - e.spent) FROM leases e WHERE e.project_id = n.project_id AND e.owner_id = n.owner_id
		AND e.type = n.type AND e.name = n.name AND e.per = n.per AND e.subject = n.subject AND e.period = n.period), 0)`},
	{found: "counters of credits have other amounts than their entries add up to", query: `SELECT COUNT(*) FROM counters n
		WHERE n.type = 'credits' AND n.capacity - n.forfeited <> COALESCE((SELECT SUM(c.amount) FROM credit_entries c
		WHERE c.project_id = n.project_id AND c.owner_id = n.owner_id AND c.name = n.name AND c.per = n.per
		AND c.subject = n.subject), 0)`},
}

// CheckHealth checks a migrated database. A fault that it finds comes from a bug or
// a broken disk: normal use leaves none.
func (s *Store) CheckHealth(ctx context.Context) (Health, error) {
	var h Health
	began := time.Now()
	var micros int64
	if err := s.read.NewRaw(s.engine.clockQuery()).Scan(ctx, &h.Version, &micros); err != nil {
		return h, s.error(err)
	}
	h.Took, h.Clock = time.Since(began), time.UnixMicro(micros).UTC()
	for _, q := range questions {
		var n int
		if err := s.read.NewRaw(q.query).Scan(ctx, &n); err != nil {
			return h, s.error(err)
		}
		switch found := fmt.Sprintf("%d %s", n, q.found); {
		case n > 0 && q.note:
			h.Notes = append(h.Notes, found)
		case n > 0:
			h.Faults = append(h.Faults, found)
		}
	}
	var reserved []string
	err := s.read.NewRaw("SELECT id FROM projects WHERE key_prefix = ? AND deleted_at IS NULL ORDER BY id LIMIT 20",
		domain.ServiceTokenPrefix).
		Scan(ctx, &reserved)
	if err != nil {
		return h, s.error(err)
	}
	if len(reserved) > 0 {
		h.Notes = append(h.Notes, "the key prefix "+domain.ServiceTokenPrefix+
			" is reserved for tokens of Latchkey itself; give these projects another: "+
			strings.Join(reserved, ", "))
	}
	own, err := s.engine.checkHealth(ctx, s)
	h.Faults = append(h.Faults, own...)
	return h, s.error(err)
}

func (postgresEngine) clockQuery() string {
	return "SELECT current_setting('server_version'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
}

// checkHealth checks the settings of sessions, also behind a pooler, and tries what
// does not work through a pooler.
func (e postgresEngine) checkHealth(ctx context.Context, s *Store) ([]string, error) {
	faults, err := foreignSettings(ctx, s)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, e.direct)
	if err != nil {
		return append(faults, "the address that leads around the pooler does not answer: nodes fall back to polling"), nil
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+staleChannel); err != nil {
		faults = append(faults, "notifications cannot be listened to: nodes fall back to polling")
	}
	return faults, nil
}

// foreignSettings returns the settings of a session with which Latchkey does
// not work: triggers that do not fire, and behind a pooler all settings that it
// cannot keep.
func foreignSettings(ctx context.Context, s *Store) (faults []string, err error) {
	want := map[string]string{"session_replication_role": "origin"}
	maps.Copy(want, startupSettings)
	for _, setting := range connectionSettings {
		want[setting.name] = setting.value
	}
	var rows []struct{ Name, Setting string }
	err = s.read.NewRaw("SELECT name, setting FROM pg_settings ORDER BY name").Scan(ctx, &rows)
	for _, row := range rows {
		if value, ok := want[row.Name]; ok && row.Setting != value {
			faults = append(faults, fmt.Sprintf("sessions have %s set to %s: run ALTER DATABASE … SET %s = '%s'", row.Name, row.Setting,
				row.Name, value))
		}
	}
	return faults, err
}

func (sqliteEngine) clockQuery() string {
	return "SELECT sqlite_version(), CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
}

func (sqliteEngine) checkHealth(ctx context.Context, s *Store) (faults []string, err error) {
	for _, pragma := range []string{"PRAGMA integrity_check", "PRAGMA foreign_key_check"} {
		n, err := s.countFaults(ctx, pragma)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			faults = append(faults, fmt.Sprintf("%s tells of %d faults", pragma, n))
		}
	}
	return faults, nil
}

// countFaults counts the rows of a check; a single "ok" means none.
func (s *Store) countFaults(ctx context.Context, pragma string) (n int, err error) {
	rows, err := s.pools[0].QueryContext(ctx, pragma)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	var first any
	values[0] = &first
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return 0, err
		}
		if first != "ok" {
			n++
		}
	}
	return n, rows.Err()
}

// ErrNotSQLite is what Backup returns for a database that has better tools.
var ErrNotSQLite = errors.New("only an SQLite database is backed up this way; for PostgreSQL use pg_dump or base backups")

// Backup writes a copy of an SQLite database to path, which must not exist. The
// copy is the database at one moment; reads and writes continue during it. The
// copy is complete if Backup returns nil.
func (s *Store) Backup(ctx context.Context, path string) error {
	if _, sqlite := s.engine.(sqliteEngine); !sqlite {
		return ErrNotSQLite
	}
	// VACUUM INTO would also fail for a file with content, but not for an empty one.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	_, err = s.pools[len(s.pools)-1].ExecContext(ctx, "VACUUM INTO ?", path)
	if err == nil {
		err = syncFile(path)
	}
	if err != nil {
		return errors.Join(s.error(err), os.Remove(path))
	}
	return nil
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
