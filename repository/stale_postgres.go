package repository

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// staleChannel is the channel that nodes listen on, under the name that nodes of
// 0.1 use. A notification only says
// that a poll is worthwhile, so it may be lost. It is sent after the commit,
// since PostgreSQL lets only one transaction at a time commit with a
// notification inside.
const staleChannel = "latchkey_changes"

// ownStale returns the stale notes of the transaction itself.
func (postgresEngine) ownStale(ctx context.Context, tx bun.IDB, _ int64) ([]domain.Stale, error) {
	var rows []noteRow
	// NULL, and therefore no rows, in a transaction that has written nothing.
	err := tx.NewSelect().Model(&rows).Where("c.xid = pg_current_xact_id_if_assigned()::text::bigint").Scan(ctx)
	return stale(rows), err
}

func (postgresEngine) nextNote() string { return "pg_current_xact_id()::text::bigint" }

func (postgresEngine) staleSoFar(context.Context, bun.IDB) (int64, error) { return 0, nil }

// announcer sends notifications. All commits during one notification share the
// next one.
type announcer struct {
	mu      sync.Mutex
	pending bool
	running bool
	done    sync.WaitGroup
}

func (a *announcer) announce(db *bun.DB, poke func()) {
	poke()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = true
	if a.running {
		return
	}
	a.running = true
	a.done.Go(func() {
		for a.take() {
			ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
			_, _ = db.ExecContext(ctx, "SELECT pg_notify('"+staleChannel+"', '')") // if it fails, polling finds the notes
			cancel()
		}
	})
}

func (a *announcer) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.pending {
		a.running = false
		return false
	}
	a.pending = false
	return true
}

// follow opens the feed's own pool, of one connection, and listens beside it.
func (e postgresEngine) follow(ctx context.Context, l *link) (poller, func() error, error) {
	db := stdlib.OpenDB(*e.config)
	db.SetMaxOpenConns(1)
	p := &postgresPoller{pool: bun.NewDB(db, newPostgresDialect()), seen: map[int64]bool{}}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var listening sync.WaitGroup
	listening.Go(func() { e.listen(ctx, l.poke) })
	return p, func() error {
		stop()
		listening.Wait()
		return p.pool.Close()
	}, nil
}

// listen calls poke for each announcement of stale notes, until ctx ends. If it
// cannot listen (behind a pooler, without a direct address), only polling finds
// them.
func (e postgresEngine) listen(ctx context.Context, poke func()) {
	const retry = time.Second
	for ctx.Err() == nil {
		if conn, err := pgx.ConnectConfig(ctx, e.direct); err == nil {
			_, err = conn.Exec(ctx, "LISTEN "+staleChannel)
			for err == nil {
				poke() // also once at the start: something may have come just before
				_, err = conn.WaitForNotification(ctx)
			}
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
			_ = conn.Close(closing)
			cancel()
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
		}
	}
}

// postgresPoller reads by snapshot. Transactions commit in another order than
// they begin, so "everything after the last one seen" would lose those that
// began early and committed late. Instead, each poll starts at the oldest
// transaction that was still running at the last poll (xmin of its snapshot):
// all older ones had ended by then, and their notes were seen.
type postgresPoller struct {
	pool *bun.DB
	xmin int64          // 0: never looked
	seen map[int64]bool // transactions from xmin on that were already reported
	at   time.Time
	read domain.Position
}

func (p *postgresPoller) db() *bun.DB { return p.pool }

func (p *postgresPoller) position() domain.Position { return p.read }

func (p *postgresPoller) clock() time.Time { return p.at }

// epochOfPostgres is another one after a restart, a failover or a restore, so that a
// position of the past is never taken for one of the same numbers.
const epochOfPostgres = `(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint # ('changes'::regclass::oid::bigint << 40)`

func (p *postgresPoller) poll(ctx context.Context) ([]domain.Note, int64, error) {
	var rows []struct {
		Xmin      int64
		Clock     int64 // microseconds
		Epoch     int64
		Snapshot  string
		Xid       *int64
		Kind      domain.StaleKind
		Object    string
		ProjectID domain.ProjectID
	}
	// One statement, so that xmin and the rows are of one snapshot.
	err := p.pool.NewRaw(`SELECT s.xmin, s.clock, s.epoch, s.snapshot, c.xid,
			COALESCE(c.kind, '') AS kind, COALESCE(c.object, '') AS object, COALESCE(c.project_id, '') AS project_id
		FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin, pg_current_snapshot()::text AS snapshot,
			`+epochOfPostgres+` AS epoch, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS clock) AS s
		LEFT JOIN changes AS c ON c.xid >= CASE WHEN ? = 0 THEN s.xmin ELSE ? END`, p.xmin, p.xmin).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, err
	}
	if len(rows) == 0 {
		return nil, 0, errors.New("the database returned no snapshot")
	}
	position, err := parseSnapshot(rows[0].Snapshot)
	if err != nil {
		return nil, 0, err
	}
	position.Epoch = uint64(rows[0].Epoch) //nolint:gosec // any number
	var notes []domain.Note
	seen := map[int64]bool{}
	for _, r := range rows {
		if r.Xid == nil {
			continue
		}
		if !p.seen[*r.Xid] {
			notes = append(notes, noteRow{Xid: *r.Xid, Kind: r.Kind, Object: r.Object, ProjectID: r.ProjectID}.note())
		}
		seen[*r.Xid] = true
	}
	if rows[0].Xmin < p.xmin {
		// Time has gone backward: a standby that had not received everything was
		// promoted.
		notes = append(notes, domain.Note{Stale: domain.Stale{Kind: domain.StaleEverything}})
	}
	p.xmin, p.seen, p.at, p.read = rows[0].Xmin, seen, time.UnixMicro(rows[0].Clock), position
	return notes, p.xmin, nil
}

// parseSnapshot reads a pg_snapshot: the oldest running transaction, the first one that
// has not begun, and those that are running, as in 10:20:10,14,15.
func parseSnapshot(text string) (p domain.Position, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return p, errors.New("the database returned no snapshot")
	}
	if p.End, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return p, err
	}
	for number := range strings.SplitSeq(parts[2], ",") {
		if number == "" {
			continue
		}
		running, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return p, err
		}
		p.Running = append(p.Running, running)
	}
	slices.Sort(p.Running)
	return p, nil
}

func (p *postgresPoller) prune(ctx context.Context, before int64) error {
	_, err := p.pool.NewDelete().Model((*noteRow)(nil)).Where("c.xid < ?", before).Exec(ctx)
	return err
}
