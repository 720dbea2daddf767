package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type webhookRow struct {
	bun.BaseModel `bun:"table:webhooks,alias:w"`

	ID             domain.WebhookID `bun:",pk"`
	OrganizationID domain.OrganizationID
	ProjectID      domain.ProjectID
	URL            string
	Events         []string `bun:"type:jsonb"`
	Status         domain.WebhookStatus
	Sealed         []byte
	Previous       []byte `bun:",nullzero"`
	PreviousUntil  micros
	CreatedAt      micros
	UpdatedAt      micros
	LastSuccessAt  micros
	FailingSince   micros
	Revision       int64
}

func (r webhookRow) webhook() domain.Webhook {
	return domain.Webhook{
		ID:             r.ID,
		OrganizationID: r.OrganizationID,
		ProjectID:      r.ProjectID,
		URL:            r.URL,
		Events:         r.Events,
		Status:         r.Status,
		Sealed:         r.Sealed,
		Previous:       r.Previous,
		PreviousUntil:  r.PreviousUntil.Time,
		CreatedAt:      r.CreatedAt.Time,
		UpdatedAt:      r.UpdatedAt.Time,
		LastSuccessAt:  r.LastSuccessAt.Time,
		FailingSince:   r.FailingSince.Time,
		Revision:       r.Revision,
	}
}

func newWebhookRow(scope domain.ProjectScope, w domain.Webhook) *webhookRow {
	return &webhookRow{
		ID:             w.ID,
		OrganizationID: scope.Organization(),
		ProjectID:      scope.Project(),
		URL:            w.URL,
		Events:         listed(w.Events),
		Status:         w.Status,
		Sealed:         w.Sealed,
		Previous:       w.Previous,
		PreviousUntil:  micros{w.PreviousUntil},
		CreatedAt:      micros{w.CreatedAt},
		UpdatedAt:      micros{w.UpdatedAt},
		LastSuccessAt:  micros{w.LastSuccessAt},
		FailingSince:   micros{w.FailingSince},
		Revision:       w.Revision,
	}
}

// CreateWebhook adds a webhook to the project.
func (s *Store) CreateWebhook(ctx context.Context, scope domain.ProjectScope, w domain.Webhook) error {
	return s.insert(ctx, newWebhookRow(scope, w))
}

// GetWebhook returns a webhook of the project.
func (s *Store) GetWebhook(ctx context.Context, scope domain.ProjectScope, id domain.WebhookID) (domain.Webhook, error) {
	var row webhookRow
	err := selectIn(s, scope, &row).Where("w.id = ?", id).Scan(ctx)
	return row.webhook(), s.error(err)
}

// LockWebhook is like GetWebhook, but locks the webhook until the transaction ends.
func (s *Store) LockWebhook(ctx context.Context, scope domain.ProjectScope, id domain.WebhookID) (domain.Webhook, error) {
	var row webhookRow
	err := s.engine.forUpdate(selectIn(s, scope, &row).Where("w.id = ?", id)).Scan(ctx)
	return row.webhook(), s.error(err)
}

// CountWebhooks returns how many webhooks the project has.
func (s *Store) CountWebhooks(ctx context.Context, scope domain.ProjectScope) (int, error) {
	n, err := selectIn(s, scope, (*webhookRow)(nil)).Count(ctx)
	return int(n), s.error(err)
}

// ListWebhooks returns the project's webhooks, newest first.
func (s *Store) ListWebhooks(ctx context.Context, scope domain.ProjectScope, p domain.Page) (domain.List[domain.Webhook], error) {
	var rows []webhookRow
	if err := newest(selectIn(s, scope, &rows), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.Webhook]{}, s.error(err)
	}
	return list(rows, p, webhookRow.webhook, func(w domain.Webhook) domain.Cursor {
		return domain.Cursor{At: w.CreatedAt, ID: string(w.ID)}
	}), nil
}

// UpdateWebhook stores w, which must be one revision ahead of the row; otherwise it
// returns conflict. Callers hold the lock of LockWebhook, since deliveries change the row,
// too.
func (s *Store) UpdateWebhook(ctx context.Context, scope domain.ProjectScope, w domain.Webhook) error {
	res, err := updateIn(s, scope, newWebhookRow(scope, w)).ExcludeColumn("id", "organization_id", "project_id", "created_at").
		Where("w.id = ?", w.ID).Where("w.revision = ?", w.Revision-1).Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// DeleteWebhook removes a webhook of the project with its deliveries.
func (s *Store) DeleteWebhook(ctx context.Context, scope domain.ProjectScope, id domain.WebhookID) error {
	res, err := deleteIn(s, scope, (*webhookRow)(nil)).Where("w.id = ?", id).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// noteEvery is how often a success is noted of a webhook that has no failures.
const noteEvery = time.Minute

// NoteSuccess records that a webhook was delivered to, and that it does not fail.
func (s *Store) NoteSuccess(ctx context.Context, scope domain.ProjectScope, id domain.WebhookID, at time.Time) error {
	_, err := updateIn(s, scope, (*webhookRow)(nil)).Set("last_success_at = ?", micros{at}).Set("failing_since = NULL").
		Where("w.id = ?", id).WhereGroup(" AND ", func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Where("w.failing_since IS NOT NULL").WhereOr("w.last_success_at IS NULL").
			WhereOr("w.last_success_at < ?", micros{at.Add(-noteEvery)})
	}).Exec(ctx)
	return s.error(err)
}

// NoteFailure records that a webhook fails from a time on, unless that is noted already.
func (s *Store) NoteFailure(ctx context.Context, scope domain.ProjectScope, id domain.WebhookID, at time.Time) error {
	_, err := updateIn(s, scope, (*webhookRow)(nil)).Set("failing_since = ?", micros{at}).
		Where("w.id = ?", id).Where("w.failing_since IS NULL").Exec(ctx)
	return s.error(err)
}

// DueFilter narrows DueWebhooks.
type DueFilter struct {
	Now           time.Time
	Busy          []domain.WebhookID      // are left out
	Organizations []domain.OrganizationID // are left out
	Proven        bool                    // only webhooks whose last delivery was a success
	Limit         int
}

// DueWebhooks returns active webhooks that have deliveries which are due.
func (s *Store) DueWebhooks(ctx context.Context, f DueFilter) ([]domain.Webhook, error) {
	due := s.read.NewSelect().Model((*deliveryRow)(nil)).ColumnExpr("1").Where("d.webhook_id = w.id").Where("d.due_at <= ?", micros{f.Now})
	var rows []webhookRow
	q := s.read.NewSelect().Model(&rows).Where("w.status = ?", domain.WebhookActive).Where("EXISTS (?)", due).Limit(int64(f.Limit))
	if len(f.Busy) > 0 {
		q = q.Where("w.id NOT IN ?", bun.Tuple(f.Busy))
	}
	if len(f.Organizations) > 0 {
		q = q.Where("w.organization_id NOT IN ?", bun.Tuple(f.Organizations))
	}
	if f.Proven {
		q = q.Where("w.last_success_at IS NOT NULL").Where("w.failing_since IS NULL")
	}
	// Those that were delivered to recently come last, so that all have their turn.
	if err := q.OrderExpr("COALESCE(w.last_success_at, 0), w.id").Scan(ctx); err != nil {
		return nil, s.error(err)
	}
	webhooks := make([]domain.Webhook, len(rows))
	for i, r := range rows {
		webhooks[i] = r.webhook()
	}
	return webhooks, nil
}
