package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func newWebhook(t *testing.T, s *repository.Store, p domain.Project, events ...string) domain.Webhook {
	t.Helper()
	w := domain.Webhook{
		ID: domain.NewID[domain.WebhookID](epoch), OrganizationID: p.OrganizationID, ProjectID: p.ID, URL: "https://example.com",
		Events: events, Status: domain.WebhookActive, Sealed: []byte{0, 0xff}, CreatedAt: epoch, UpdatedAt: epoch, Revision: 1,
	}
	check(t, s.CreateWebhook(t.Context(), p.Scope(), w))
	return w
}

func happens(t *testing.T, s *repository.Store, p domain.Project, action, target string, at time.Time) domain.EventID {
	t.Helper()
	e := domain.Event{
		ID: domain.NewID[domain.EventID](at), At: at, Actor: domain.Actor{Kind: domain.ActorUser}, Action: action,
		Target: domain.Target{ID: target}, OrganizationID: p.OrganizationID, ProjectID: p.ID,
	}
	check(t, s.AddEvent(t.Context(), e))
	return e.ID
}

// testWebhooks guarantees that webhooks keep every field and belong to their project
// alone.
func testWebhooks(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, a := newTenant(t, s, "a")
	_, b := newTenant(t, s, "b")
	fixed := domain.Webhook{
		ID: domain.NewID[domain.WebhookID](epoch), OrganizationID: a.OrganizationID, ProjectID: a.ID, Status: domain.WebhookActive,
	}
	w := filled(t, fixed, 1)
	check(t, s.CreateWebhook(ctx, a.Scope(), w))
	got, err := s.GetWebhook(ctx, a.Scope(), w.ID)
	same(t, "GetWebhook", got, w, err)

	fixed.CreatedAt, fixed.Revision, fixed.Status = w.CreatedAt, w.Revision+1, domain.WebhookPaused
	changed := filled(t, fixed, 2)
	code(t, s.UpdateWebhook(ctx, b.Scope(), changed), domain.CodeConflict)
	check(t, s.UpdateWebhook(ctx, a.Scope(), changed))
	code(t, s.UpdateWebhook(ctx, a.Scope(), changed), domain.CodeConflict)
	got, err = s.LockWebhook(ctx, a.Scope(), w.ID)
	same(t, "LockWebhook after UpdateWebhook", got, changed, err)
	list, err := s.ListWebhooks(ctx, a.Scope(), domain.Page{Limit: 10})
	same(t, "ListWebhooks", list.Items, []domain.Webhook{changed}, err)

	_, err = s.GetWebhook(ctx, b.Scope(), w.ID)
	code(t, err, domain.CodeNotFound)
	code(t, s.DeleteWebhook(ctx, b.Scope(), w.ID), domain.CodeNotFound)
	n, err := s.CountWebhooks(ctx, b.Scope())
	equal(t, n, 0, err)
	check(t, s.DeleteWebhook(ctx, a.Scope(), w.ID))
	code(t, s.DeleteWebhook(ctx, a.Scope(), w.ID), domain.CodeNotFound)
}

// testQueuedDeliveries guarantees that an event is queued for each active webhook of its
// project that is subscribed to it, in the transaction of the event, and for no other.
func testQueuedDeliveries(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, a := newTenant(t, s, "a")
	_, b := newTenant(t, s, "b")
	every, some := newWebhook(t, s, a, "*"), newWebhook(t, s, a, "key.created", "key.revoked")
	paused, foreign := newWebhook(t, s, a, "*"), newWebhook(t, s, b, "*")
	off := paused
	off.Status, off.Revision = domain.WebhookPaused, 2
	check(t, s.UpdateWebhook(ctx, a.Scope(), off))

	created := happens(t, s, a, "key.created", "", epoch)
	updated := happens(t, s, a, "key.updated", "", epoch.Add(time.Second))
	happens(t, s, a, "webhook.updated", string(every.ID), epoch)
	tested := happens(t, s, a, domain.ActionTested, string(some.ID), epoch.Add(2*time.Second))
	happens(t, s, a, domain.ActionTested, string(paused.ID), epoch)
	happens(t, s, domain.Project{OrganizationID: a.OrganizationID}, "key.created", "", epoch)

	queued := func(p domain.Project, w domain.Webhook) (ids []domain.EventID) {
		list, err := s.ListDeliveries(ctx, p.Scope(), w.ID, domain.Page{Limit: 10})
		check(t, err)
		for _, d := range list.Items {
			ids = append(ids, d.EventID)
		}
		return ids
	}
	same(t, "every event", queued(a, every), []domain.EventID{updated, created}, nil)
	same(t, "some events", queued(a, some), []domain.EventID{tested, created}, nil)
	same(t, "of a paused webhook", queued(a, paused), nil, nil)
	same(t, "of another project", queued(b, foreign), nil, nil)
	same(t, "in the scope of another project", queued(b, every), nil, nil)

	got, err := s.GetDelivery(ctx, a.Scope(), some.ID, created)
	same(t, "GetDelivery", got, domain.Delivery{
		WebhookID: some.ID, EventID: created, OrganizationID: a.OrganizationID, ProjectID: a.ID, Event: "key.created",
		Status: domain.DeliveryPending, CreatedAt: epoch, DueAt: epoch,
	}, err)
}

// testClaimedDeliveries guarantees that what one process has claimed no other one gets
// until the lease ends, and that only the last one to claim it can say what came of it.
func testClaimedDeliveries(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "a")
	w := newWebhook(t, s, p, "*")
	for i := range 3 {
		happens(t, s, p, "key.created", "", epoch.Add(time.Duration(i)*time.Second))
	}
	due := func(f repository.DueFilter) int {
		f.Limit = 10
		found, err := s.DueWebhooks(ctx, f)
		check(t, err)
		return len(found)
	}
	now, lease := epoch.Add(time.Minute), epoch.Add(2*time.Minute)
	same(t, "before it is due", due(repository.DueFilter{Now: epoch.Add(-1)}), 0, nil)
	same(t, "due", due(repository.DueFilter{Now: now}), 1, nil)
	same(t, "busy", due(repository.DueFilter{Now: now, Busy: []domain.WebhookID{w.ID}}), 0, nil)
	same(t, "of a busy tenant", due(repository.DueFilter{Now: now, Organizations: []domain.OrganizationID{p.OrganizationID}}), 0, nil)
	same(t, "never delivered to", due(repository.DueFilter{Now: now, Proven: true}), 0, nil)

	first, err := s.ClaimDeliveries(ctx, p.Scope(), w.ID, now, lease, 2)
	equal(t, len(first), 2, err)
	rest, err := s.ClaimDeliveries(ctx, p.Scope(), w.ID, now, lease, 10)
	equal(t, len(rest), 1, err)
	again, err := s.ClaimDeliveries(ctx, p.Scope(), w.ID, now, lease, 10)
	equal(t, len(again), 0, err)

	d := first[0]
	d.Body = `{"a": "b"}`
	check(t, s.FixBody(ctx, p.Scope(), d))
	done := d.Attempted(500, "status", now, 12*time.Millisecond, 0)
	check(t, s.NoteAttempt(ctx, p.Scope(), done))
	got, err := s.GetDelivery(ctx, p.Scope(), w.ID, d.EventID)
	same(t, "after an attempt", got, done, err)
	taken, err := s.ClaimDeliveries(ctx, p.Scope(), w.ID, lease, lease.Add(time.Minute), 10)
	equal(t, len(taken), 3, err)
	code(t, s.NoteAttempt(ctx, p.Scope(), first[1].Attempted(200, "", now, 0, 0)), domain.CodeNotFound)
	for _, d := range taken {
		check(t, s.NoteAttempt(ctx, p.Scope(), d.Attempted(200, "", lease, time.Millisecond, 0)))
	}
	check(t, s.NoteSuccess(ctx, p.Scope(), w.ID, lease))
	same(t, "when all is done", due(repository.DueFilter{Now: lease.Add(time.Hour)}), 0, nil)

	check(t, s.Redeliver(ctx, p.Scope(), w.ID, d.EventID, lease))
	same(t, "to be delivered again", due(repository.DueFilter{Now: lease, Proven: true}), 1, nil)
	check(t, s.NoteFailure(ctx, p.Scope(), w.ID, lease))
	same(t, "failing", due(repository.DueFilter{Now: lease, Proven: true}), 0, nil)
	count, oldest, err := s.WaitingDeliveries(ctx)
	equal(t, count, 1, err)
	equal(t, oldest, lease, nil)

	more, err := s.ForgetDeliveries(ctx, epoch.Add(time.Second), 1)
	equal(t, more, true, err)
	more, err = s.ForgetDeliveries(ctx, epoch.Add(time.Second), 1)
	equal(t, more, false, err)
	list, err := s.ListDeliveries(ctx, p.Scope(), w.ID, domain.Page{Limit: 10})
	equal(t, len(list.Items), 2, err)
}
