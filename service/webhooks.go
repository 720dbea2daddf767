package service

import (
	"context"
	"net/url"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// madeWebhook is a webhook with the secret just made for it. Of an answer, only the id is
// stored.
type madeWebhook struct {
	ID      domain.WebhookID
	webhook domain.Webhook
	secret  domain.WebhookSecret
}

// CreateWebhook subscribes an address to the audit trail of the project, and returns the
// secret by which its receiver verifies. It needs webhooks:write. One webhook too many
// gives conflict.
func (p *Project) CreateWebhook(ctx context.Context, spec domain.WebhookSpec) (domain.Webhook, domain.WebhookSecret, error) {
	if err := p.Authorize(domain.WebhooksWrite); err != nil {
		return domain.Webhook{}, domain.WebhookSecret{}, err
	}
	if err := spec.Validate(); err != nil {
		return domain.Webhook{}, domain.WebhookSecret{}, err
	}
	if err := p.app.reachable(spec.URL); err != nil {
		return domain.Webhook{}, domain.WebhookSecret{}, err
	}
	r, err := p.app.newRequest(p.caller, spec.IdempotencyKey.Reveal(), "createWebhook", p.project.ID, spec)
	if err != nil {
		return domain.Webhook{}, domain.WebhookSecret{}, err
	}
	made, err := once(ctx, p.app, r, func(ctx context.Context, tx *repository.Store, random source) (madeWebhook, error) {
		return p.addWebhook(ctx, tx, spec, random)
	}, func(ctx context.Context, tx *repository.Store, answer *madeWebhook, random source) error {
		return p.sameSecret(ctx, tx, answer, random)
	})
	return made.webhook, made.secret, err
}

// reachable returns validation_failed for an address to which nothing can be sent, as far
// as that is known before it is tried.
func (a *App) reachable(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	var v domain.Invalid
	if why := a.webhooks.client.Check(u); why != "" {
		v.Add("/url", "%s", why)
	}
	return v.Err()
}

func (p *Project) addWebhook(
	ctx context.Context, tx *repository.Store, spec domain.WebhookSpec, random source,
) (madeWebhook, error) {
	if _, err := p.lockAround(ctx, tx); err != nil {
		return madeWebhook{}, err
	}
	switch n, err := tx.CountWebhooks(ctx, p.project.Scope()); {
	case err != nil:
		return madeWebhook{}, err
	case n >= domain.MaxWebhooks:
		return madeWebhook{}, domain.Errorf(domain.CodeConflict,
			"A project can have at most %d webhooks. Delete one that is not needed.", domain.MaxWebhooks)
	}
	secret, err := domain.NewWebhookSecret(random)
	if err != nil {
		return madeWebhook{}, err
	}
	now := p.app.now()
	w := domain.Webhook{
		ID:             domain.NewID[domain.WebhookID](now),
		OrganizationID: p.project.OrganizationID,
		ProjectID:      p.project.ID,
		URL:            spec.URL,
		Events:         spec.Events,
		Status:         domain.WebhookActive,
		CreatedAt:      now,
		UpdatedAt:      now,
		Revision:       1,
	}
	w.Sealed = p.app.keyring.seal(secret.Bytes(), webhookPurpose(w))
	if err := tx.CreateWebhook(ctx, p.project.Scope(), w); err != nil {
		return madeWebhook{}, err
	}
	return madeWebhook{w.ID, w, secret}, p.recordWebhook(ctx, tx, "webhook.created", w, domain.Diff(nil, webhookFields(w)))
}

// webhookPurpose binds a sealed secret to its webhook.
func webhookPurpose(w domain.Webhook) string { return "webhook/" + string(w.ID) }

// sameSecret draws the secret of an answer that was lost again, while it is in use.
func (p *Project) sameSecret(ctx context.Context, tx *repository.Store, answer *madeWebhook, random source) error {
	w, err := tx.GetWebhook(ctx, p.project.Scope(), answer.ID)
	if err != nil {
		return ended(err)
	}
	secret, err := domain.NewWebhookSecret(random)
	if err != nil {
		return err
	}
	current, err := p.app.webhookSecret(w, w.Sealed)
	if err != nil {
		return err
	}
	if current.Reveal() != secret.Reveal() {
		return errEnded()
	}
	answer.webhook, answer.secret = w, secret
	return nil
}

func (a *App) webhookSecret(w domain.Webhook, sealed []byte) (domain.WebhookSecret, error) {
	raw, err := a.keyring.unseal(sealed, webhookPurpose(w))
	if err != nil {
		return domain.WebhookSecret{}, err
	}
	return domain.WebhookSecretFrom(raw)
}

// ListWebhooks returns the project's webhooks, newest first. It needs webhooks:read.
func (p *Project) ListWebhooks(ctx context.Context, page domain.Page) (domain.List[domain.Webhook], error) {
	if err := p.Authorize(domain.WebhooksRead); err != nil {
		return domain.List[domain.Webhook]{}, err
	}
	return p.app.store.ListWebhooks(ctx, p.project.Scope(), page)
}

// GetWebhook returns a webhook of the project. It needs webhooks:read.
func (p *Project) GetWebhook(ctx context.Context, id domain.WebhookID) (domain.Webhook, error) {
	if err := p.Authorize(domain.WebhooksRead); err != nil {
		return domain.Webhook{}, err
	}
	return p.app.store.GetWebhook(ctx, p.project.Scope(), id)
}

// UpdateWebhook changes a webhook's address, events or status. It needs webhooks:write.
func (p *Project) UpdateWebhook(ctx context.Context, id domain.WebhookID, patch domain.WebhookPatch) (domain.Webhook, error) {
	if err := p.Authorize(domain.WebhooksWrite); err != nil {
		return domain.Webhook{}, err
	}
	var w domain.Webhook
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		before, err := p.lockWebhook(ctx, tx, id)
		if err != nil {
			return err
		}
		after, err := patch.Apply(before)
		if err != nil {
			return err
		}
		if after.URL != before.URL {
			if err := p.app.reachable(after.URL); err != nil {
				return err
			}
		}
		w = before
		changes := domain.Diff(webhookFields(before), webhookFields(after))
		if len(changes) == 0 {
			return nil
		}
		w, err = p.storeWebhook(ctx, tx, "webhook.updated", after, changes)
		return err
	})
	return w, err
}

// storeWebhook stores a change of a webhook that is locked.
func (p *Project) storeWebhook(
	ctx context.Context, tx *repository.Store, action string, w domain.Webhook, changes domain.Changes,
) (domain.Webhook, error) {
	w.UpdatedAt, w.Revision = p.app.now(), w.Revision+1
	if err := tx.UpdateWebhook(ctx, p.project.Scope(), w); err != nil {
		return domain.Webhook{}, err
	}
	return w, p.recordWebhook(ctx, tx, action, w, changes)
}

// RotateWebhookSecret gives a webhook another secret. What is sent is signed by both for
// domain.WebhookGrace. It needs webhooks:write.
func (p *Project) RotateWebhookSecret(
	ctx context.Context, id domain.WebhookID, idempotencyKey domain.Hidden,
) (domain.Webhook, domain.WebhookSecret, error) {
	if err := p.Authorize(domain.WebhooksWrite); err != nil {
		return domain.Webhook{}, domain.WebhookSecret{}, err
	}
	r, err := p.app.newRequest(p.caller, idempotencyKey.Reveal(), "rotateWebhookSecret", id, nil)
	if err != nil {
		return domain.Webhook{}, domain.WebhookSecret{}, err
	}
	made, err := once(ctx, p.app, r, func(ctx context.Context, tx *repository.Store, random source) (madeWebhook, error) {
		return p.replaceSecret(ctx, tx, id, random)
	}, func(ctx context.Context, tx *repository.Store, answer *madeWebhook, random source) error {
		return p.sameSecret(ctx, tx, answer, random)
	})
	return made.webhook, made.secret, err
}

func (p *Project) replaceSecret(ctx context.Context, tx *repository.Store, id domain.WebhookID, random source) (madeWebhook, error) {
	w, err := p.lockWebhook(ctx, tx, id)
	if err != nil {
		return madeWebhook{}, err
	}
	secret, err := domain.NewWebhookSecret(random)
	if err != nil {
		return madeWebhook{}, err
	}
	w.Previous, w.PreviousUntil = w.Sealed, p.app.now().Add(domain.WebhookGrace)
	w.Sealed = p.app.keyring.seal(secret.Bytes(), webhookPurpose(w))
	w, err = p.storeWebhook(ctx, tx, "webhook.secret_rotated", w, nil)
	return madeWebhook{w.ID, w, secret}, err
}

// DeleteWebhook removes a webhook with all that is on its way to it. It needs
// webhooks:write.
func (p *Project) DeleteWebhook(ctx context.Context, id domain.WebhookID) error {
	if err := p.Authorize(domain.WebhooksWrite); err != nil {
		return err
	}
	return p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		w, err := p.lockWebhook(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.DeleteWebhook(ctx, p.project.Scope(), id); err != nil {
			return err
		}
		return p.recordWebhook(ctx, tx, "webhook.deleted", w, nil)
	})
}

// lockWebhook returns the webhook for a change.
func (p *Project) lockWebhook(ctx context.Context, tx *repository.Store, id domain.WebhookID) (domain.Webhook, error) {
	if _, err := p.lockAround(ctx, tx); err != nil {
		return domain.Webhook{}, err
	}
	w, err := tx.LockWebhook(ctx, p.project.Scope(), id)
	if err != nil {
		return domain.Webhook{}, err
	}
	return w, p.precondition.Check(w.Revision)
}

func (p *Project) recordWebhook(
	ctx context.Context, tx *repository.Store, action string, w domain.Webhook, changes domain.Changes,
) error {
	return p.app.record(ctx, tx, p.caller, webhookEvent(action, w, changes))
}

func webhookEvent(action string, w domain.Webhook, changes domain.Changes) domain.Event {
	return domain.Event{
		Action:         action,
		Target:         domain.Target{Kind: "webhook", ID: string(w.ID), Name: webhookHost(w)},
		OrganizationID: w.OrganizationID,
		ProjectID:      w.ProjectID,
		Changes:        changes,
	}
}

// webhookHost names a webhook.
func webhookHost(w domain.Webhook) string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// webhookFields are what the audit trail shows of changes to a webhook.
func webhookFields(w domain.Webhook) map[string]any {
	return map[string]any{"url": w.URL, "events": w.Events, "status": string(w.Status)}
}
