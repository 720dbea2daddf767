package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// When uses are written.
const (
	countInterval   = 10 * time.Second       // how often keys were used
	usageInterval   = 30 * time.Second       // when secrets were last used
	firstUseDelay   = 100 * time.Millisecond // what may be first uses, which decide what a rotation may end: gathered so long
	usageRetry      = time.Second            // after such could not be written
	usageBatch      = 500                    // rows to a statement
	usageLimit      = 5 * time.Second        // for a statement
	usageLastChance = 5 * time.Second        // at the end of Run
)

// For how many days usage is kept.
const (
	DefaultUsageDays = 400
	MaxUsageDays     = 3660
)

// usage is what a node has counted and not yet written.
type usage struct {
	meter    *meter.Meter
	node     string // names this node among those that count
	using    turn   // from taking when tokens were used until that is written
	counting turn   // from taking counts until they are written

	// Under counting. A batch is kept until it is known to be applied: if the answer
	// of the database is lost, it is sent again under its number.
	number  int64
	batches []domain.UsageBatch
	flushed time.Time // the moment of the last one that was applied

	written atomic.Int64 // all uses before this are in the database, in Unix microseconds
	waiting atomic.Int64 // uses in batches
	rows    atomic.Int64 // counts that were written
}

func newUsage(now time.Time) *usage {
	u := &usage{meter: meter.New(), node: rand.Text(), using: make(turn, 1), counting: make(turn, 1)}
	u.written.Store(now.UnixMicro())
	return u
}

// complete returns the moment up to which all uses of keys at this node are in the
// database.
func (u *usage) complete() time.Time { return time.UnixMicro(u.written.Load()).UTC() }

// turn holds one that writes, while others wait.
type turn chan struct{}

func (t turn) begin(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return domain.Unavailable(ctx.Err())
	}
}

func (t turn) end() { <-t }

// CallingKey returns the key that the caller has proved, with when it was last
// used: as it has been recorded, like that of every key that is read, or while
// the database cannot tell as this node remembers.
func (a *App) CallingKey(ctx context.Context, caller domain.Principal) (key domain.CallingKey, ok bool, err error) {
	proven, ok := caller.ProvenKey()
	if !ok {
		return key, false, nil
	}
	key = proven.CallingKey()
	key.Key.LastUsedAt, key.Key.Retiring.LastUsedAt, err = a.store.LastUses(ctx, key.Project.Scope(), key.Key)
	if domain.CodeOf(err) == domain.CodeUnavailable {
		key.Key.LastUsedAt, err = a.usage.meter.Last(proven), nil
	}
	return key, true, err
}

// CountUse is like Spend, for requests that cost nothing.
func (a *App) CountUse(key domain.ProvenKey) { a.usage.meter.CountValid(key) }

// RecordUses writes to the database which keys have been used since the last
// time, and how often. Run does it every few seconds, and within a second for a
// token that was idle; a program without Run calls it before it exits.
func (a *App) RecordUses(ctx context.Context) error {
	if err := a.recordUses(ctx, a.usage.meter.TakeUses); err != nil {
		return err
	}
	if err := a.recordReported(ctx); err != nil {
		return err
	}
	return a.recordCounts(ctx, false)
}

// recordReported writes when tokens were used whose uses clients have reported.
func (a *App) recordReported(ctx context.Context) error {
	uses := a.usage.meter.TakeReported()
	for batch := range slices.Chunk(uses, usageBatch) {
		ctx, cancel := context.WithTimeout(ctx, usageLimit)
		err := a.store.RecordUses(ctx, batch)
		cancel()
		if err != nil {
			a.usage.meter.PutReportedBack(uses)
			return err
		}
	}
	return nil
}

func (a *App) recordFirstUses(ctx context.Context) error {
	return a.recordUses(ctx, a.usage.meter.TakeFirst)
}

// recordUses returns when all uses noted before the call are written, including
// those that another caller has taken to write.
func (a *App) recordUses(ctx context.Context, take func() []meter.Use) error {
	if err := a.usage.using.begin(ctx); err != nil {
		return err
	}
	defer a.usage.using.end()
	uses := take()
	for batch := range slices.Chunk(uses, usageBatch) {
		if err := a.recordBatch(ctx, batch); err != nil {
			a.usage.meter.PutBack(uses) // some may be written twice, which changes nothing
			return err
		}
	}
	return nil
}

func (a *App) recordBatch(ctx context.Context, batch []meter.Use) error {
	ctx, cancel := context.WithTimeout(ctx, usageLimit)
	defer cancel()
	uses := make([]domain.Use, len(batch))
	for i, use := range batch {
		uses[i] = use.Use
	}
	return a.store.RecordUses(ctx, uses)
}

// recordCounts writes how often keys were used, and first what could not be
// written before. A node that runs also writes that there was nothing to count: if
// it is killed, the moment of its last batch says when that was.
func (a *App) recordCounts(ctx context.Context, runs bool) error {
	u := a.usage
	if err := u.counting.begin(ctx); err != nil {
		return err
	}
	defer u.counting.end()
	u.meter.Sweep(a.instant())
	if err := a.sendCounts(ctx); err != nil {
		u.meter.Rest()
		return err
	}
	now := a.countTime(u.complete())
	counts := append(u.meter.Take(), u.meter.TakeTags(now)...)
	slices.SortFunc(counts, domain.UsageCount.Compare)
	for some := range slices.Chunk(counts, usageBatch) {
		u.add(now, some)
	}
	if runs && len(counts) == 0 && now.Sub(u.flushed) >= countInterval {
		u.add(now, nil)
	}
	if err := a.sendCounts(ctx); err != nil {
		return err
	}
	u.written.Store(now.UnixMicro())
	return nil
}

// countTime is the time at which something is counted. It never goes back, so that
// an hour which is complete stays as it is.
func (a *App) countTime(last time.Time) time.Time {
	if now := a.now(); now.After(last) {
		return now
	}
	return last
}

// add adds a batch to those that are to be sent.
func (u *usage) add(at time.Time, counts []domain.UsageCount) {
	u.number++
	b := domain.UsageBatch{NodeID: u.node, Number: u.number, At: at, Counts: counts}
	u.batches = append(u.batches, b)
	u.waiting.Add(b.Uses())
}

// sendCounts writes the batches that are waiting, in their order. Each is counted in
// the hour in which it is sent: if this node was cut off for long, others have
// called earlier hours complete without it. A batch that was applied, and whose
// answer was lost, stays where it was, whatever is sent under its number.
func (a *App) sendCounts(ctx context.Context) error {
	for u := a.usage; len(u.batches) > 0; u.batches = u.batches[1:] {
		b := &u.batches[0]
		b.At = a.countTime(b.At)
		if err := a.sendBatch(ctx, *b); err != nil {
			return err
		}
		u.flushed = b.At
		u.waiting.Add(-b.Uses())
		u.rows.Add(int64(len(b.Counts)))
	}
	return nil
}

func (a *App) sendBatch(ctx context.Context, b domain.UsageBatch) error {
	ctx, cancel := context.WithTimeout(ctx, usageLimit)
	defer cancel()
	return a.store.RecordUsage(ctx, b)
}

// forgetUsage removes the counts of days and minutes of which even the end is older
// than usage is kept.
func (a *App) forgetUsage(ctx context.Context) error {
	days := a.now().AddDate(0, 0, -a.usageDays).Truncate(24 * time.Hour)
	minutes := a.now().Add(-domain.MinutesKept).Truncate(time.Minute)
	for more := true; more && ctx.Err() == nil; {
		var err error
		more, err = a.store.ForgetUsage(ctx, days, minutes, purgeBatch)
		if err != nil {
			return err
		}
	}
	return nil
}

// keepUsage writes uses and counts until ctx ends, and then what is left. That it
// cannot is logged once, and so is that it can again.
func (a *App) keepUsage(ctx context.Context) {
	all := time.NewTicker(usageInterval)
	defer all.Stop()
	counted := make(chan error)
	var counting sync.WaitGroup
	counting.Go(func() { a.keepCounts(ctx, counted) })
	var uses, counts error // of the last attempt
	failing := false
	for {
		select {
		case <-all.C:
			uses = cmp.Or(a.recordUses(ctx, a.usage.meter.TakeUses), a.recordReported(ctx))
		case counts = <-counted:
		case <-a.usage.meter.First():
			select {
			case <-time.After(firstUseDelay):
			case <-ctx.Done():
			}
			uses = a.recordFirstUses(ctx)
		case <-ctx.Done():
			counting.Wait()
			a.recordLastUses(context.WithoutCancel(ctx))
			return
		}
		err := cmp.Or(uses, counts)
		switch {
		case ctx.Err() != nil: // the reason is the end
		case err != nil && !failing:
			a.log.WarnContext(ctx, "uses of keys cannot be recorded for now, and are kept in memory", "error", err)
		case err == nil && failing:
			a.log.InfoContext(ctx, "uses of keys are recorded again")
		}
		failing = err != nil
		if uses != nil {
			time.AfterFunc(usageRetry, a.usage.meter.Wake)
		}
	}
}

// keepCounts writes counts until ctx ends, beside the uses of tokens, which may be
// first ones and so wait for nothing.
func (a *App) keepCounts(ctx context.Context, counted chan<- error) {
	ticker := time.NewTicker(countInterval)
	defer ticker.Stop()
	for {
		select {
		case counted <- a.recordCounts(ctx, true):
		case <-ctx.Done():
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// recordLastUses writes what is left when a node exits, if that does not take too
// long.
func (a *App) recordLastUses(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, usageLastChance)
	defer cancel()
	err := a.RecordUses(ctx)
	if err == nil {
		err = a.store.EndUsage(ctx, a.usage.node)
	}
	if err != nil {
		a.log.WarnContext(ctx, "the last uses of keys could not be recorded", "error", err)
	}
}
