package service

import (
	"context"
	"sync"
	"time"
)

// job is work in the background that is repeated.
type job struct {
	name  string // as the log has it
	every time.Duration
	do    func(context.Context) error
}

// jobs lists what a node repeats, in the order in which it is started.
func (a *App) jobs() []job {
	return []job{
		{"forget old Idempotency-Keys", time.Hour, a.forgetIdempotency},
		{"remove what deleted organizations and projects owned", time.Minute, a.purge},
		{"bind password hashes to their users", time.Minute, a.bindPasswords},
		{"forget sessions that have ended", time.Hour, a.forgetEnded},
		{"forget usage of long ago", time.Hour, a.forgetUsage},
		{"learn of keys that other nodes have imported", importsInterval, a.loadImports},
		{"read the keys that sign access tokens", time.Minute, a.loadSigningKeys},
		{"look at the emails that wait", mailWaitingEvery, a.tidyMail},
		{"forfeit the leases of nodes that are gone", sweepLeasesEvery, a.sweepLeases},
		{"remove the counters of keys that are gone", time.Hour, a.sweepCounters},
		{"look at the deliveries that wait", deliveryWatching, a.watchWebhooks},
		{"forget deliveries of long ago", deliveryForgetting, a.forgetDeliveries},
	}
}

// Run does the work in the background until ctx ends. It follows the stale notes of
// other nodes, so that callers can be answered from memory; sends email and webhooks; records uses
// and refused sign-ins; and repeats jobs. A program that serves requests runs it in a
// goroutine and waits for it to return before closing the store. A one-shot program
// does not need it, but calls RecordUses.
func (a *App) Run(ctx context.Context) {
	a.usage.meter.DoubtShare()
	var all sync.WaitGroup
	counted := make(chan struct{})
	all.Go(func() { a.follow(ctx, counted) })
	all.Go(func() { a.keepUntagged(ctx) })
	all.Go(func() { a.keepLeases(ctx) })
	all.Go(func() { defer close(counted); a.keepUsage(ctx) })
	all.Go(func() { a.sendMails(ctx) })
	all.Go(func() { a.sendWebhooks(ctx) })
	all.Go(func() { a.keepRefusals(ctx) })
	for _, j := range a.jobs() {
		all.Go(func() { a.every(ctx, j.every, j.name, j.do) })
	}
	all.Wait()
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
