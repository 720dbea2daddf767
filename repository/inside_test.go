package repository

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// Each error of PostgreSQL has its meaning: what a retry may help with is
// unavailable, and what is taken or missing is what the caller did.
func TestErrorsOfPostgres(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	for err, want := range map[error]domain.Code{
		&pgconn.PgError{Code: "23505"}: domain.CodeConflict, &pgconn.PgError{Code: "23503"}: domain.CodeNotFound,
		&pgconn.PgError{Code: "08006"}: domain.CodeUnavailable, &pgconn.PgError{Code: "40001"}: domain.CodeUnavailable,
		&pgconn.PgError{Code: "53300"}: domain.CodeUnavailable, &pgconn.PgError{Code: "57P01"}: domain.CodeUnavailable,
		&pgconn.PgError{Code: "58030"}: domain.CodeUnavailable, &pgconn.PgError{Code: "55P03"}: domain.CodeUnavailable,
		&pgconn.PgError{Code: "25006"}: domain.CodeUnavailable, &pgconn.PgError{Code: "55006"}: domain.CodeInternal,
		&pgconn.PgError{Code: "42601"}: domain.CodeInternal, &pgconn.PgError{Code: "23514"}: domain.CodeInternal,
		&net.OpError{Op: "read", Err: odd}: domain.CodeUnavailable, &pgconn.ConnectError{}: domain.CodeUnavailable,
		fmt.Errorf("read: %w", io.EOF): domain.CodeUnavailable, fmt.Errorf("read: %w", io.ErrUnexpectedEOF): domain.CodeUnavailable,
		errors.New("conn closed"): domain.CodeUnavailable, odd: domain.CodeInternal,
	} {
		if got := domain.CodeOf((postgresEngine{}).translate(err)); got != want {
			t.Errorf("%v: got %s, want %s", err, got, want)
		}
	}
	deadlock, refused := &pgconn.PgError{Code: "40P01"}, &pgconn.PgError{Code: "40003"}
	for err, want := range map[error]bool{deadlock: true, &pgconn.PgError{Code: "40001"}: true, refused: false, odd: false} {
		if got := (postgresEngine{}).yielded(err); got != want {
			t.Errorf("%v: yielded %v, want %v", err, got, want)
		}
	}
	for err, want := range map[error]bool{&pgconn.PgError{Code: "55P03"}: true, deadlock: false, odd: false} {
		if got := (postgresEngine{}).gaveUp(err); got != want {
			t.Errorf("%v: gave up %v, want %v", err, got, want)
		}
	}
}

// Every error that means "not now" wakes the feed, which finds out whether the
// database is out of reach; others do not.
func TestErrorsWakeTheFeed(t *testing.T) {
	t.Parallel()
	s := &Store{engine: postgresEngine{}, link: newLink()}
	for err, want := range map[error]domain.Code{
		sql.ErrNoRows: domain.CodeNotFound, context.DeadlineExceeded: domain.CodeUnavailable, sql.ErrConnDone: domain.CodeUnavailable,
		driver.ErrBadConn: domain.CodeUnavailable, sql.ErrTxDone: domain.CodeUnavailable,
		errors.New("sql: database is closed"): domain.CodeUnavailable, &pgconn.PgError{Code: "57P01"}: domain.CodeUnavailable,
		domain.Unavailable(nil): domain.CodeUnavailable, conflict(nil): domain.CodeConflict, io.ErrNoProgress: domain.CodeInternal,
	} {
		got := domain.CodeOf(s.error(fmt.Errorf("select: %w", err)))
		if err.Error() == "sql: database is closed" {
			got = domain.CodeOf(s.error(err))
		}
		woken := false
		select {
		case <-s.link.wake:
			woken = true
		default:
		}
		_, ours := errors.AsType[*domain.Error](err)
		if got != want || woken != (want == domain.CodeUnavailable && !ours) {
			t.Errorf("%v: got %s, woken %v, want %s", err, got, woken, want)
		}
	}
	if err := s.error(nil); err != nil {
		t.Errorf("got %v for no error", err)
	}
}

// A time and JSON are read only from the types in which they are stored.
func TestScanners(t *testing.T) {
	t.Parallel()
	var at moment
	if err := at.Scan(int64(1_000_001)); err != nil || !time.Time(at).Equal(time.UnixMicro(1_000_001)) {
		t.Errorf("got %v, %v", time.Time(at), err)
	}
	if err := at.Scan(nil); err != nil || !time.Time(at).IsZero() {
		t.Errorf("NULL: got %v, %v", time.Time(at), err)
	}
	var texts []string
	for _, src := range []any{[]byte(`["a"]`), `["a"]`} {
		texts = nil
		if err := (fromJSON[[]string]{&texts}).Scan(src); err != nil || !slices.Equal(texts, []string{"a"}) {
			t.Errorf("%v: got %v, %v", src, texts, err)
		}
	}
	for name, scan := range map[string]func() error{
		"a time from text":    func() error { return at.Scan("now") },
		"JSON from a number":  func() error { return fromJSON[[]string]{&texts}.Scan(int64(1)) },
		"JSON that is broken": func() error { return fromJSON[[]string]{&texts}.Scan("[") },
		"limits from NULL":    func() error { return someFromJSON[domain.Limit]{new([]domain.Limit)}.Scan(nil) },
	} {
		if scan() == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// Guarantees that a database out of reach, and a queue that is full, refuse
// everything immediately, and nothing before.
func TestRefusals(t *testing.T) {
	t.Parallel()
	l := newLink()
	ctx := t.Context()
	if l.refusal() != nil || l.ResolveConn(ctx, nil) != nil {
		t.Error("a new link refuses")
	}
	for range 500 {
		l.queue.BeforeQuery(ctx, &bun.QueryEvent{})
	}
	if l.refusal() != nil {
		t.Error("500 statements are too many")
	}
	l.queue.BeforeQuery(ctx, &bun.QueryEvent{})
	if err := l.refusal(); domain.CodeOf(err) != domain.CodeUnavailable || l.ResolveConn(ctx, nil) == nil {
		t.Errorf("501 statements: got %v", err)
	}
	if _, err := l.refuse.ExecContext(ctx, "SELECT 1"); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	l.queue.AfterQuery(ctx, &bun.QueryEvent{})
	if err := l.refusal(); err != nil {
		t.Errorf("after one has ended: got %v", err)
	}
	if _, err := l.refuse.ExecContext(ctx, "SELECT 1"); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("when the reason has ended: got %v, want unavailable", err)
	}
	(&Store{link: l}).SetDown(true)
	if err := l.refusal(); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("down: got %v", err)
	}
	(&Store{link: l}).SetDown(false)
	if err := l.refusal(); err != nil {
		t.Errorf("up again: got %v", err)
	}
}

// A statement has a deadline of its own, which ends with it; BEGIN and hand-written SQL
// have none.
func TestDeadlinesOfStatements(t *testing.T) {
	t.Parallel()
	var q queue
	for _, query := range []bun.Query{nil, &bun.RawQuery{}} {
		ctx := q.BeforeQuery(t.Context(), &bun.QueryEvent{IQuery: query})
		if _, bounded := ctx.Deadline(); bounded {
			t.Errorf("%T has a deadline", query)
		}
	}
	event := &bun.QueryEvent{IQuery: &bun.SelectQuery{}, Stash: map[any]any{"kept": true}}
	ctx := q.BeforeQuery(t.Context(), event)
	if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > 10*time.Second || time.Until(end) < 5*time.Second {
		t.Errorf("got the deadline %v", end)
	}
	q.AfterQuery(ctx, event)
	if ctx.Err() == nil || event.Stash["kept"] != true {
		t.Error("the deadline remains after the statement")
	}
}

// scriptedPoller returns positions one after the other.
type scriptedPoller struct {
	now    int64
	pruned []int64
	fail   error
}

func (p *scriptedPoller) poll(context.Context) ([]domain.Note, int64, error) {
	p.now++
	return nil, p.now, nil
}

func (p *scriptedPoller) prune(_ context.Context, before int64) error {
	if p.fail == nil {
		p.pruned = append(p.pruned, before)
	}
	return p.fail
}

func (p *scriptedPoller) db() *bun.DB { return nil }

func (p *scriptedPoller) position() domain.Position { return domain.Position{End: p.now} }

func (p *scriptedPoller) clock() time.Time { return time.Time{} }

// Notes are removed once they are older than StaleKept, as they were then, and no
// earlier. A removal that fails is tried again.
func TestOldNotesAreRemoved(t *testing.T) {
	t.Parallel()
	p := &scriptedPoller{now: 10}
	f := &Feed{poll: p, link: newLink()}
	poll := func(want ...int64) {
		t.Helper()
		if _, err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, p.pruned); diff != "" {
			t.Errorf("removed: %s", diff)
		}
	}
	poll() // at 11
	if len(f.history) != 1 {
		t.Fatalf("got %v, want one mark", f.history)
	}
	poll()
	if len(f.history) != 1 {
		t.Errorf("two marks within a minute: %v", f.history)
	}
	age := func(d time.Duration) {
		f.pruned = f.pruned.Add(-d)
		for i := range f.history {
			f.history[i].at = f.history[i].at.Add(-d)
		}
	}
	age(9 * time.Minute)
	poll() // the second mark, at 13
	age(61 * time.Second)
	p.fail = errors.New("busy")
	poll()
	age(61 * time.Second)
	p.fail = nil
	poll(11)
	age(9 * time.Minute)
	poll(11, 13, 14)
}

// Guarantees that a look-up is prepared no more once a pooler has lost it, and that no
// other error has that effect.
func TestForgottenStatements(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]bool{"26000": true, "42P05": true, "08P01": true, "57P01": false, "": false} {
		l := newLookup("keys WHERE id = ", keyColumns)
		if got := l.forgotten(state); got != want || l.never != want {
			t.Errorf("%s: got %v, never %v, want %v", state, got, l.never, want)
		}
	}
}

// Guarantees that announcements that come during one are made by one more.
func TestAnnouncementsShareOne(t *testing.T) {
	t.Parallel()
	a := &announcer{pending: true, running: true}
	if !a.take() || a.pending || !a.running {
		t.Errorf("got %v, %v after the first, want one that runs", a.pending, a.running)
	}
	if a.take() || a.running {
		t.Error("without an announcement it runs on")
	}
}

// Sessions have our settings, whatever the address says, and their own name.
func TestSettingsOfAnAddress(t *testing.T) {
	t.Parallel()
	config, err := parsePostgres("postgres://u@localhost/n?timezone=CET&DATESTYLE=German&application_name=mine&connect_timeout=7")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"standard_conforming_strings": "on", "client_encoding": "UTF8", "DateStyle": "ISO, YMD", "TimeZone": "UTC",
		"application_name": "mine",
	}
	if diff := cmp.Diff(want, config.RuntimeParams); diff != "" || config.ConnectTimeout != 7*time.Second {
		t.Errorf("%s, connect within %s", diff, config.ConnectTimeout)
	}
	config, err = parsePostgres("postgres://u@localhost/n")
	if err != nil || config.RuntimeParams["application_name"] != "latchkey" || config.ConnectTimeout != 5*time.Second {
		t.Errorf("got %v, connect within %s, %v", config.RuntimeParams, config.ConnectTimeout, err)
	}
	for _, o := range []Options{{}, {Direct: "postgres://u@localhost:7000/n"}} {
		s, err := openPostgres("postgres://u@localhost/n", withThrough(o))
		if err != nil {
			t.Fatal(err)
		}
		e := s.engine.(postgresEngine)
		pool, end := e.migrationPool(s)
		if pooled := o.Direct != ""; e.prepares() == pooled || (e.direct.Port == 7000) != pooled || (pool == s.pools[0].DB) == pooled {
			t.Errorf("%+v: prepares %v, direct port %d", o, e.prepares(), e.direct.Port)
		}
		if err := errors.Join(end(), s.Close()); err != nil {
			t.Error(err)
		}
		if _, err := pool.Conn(t.Context()); err == nil || err.Error() != "sql: database is closed" {
			t.Errorf("%+v: after the end: got %v, want it closed", o, err)
		}
	}
	for _, bad := range []struct{ dsn, direct string }{{"postgres://%", ""}, {"postgres://u@localhost/n", "postgres://%"}} {
		if _, err := openPostgres(bad.dsn, withThrough(Options{Direct: bad.direct})); err == nil {
			t.Errorf("%+v is opened", bad)
		}
	}
}

func withThrough(o Options) Options {
	o.Through = func(c driver.Connector) driver.Connector { return c }
	return o
}
