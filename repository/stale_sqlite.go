package repository

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/latchkey-dev/latchkey/domain"
)

// ownStale returns the stale notes since staleSoFar, in the same transaction. No other connection can write during it.
func (sqliteEngine) ownStale(ctx context.Context, tx bun.IDB, since int64) ([]domain.Stale, error) {
	var rows []noteRow
	err := tx.NewSelect().Model(&rows).Where("c.xid > ?", since).Scan(ctx)
	return stale(rows), err
}

func (sqliteEngine) nextNote() string { return "(SELECT COALESCE(MAX(xid), 0) + 1 FROM changes)" }

func (sqliteEngine) staleSoFar(ctx context.Context, tx bun.IDB) (now int64, err error) {
	err = tx.NewRaw("SELECT COALESCE(MAX(xid), 0) FROM changes").Scan(ctx, &now)
	return now, err
}

// follow opens its own connection, since PRAGMA data_version reports what has
// changed since the same connection last asked.
func (e sqliteEngine) follow(_ context.Context, _ *link) (poller, func() error, error) {
	db, err := sql.Open(sqliteDriver, e.dsn)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	p := &sqlitePoller{pool: bun.NewDB(db, sqlitedialect.New()), last: -1, epoch: rand.Uint64()} //nolint:gosec // it need only differ
	return p, p.pool.Close, nil
}

// epoch is another one for each feed: the file may have been replaced by a backup.
type sqlitePoller struct {
	pool    *bun.DB
	version int64 // of the data, as this connection last saw it
	last    int64 // xid; -1: never looked
	epoch   uint64
}

func (p *sqlitePoller) db() *bun.DB { return p.pool }

func (p *sqlitePoller) position() domain.Position {
	return domain.Position{Epoch: p.epoch, End: max(p.last, 0) + 1}
}

func (*sqlitePoller) clock() time.Time { return time.Time{} }

func (p *sqlitePoller) poll(ctx context.Context) ([]domain.Note, int64, error) {
	var version int64
	if err := p.pool.NewRaw("PRAGMA data_version").Scan(ctx, &version); err != nil {
		return nil, 0, err
	}
	if version == p.version && p.last >= 0 {
		return nil, p.last, nil
	}
	var rows []noteRow
	q := p.pool.NewSelect().Model(&rows).Where("c.xid > ?", p.last).OrderExpr("c.xid DESC")
	if p.last < 0 {
		q = q.Limit(1)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, 0, err
	}
	first := p.last < 0
	p.version, p.last = version, max(p.last, 0)
	if len(rows) > 0 {
		p.last = rows[0].Xid
	}
	if first {
		return nil, p.last, nil
	}
	notes := make([]domain.Note, len(rows))
	for i, r := range rows {
		notes[i] = r.note()
	}
	return notes, p.last, nil
}

// prune keeps the newest row: numbering continues from it.
func (p *sqlitePoller) prune(ctx context.Context, before int64) error {
	_, err := p.pool.NewDelete().Model((*noteRow)(nil)).Where("c.xid < ?", before).Exec(ctx)
	return err
}
