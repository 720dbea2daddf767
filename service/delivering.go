package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/outgoing"
)

const (
	deliveryTime  = 15 * time.Second // for the answer of a receiver
	deliveryLease = time.Minute      // how long no other node takes what was claimed; after a crash it waits as long
	deliveryBatch = 12               // events that are claimed for a webhook at a time: three rounds of deliveryTime fit into a lease
	deliveryWidth = 4                // of those, under way at the same time
)

// lane delivers what is due for one webhook until nothing is: a batch at a time if the
// last delivery was a success, and else one event at a time. It reports whether it has
// tried to deliver anything.
func (a *App) lane(ctx context.Context, w domain.Webhook) (tried bool) {
	for ctx.Err() == nil {
		project, err := a.store.GetProject(ctx, w.ProjectID)
		if err != nil {
			return tried // it is deleted, or the database is out of reach: the next look sees
		}
		scope := project.Scope()
		if w, err = a.store.GetWebhook(ctx, scope, w.ID); err != nil || w.Status != domain.WebhookActive {
			return tried
		}
		batch := 1
		if w.Proven() {
			batch = deliveryBatch
		}
		now := a.now()
		claimed, err := a.store.ClaimDeliveries(ctx, scope, w.ID, now, now.Add(deliveryLease), batch)
		if err != nil || len(claimed) == 0 {
			return tried
		}
		a.deliverBatch(ctx, scope, w, claimed)
		tried = true
	}
	return tried
}

// deliverBatch tries once to deliver what was claimed, and notes what came of it. What is
// under way when ctx ends is given time to end: it takes no longer than a receiver may.
func (a *App) deliverBatch(ctx context.Context, scope domain.ProjectScope, w domain.Webhook, claimed []domain.Delivery) {
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), deliveryLease)
	defer end()
	if err := a.fixBodies(ctx, scope, claimed); err != nil {
		a.log.WarnContext(ctx, "events for a webhook could not be read and will be tried again", "webhook", w.ID, "error", err)
		return // the lease ends
	}
	keys, err := a.signingSecrets(w)
	if err != nil {
		a.log.ErrorContext(ctx, "the secret of a webhook was not written with this master key, or has been altered", "webhook", w.ID)
		return
	}
	var underWay sync.WaitGroup
	places := make(chan struct{}, deliveryWidth)
	for i := range claimed {
		places <- struct{}{}
		underWay.Go(func() {
			defer func() { <-places }()
			claimed[i] = a.attempt(ctx, w, keys, claimed[i])
		})
	}
	underWay.Wait()
	a.settle(ctx, func(ctx context.Context) error { return a.noteAttempts(ctx, scope, w, claimed) })
}

// fixBodies writes what is sent of events that are sent for the first time, and stores it,
// so that all attempts send the same.
func (a *App) fixBodies(ctx context.Context, scope domain.ProjectScope, claimed []domain.Delivery) error {
	var ids []domain.EventID
	for _, d := range claimed {
		if d.Body == "" {
			ids = append(ids, d.EventID)
		}
	}
	events, err := a.store.EventsByID(ctx, scope, ids)
	if err != nil || len(ids) == 0 {
		return err
	}
	bodies := map[domain.EventID][]byte{}
	for _, e := range events {
		key, err := a.keyAbout(ctx, scope, e)
		if err != nil {
			return err
		}
		if bodies[e.ID], err = writeEvent(e, key, a.now()); err != nil {
			return err
		}
	}
	return a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		for i, d := range claimed {
			if d.Body != "" {
				continue
			}
			if d.Body = domain.Hidden(bodies[d.EventID]); d.Body == "" {
				return fmt.Errorf("the event %s is gone", d.EventID)
			}
			if err := tx.FixBody(ctx, scope, d); err != nil {
				return err
			}
			claimed[i] = d
		}
		return nil
	})
}

// keyAbout returns the key that an event is about, nil if there is none.
func (a *App) keyAbout(ctx context.Context, scope domain.ProjectScope, e domain.Event) (*domain.Key, error) {
	if e.Target.Kind != "key" {
		return nil, nil //nolint:nilnil // no key is an answer
	}
	key, err := a.store.GetKey(ctx, scope, domain.KeyID(e.Target.ID))
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil, nil //nolint:nilnil // it has been deleted since
	}
	return &key, err
}

// signingSecrets returns the secrets that sign for a webhook now: its own, and for a while
// the one before it.
func (a *App) signingSecrets(w domain.Webhook) ([]domain.WebhookSecret, error) {
	sealed := [][]byte{w.Sealed}
	if w.Previous != nil && a.now().Before(w.PreviousUntil) {
		sealed = append(sealed, w.Previous)
	}
	secrets := make([]domain.WebhookSecret, len(sealed))
	for i, s := range sealed {
		var err error
		if secrets[i], err = a.webhookSecret(w, s); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

// attempt sends an event once.
func (a *App) attempt(ctx context.Context, w domain.Webhook, secrets []domain.WebhookSecret, d domain.Delivery) domain.Delivery {
	trying, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	began, watch, body := a.now(), time.Now(), []byte(d.Body.Reveal())
	status, err := a.webhooks.client.Post(trying, w.URL, map[string]string{
		"Content-Type":      "application/json",
		"User-Agent":        "Latchkey",
		"webhook-id":        string(d.EventID),
		"webhook-timestamp": strconv.FormatInt(began.Unix(), 10),
		"webhook-signature": sign(secrets, string(d.EventID), began, body),
	}, body)
	took := time.Since(watch).Truncate(time.Microsecond)
	class := ""
	if err != nil {
		class = string(outgoing.ClassOf(err))
	}
	a.webhooks.noted(class, took)
	jitter := time.Duration(0)
	if wait, again := domain.RetryAfter(d.Attempt); again {
		jitter = rand.N(wait / 10) //nolint:gosec // chance is enough here
	}
	return d.Attempted(status, class, began, took, jitter)
}

// sign returns the signatures of an event by each secret, as Standard Webhooks has them.
func sign(secrets []domain.WebhookSecret, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		mac := hmac.New(sha256.New, s.Bytes())
		fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// noteAttempts stores what a batch showed, and what it says of the webhook.
func (a *App) noteAttempts(ctx context.Context, scope domain.ProjectScope, w domain.Webhook, done []domain.Delivery) error {
	return a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		var success, failure time.Time
		gone := false
		for _, d := range done {
			switch err := tx.NoteAttempt(ctx, scope, d); {
			case domain.CodeOf(err) == domain.CodeNotFound:
				continue // the webhook is deleted, or the lease has passed to another node
			case err != nil:
				return err
			}
			gone = gone || d.ResponseStatus == domain.StatusGone
			if d.Error == "" {
				success = later(success, d.AttemptedAt)
			} else {
				failure = later(failure, d.AttemptedAt)
			}
		}
		switch {
		case gone:
			return a.disableWebhook(ctx, tx, scope, w.ID, "the receiver answered 410")
		case !success.IsZero() && !success.Before(failure):
			return tx.NoteSuccess(ctx, scope, w.ID, success)
		case failure.IsZero():
			return nil
		case !w.FailingSince.IsZero() && failure.Sub(w.FailingSince) >= domain.WebhookPatience:
			return a.disableWebhook(ctx, tx, scope, w.ID, "no delivery has succeeded for five days")
		}
		return tx.NoteFailure(ctx, scope, w.ID, failure)
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// disableWebhook ends the deliveries to a webhook until a person makes it active again.
func (a *App) disableWebhook(ctx context.Context, tx *repository.Store, scope domain.ProjectScope, id domain.WebhookID, why string) error {
	w, err := tx.LockWebhook(ctx, scope, id)
	if err != nil || w.Status != domain.WebhookActive {
		return err
	}
	before := w
	w.Status, w.UpdatedAt, w.Revision = domain.WebhookDisabled, a.now(), w.Revision+1
	if err := tx.UpdateWebhook(ctx, scope, w); err != nil {
		return err
	}
	changes := domain.Diff(webhookFields(before), webhookFields(w))
	changes["reason"] = domain.Change{nil, why}
	event := webhookEvent("webhook.disabled", w, changes)
	event.ID, event.At = domain.NewID[domain.EventID](a.now()), a.now()
	event.Actor = domain.Actor{Kind: domain.ActorSystem, ID: "system", Name: "webhooks"}
	return tx.AddEvent(ctx, event)
}
