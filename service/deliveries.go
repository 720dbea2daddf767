package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// ListWebhookDeliveries returns what a webhook was sent and is about to be sent, newest
// first. It needs webhooks:read.
func (p *Project) ListWebhookDeliveries(
	ctx context.Context, id domain.WebhookID, page domain.Page,
) (domain.List[domain.Delivery], error) {
	if err := p.Authorize(domain.WebhooksRead); err != nil {
		return domain.List[domain.Delivery]{}, err
	}
	if _, err := p.app.store.GetWebhook(ctx, p.project.Scope(), id); err != nil {
		return domain.List[domain.Delivery]{}, err
	}
	return p.app.store.ListDeliveries(ctx, p.project.Scope(), id, page)
}

// TestWebhook sends a webhook an event of its own, webhook.tested, and returns how that
// begins. It needs webhooks:write and an active webhook.
func (p *Project) TestWebhook(ctx context.Context, id domain.WebhookID) (domain.Delivery, error) {
	if err := p.Authorize(domain.WebhooksWrite); err != nil {
		return domain.Delivery{}, err
	}
	var d domain.Delivery
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		w, err := p.lockActive(ctx, tx, id)
		if err != nil {
			return err
		}
		event := webhookEvent(domain.ActionTested, w, nil)
		if event.ID, err = p.app.recorded(ctx, tx, p.caller, event); err != nil {
			return err
		}
		d, err = tx.GetDelivery(ctx, p.project.Scope(), id, event.ID)
		return err
	})
	return d, err
}

// Redeliver sends an event to a webhook once more, with all its attempts before it. It
// needs webhooks:write and an active webhook.
func (p *Project) Redeliver(ctx context.Context, id domain.WebhookID, event domain.EventID) (domain.Delivery, error) {
	if err := p.Authorize(domain.WebhooksWrite); err != nil {
		return domain.Delivery{}, err
	}
	var d domain.Delivery
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		w, err := p.lockActive(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.Redeliver(ctx, p.project.Scope(), id, event, p.app.now()); err != nil {
			return err
		}
		if d, err = tx.GetDelivery(ctx, p.project.Scope(), id, event); err != nil {
			return err
		}
		return p.recordWebhook(ctx, tx, "webhook.redelivered", w, domain.Changes{"event": {nil, string(event)}})
	})
	return d, err
}

func (p *Project) lockActive(ctx context.Context, tx *repository.Store, id domain.WebhookID) (domain.Webhook, error) {
	w, err := p.lockWebhook(ctx, tx, id)
	if err == nil && w.Status != domain.WebhookActive {
		err = domain.Errorf(domain.CodeConflict, "The webhook is %s, so nothing is sent to it. Make it active first.", w.Status)
	}
	return w, err
}
