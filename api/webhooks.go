package api

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreateWebhook subscribes an address to what happens in a project.
func (h *handlers) CreateWebhook(ctx context.Context, r CreateWebhookRequestObject) (CreateWebhookResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	created, secret, err := project.CreateWebhook(ctx, domain.WebhookSpec{
		URL: r.Body.URL, Events: r.Body.Events, IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	body := withSecret(WebhookFrom(created), secret)
	return CreateWebhook201JSONResponse{Body: body, Headers: CreateWebhook201ResponseHeaders{ETag: etag(created.Revision)}}, err
}

// ListWebhooks answers a project's webhooks.
func (h *handlers) ListWebhooks(ctx context.Context, r ListWebhooksRequestObject) (ListWebhooksResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	list, err := project.ListWebhooks(ctx, page)
	next, link := nextPage(ctx, list.Next)
	body := WebhookList{Items: each(list.Items, WebhookFrom), NextCursor: next}
	return ListWebhooks200JSONResponse{Body: body, Headers: ListWebhooks200ResponseHeaders{Link: link}}, err
}

// GetWebhook answers a webhook of the project.
func (h *handlers) GetWebhook(ctx context.Context, r GetWebhookRequestObject) (GetWebhookResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	found, err := project.GetWebhook(ctx, r.WebhookID)
	return GetWebhook200JSONResponse{Body: WebhookFrom(found), Headers: GetWebhook200ResponseHeaders{ETag: etag(found.Revision)}}, err
}

// UpdateWebhook changes a webhook's address, events or status.
func (h *handlers) UpdateWebhook(ctx context.Context, r UpdateWebhookRequestObject) (UpdateWebhookResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	updated, err := project.UpdateWebhook(ctx, r.WebhookID, domain.WebhookPatch{
		URL: r.Body.URL, Events: r.Body.Events, Status: r.Body.Status,
	})
	body := WebhookFrom(updated)
	return UpdateWebhook200JSONResponse{Body: body, Headers: UpdateWebhook200ResponseHeaders{ETag: etag(updated.Revision)}}, err
}

// DeleteWebhook ends a subscription.
func (h *handlers) DeleteWebhook(ctx context.Context, r DeleteWebhookRequestObject) (DeleteWebhookResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	return DeleteWebhook204Response{}, project.DeleteWebhook(ctx, r.WebhookID)
}

// RotateWebhookSecret gives a webhook another secret.
func (h *handlers) RotateWebhookSecret(
	ctx context.Context, r RotateWebhookSecretRequestObject,
) (RotateWebhookSecretResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	rotated, secret, err := project.RotateWebhookSecret(ctx, r.WebhookID, domain.Hidden(value(r.Params.IdempotencyKey)))
	return RotateWebhookSecret200JSONResponse{
		Body:    withSecret(WebhookFrom(rotated), secret),
		Headers: RotateWebhookSecret200ResponseHeaders{ETag: etag(rotated.Revision)},
	}, err
}

// TestWebhook sends a webhook an event of its own.
func (h *handlers) TestWebhook(ctx context.Context, r TestWebhookRequestObject) (TestWebhookResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	delivery, err := project.TestWebhook(ctx, r.WebhookID)
	return TestWebhook202JSONResponse(DeliveryFrom(delivery)), err
}

// ListWebhookDeliveries answers what a webhook was sent.
func (h *handlers) ListWebhookDeliveries(
	ctx context.Context, r ListWebhookDeliveriesRequestObject,
) (ListWebhookDeliveriesResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	list, err := project.ListWebhookDeliveries(ctx, r.WebhookID, page)
	next, link := nextPage(ctx, list.Next)
	body := DeliveryList{Items: each(list.Items, DeliveryFrom), NextCursor: next}
	return ListWebhookDeliveries200JSONResponse{Body: body, Headers: ListWebhookDeliveries200ResponseHeaders{Link: link}}, err
}

// Redeliver sends an event to a webhook once more.
func (h *handlers) Redeliver(ctx context.Context, r RedeliverRequestObject) (RedeliverResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	delivery, err := project.Redeliver(ctx, r.WebhookID, r.DeliveryID)
	return Redeliver202JSONResponse(DeliveryFrom(delivery)), err
}

// WebhookFrom returns a webhook as clients see it.
func WebhookFrom(w domain.Webhook) Webhook {
	return Webhook{
		ID:                  w.ID,
		ProjectID:           w.ProjectID,
		URL:                 w.URL,
		Events:              append([]string{}, w.Events...),
		Status:              w.Status,
		CreatedAt:           w.CreatedAt.UTC(),
		UpdatedAt:           w.UpdatedAt.UTC(),
		LastSuccessAt:       timeOrNull(w.LastSuccessAt),
		FailingSince:        timeOrNull(w.FailingSince),
		PreviousSecretUntil: timeOrNull(w.PreviousUntil),
	}
}

func withSecret(w Webhook, secret domain.WebhookSecret) Webhook {
	w.Secret = new(secret.Reveal())
	return w
}

// DeliveryFrom returns a delivery as clients see it.
func DeliveryFrom(d domain.Delivery) Delivery {
	c := Delivery{
		ID:             d.EventID,
		WebhookID:      d.WebhookID,
		Event:          d.Event,
		Status:         d.Status,
		Attempt:        d.Attempt,
		ResponseStatus: nullable.NewNullNullable[int](),
		DurationMs:     nullable.NewNullNullable[float64](),
		Error:          nullable.NewNullNullable[string](),
		CreatedAt:      d.CreatedAt.UTC(),
		AttemptedAt:    timeOrNull(d.AttemptedAt),
		NextAttemptAt:  timeOrNull(d.DueAt),
	}
	if d.ResponseStatus != 0 {
		c.ResponseStatus.Set(d.ResponseStatus)
	}
	if !d.AttemptedAt.IsZero() {
		c.DurationMs.Set(float64(d.Duration) / float64(time.Millisecond))
	}
	if d.Error != "" {
		c.Error.Set(d.Error)
	}
	return c
}
