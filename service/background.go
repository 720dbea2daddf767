package service

import (
	"context"
	"sync"
	"time"
)

// Run does the work in the background until ctx ends. It follows the stale notes of
// other nodes, so that callers can be answered from memory; learns of imported
// keys; records uses; forgets answers that can no longer be requested and
// sessions that have ended; and removes what deleted organizations and projects
// owned. A program that serves requests runs it in a goroutine and waits for it
// to return before closing the store. A one-shot program does not need it, but
// calls RecordUses.
func (a *App) Run(ctx context.Context) {
	var jobs sync.WaitGroup
	counted := make(chan struct{})
	jobs.Go(func() { a.follow(ctx, counted) })
	jobs.Go(func() { a.keepUntagged(ctx) })
	jobs.Go(func() { defer close(counted); a.keepUsage(ctx) })
	jobs.Go(func() {
		a.every(ctx, time.Hour, "forget old Idempotency-Keys", func(ctx context.Context) error {
			return a.store.ForgetIdempotency(ctx, a.now().Add(-idempotencyLife))
		})
	})
	jobs.Go(func() { a.every(ctx, time.Minute, "remove what deleted organizations and projects owned", a.purge) })
	jobs.Go(func() { a.every(ctx, time.Minute, "bind password hashes to their users", a.bindPasswords) })
	jobs.Go(func() { a.every(ctx, time.Hour, "forget sessions that have ended", a.forgetEnded) })
	jobs.Go(func() { a.every(ctx, time.Hour, "forget usage of long ago", a.forgetUsage) })
	jobs.Go(func() { a.every(ctx, importsInterval, "learn of keys that other nodes have imported", a.loadImports) })
	jobs.Go(func() { a.every(ctx, time.Minute, "read the keys that sign access tokens", a.loadSigningKeys) })
	jobs.Go(func() { a.sendMails(ctx) })
	jobs.Go(func() { a.every(ctx, mailWaitingEvery, "look at the emails that wait", a.tidyMail) })
	jobs.Go(func() { a.keepRefusals(ctx) })
	jobs.Wait()
}

// every runs job immediately and then at every interval, until ctx ends. A
// failure is logged, and the next run tries again.
func (a *App) every(ctx context.Context, interval time.Duration, name string, job func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := job(ctx); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "a job in the background failed and will be tried again", "job", name, "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
