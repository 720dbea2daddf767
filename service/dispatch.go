package service

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/outgoing"
)

// How many webhooks a node delivers to at the same time. Those whose last delivery was no
// success, or that have had none, share some of the places: receivers that do not answer
// never take all of them.
const (
	lanes              = 64
	lanesUnproven      = 24
	lanesOfOne         = 16 // of one organization
	deliveryPoll       = 2 * time.Second
	deliveryKept       = 14 * 24 * time.Hour // how long deliveries are kept after the event
	deliveryForget     = 1000                // at a time
	deliveryForgetting = time.Hour
	deliveryWatching   = 10 * time.Second
)

// webhooks has what a node knows about deliveries.
type webhooks struct {
	client *outgoing.Client

	mu    sync.Mutex
	lanes map[domain.WebhookID]domain.Webhook // those under way here
	free  chan struct{}                       // one of them has ended

	waiting   atomic.Int64 // deliveries of the instance, a few seconds ago
	oldest    atomic.Int64 // since when the oldest one is due, in Unix microseconds; 0: none is
	delivered atomic.Int64
	nanos     atomic.Int64
	failed    map[outgoing.Class]*atomic.Int64
}

func newWebhooks(o outgoing.Options) *webhooks {
	w := &webhooks{
		client: outgoing.New(o),
		lanes:  map[domain.WebhookID]domain.Webhook{},
		free:   make(chan struct{}, 1),
		failed: map[outgoing.Class]*atomic.Int64{},
	}
	for _, class := range outgoing.Classes {
		w.failed[class] = new(atomic.Int64)
	}
	return w
}

// WebhookStats is what has become of the deliveries of this node, and what waits for all.
type WebhookStats struct {
	Waiting   int64
	OldestAge time.Duration // 0: none is due
	Delivered int64
	Time      time.Duration // of all attempts together
	Failed    map[outgoing.Class]int64
}

// WebhookStats returns the counts for the metrics.
func (a *App) WebhookStats() WebhookStats {
	w := a.webhooks
	s := WebhookStats{
		Waiting: w.waiting.Load(), Delivered: w.delivered.Load(), Time: time.Duration(w.nanos.Load()), Failed: map[outgoing.Class]int64{},
	}
	if oldest := w.oldest.Load(); oldest != 0 {
		s.OldestAge = max(0, a.now().Sub(time.UnixMicro(oldest)))
	}
	for class, n := range w.failed {
		s.Failed[class] = n.Load()
	}
	return s
}

func (w *webhooks) noted(class string, took time.Duration) {
	w.nanos.Add(int64(took))
	if class == "" {
		w.delivered.Add(1)
		return
	}
	w.failed[outgoing.Class(class)].Add(1)
}

// sendWebhooks delivers what is due until ctx ends. All nodes share the work: deliveries
// are claimed, and those whose node died are claimed again after the lease.
func (a *App) sendWebhooks(ctx context.Context) {
	var underWay sync.WaitGroup
	defer underWay.Wait()
	for {
		due, err := a.store.DueWebhooks(ctx, a.webhooks.wanted(a.now()))
		if err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "the queue of webhooks cannot be read and will be looked at again", "error", err)
		}
		for _, w := range due {
			if a.webhooks.enter(w) {
				underWay.Go(func() { a.webhooks.leave(w, a.lane(ctx, w)) })
			}
		}
		select {
		case <-a.store.DeliveriesQueued():
		case <-a.webhooks.free:
		case <-time.After(deliveryPoll):
		case <-ctx.Done():
			return
		}
	}
}

// SendWebhooks delivers what is due now. Programs that do not Run may call it.
func (a *App) SendWebhooks(ctx context.Context) error {
	due, err := a.store.DueWebhooks(ctx, repository.DueFilter{Now: a.now(), Limit: lanes})
	for _, w := range due {
		a.lane(ctx, w)
	}
	return err
}

// wanted says which webhooks there are places for.
func (w *webhooks) wanted(now time.Time) repository.DueFilter {
	w.mu.Lock()
	defer w.mu.Unlock()
	unproven, of := w.taken()
	f := repository.DueFilter{
		Now: now, Busy: slices.Collect(maps.Keys(w.lanes)), Proven: unproven >= lanesUnproven, Limit: lanes - len(w.lanes),
	}
	for organization, n := range of {
		if n >= lanesOfOne {
			f.Organizations = append(f.Organizations, organization)
		}
	}
	return f
}

func (w *webhooks) taken() (unproven int, of map[domain.OrganizationID]int) {
	of = map[domain.OrganizationID]int{}
	for _, lane := range w.lanes {
		of[lane.OrganizationID]++
		if !lane.Proven() {
			unproven++
		}
	}
	return unproven, of
}

// enter takes a place for a webhook, if there is one.
func (w *webhooks) enter(one domain.Webhook) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	unproven, of := w.taken()
	if len(w.lanes) >= lanes || !one.Proven() && unproven >= lanesUnproven || of[one.OrganizationID] >= lanesOfOne {
		return false
	}
	w.lanes[one.ID] = one
	return true
}

// leave gives a place back. If nothing was tried, that is no reason to look for more
// immediately: the same would be found again.
func (w *webhooks) leave(one domain.Webhook, tried bool) {
	w.mu.Lock()
	delete(w.lanes, one.ID)
	w.mu.Unlock()
	if !tried {
		return
	}
	select {
	case w.free <- struct{}{}:
	default: // noticed already
	}
}

// watchWebhooks looks at what waits, for the metrics.
func (a *App) watchWebhooks(ctx context.Context) error {
	count, oldest, err := a.store.WaitingDeliveries(ctx)
	if err != nil {
		return err
	}
	a.webhooks.waiting.Store(int64(count))
	a.webhooks.oldest.Store(0)
	if !oldest.IsZero() {
		a.webhooks.oldest.Store(oldest.UnixMicro())
	}
	return nil
}

// forgetDeliveries removes deliveries of events that are long ago.
func (a *App) forgetDeliveries(ctx context.Context) error {
	before := a.now().Add(-deliveryKept)
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = a.store.ForgetDeliveries(ctx, before, deliveryForget); err != nil {
			return err
		}
	}
	return nil
}
