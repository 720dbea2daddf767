package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type deliveryRow struct {
	bun.BaseModel `bun:"table:webhook_deliveries,alias:d"`

	WebhookID      domain.WebhookID `bun:",pk"`
	EventID        domain.EventID   `bun:",pk"`
	OrganizationID domain.OrganizationID
	ProjectID      domain.ProjectID
	Event          string
	Body           []byte `bun:",nullzero"`
	Status         domain.DeliveryStatus
	Attempt        int
	ResponseStatus int
	Duration       int64 // microseconds
	Error          string
	CreatedAt      micros
	AttemptedAt    micros
	DueAt          micros
}

func (r deliveryRow) delivery() domain.Delivery {
	return domain.Delivery{
		WebhookID:      r.WebhookID,
		EventID:        r.EventID,
		OrganizationID: r.OrganizationID,
		ProjectID:      r.ProjectID,
		Event:          r.Event,
		Body:           domain.Hidden(r.Body),
		Status:         r.Status,
		Attempt:        r.Attempt,
		ResponseStatus: r.ResponseStatus,
		Duration:       time.Duration(r.Duration) * time.Microsecond,
		Error:          r.Error,
		CreatedAt:      r.CreatedAt.Time,
		AttemptedAt:    r.AttemptedAt.Time,
		DueAt:          r.DueAt.Time,
	}
}

// GetDelivery returns what has become of an event for a webhook of the project.
func (s *Store) GetDelivery(
	ctx context.Context, scope domain.ProjectScope, id domain.WebhookID, event domain.EventID,
) (domain.Delivery, error) {
	var row deliveryRow
	err := selectIn(s, scope, &row).Where("d.webhook_id = ?", id).Where("d.event_id = ?", event).Scan(ctx)
	return row.delivery(), s.error(err)
}

// ListDeliveries returns the deliveries of a webhook of the project, newest first, without
// their bodies.
func (s *Store) ListDeliveries(
	ctx context.Context, scope domain.ProjectScope, id domain.WebhookID, p domain.Page,
) (domain.List[domain.Delivery], error) {
	var rows []deliveryRow
	q := newestBy(selectIn(s, scope, &rows).ExcludeColumn("body").Where("d.webhook_id = ?", id), "created_at", "event_id", p)
	if err := q.Scan(ctx); err != nil {
		return domain.List[domain.Delivery]{}, s.error(err)
	}
	return list(rows, p, deliveryRow.delivery, func(d domain.Delivery) domain.Cursor {
		return domain.Cursor{At: d.CreatedAt, ID: string(d.EventID)}
	}), nil
}

// ClaimDeliveries returns at most limit deliveries of a webhook that are due at now, and
// reserves them for this process until a time.
func (s *Store) ClaimDeliveries(
	ctx context.Context, scope domain.ProjectScope, id domain.WebhookID, now, until time.Time, limit int,
) ([]domain.Delivery, error) {
	next := s.engine.skipLocked(selectIn(s, scope, (*deliveryRow)(nil)).Column("d.event_id").Where("d.webhook_id = ?", id).
		Where("d.due_at <= ?", micros{now}).OrderExpr("d.due_at, d.event_id").Limit(int64(limit)))
	var rows []deliveryRow
	_, err := updateIn(s, scope, &rows).With("next", next).Set("due_at = ?", micros{until}).Set("attempt = attempt + 1").
		Where("d.webhook_id = ?", id).Where("d.event_id IN (SELECT event_id FROM next)").Where("d.due_at <= ?", micros{now}).
		Returning("*").Exec(ctx)
	if err != nil {
		return nil, s.error(err)
	}
	deliveries := make([]domain.Delivery, len(rows))
	for i, r := range rows {
		deliveries[i] = r.delivery()
	}
	return deliveries, nil
}

// FixBody stores what is sent of a delivery that this process has claimed.
func (s *Store) FixBody(ctx context.Context, scope domain.ProjectScope, d domain.Delivery) error {
	res, err := s.claimedDelivery(scope, d).Set("body = ?", []byte(d.Body.Reveal())).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// NoteAttempt stores what an attempt of a delivery showed; not_found if another process
// has claimed it.
func (s *Store) NoteAttempt(ctx context.Context, scope domain.ProjectScope, d domain.Delivery) error {
	res, err := s.claimedDelivery(scope, d).Set("status = ?", d.Status).Set("response_status = ?", d.ResponseStatus).
		Set("duration = ?", d.Duration.Microseconds()).Set("error = ?", d.Error).
		Set("attempted_at = ?", micros{d.AttemptedAt}).Set("due_at = ?", micros{d.DueAt}).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

func (s *Store) claimedDelivery(scope domain.ProjectScope, d domain.Delivery) *bun.UpdateQuery {
	return updateIn(s, scope, (*deliveryRow)(nil)).Where("d.webhook_id = ?", d.WebhookID).Where("d.event_id = ?", d.EventID).
		Where("d.attempt = ?", d.Attempt).Where("d.due_at IS NOT NULL")
}

// Redeliver makes a delivery due, with all its attempts before it. After the commit,
// DeliveriesQueued wakes this process.
func (s *Store) Redeliver(
	ctx context.Context, scope domain.ProjectScope, id domain.WebhookID, event domain.EventID, now time.Time,
) error {
	res, err := updateIn(s, scope, (*deliveryRow)(nil)).Set("status = ?", domain.DeliveryPending).Set("attempt = 0").
		Set("due_at = ?", micros{now}).Where("d.webhook_id = ?", id).Where("d.event_id = ?", event).Exec(ctx)
	if err = s.changed(res, err, domain.NotFound()); err == nil {
		s.afterCommit(s.link.deliveriesQueued)
	}
	return err
}

// DeliveriesQueued receives after this process has written events, which may be queued
// for webhooks.
func (s *Store) DeliveriesQueued() <-chan struct{} { return s.link.queued }

// ForgetDeliveries removes at most limit deliveries of events before a time, of all
// tenants, and reports whether there may be more.
func (s *Store) ForgetDeliveries(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	old := s.write.NewSelect().Model((*deliveryRow)(nil)).Column("d.webhook_id", "d.event_id").
		Where("d.created_at < ?", micros{before}).OrderExpr("d.webhook_id, d.event_id").Limit(int64(limit))
	res, err := s.write.NewDelete().Model((*deliveryRow)(nil)).Where("(d.webhook_id, d.event_id) IN (?)", old).Exec(ctx)
	if err != nil {
		return false, s.error(err)
	}
	n, err := res.RowsAffected()
	return n == int64(limit), s.error(err)
}

// WaitingDeliveries returns how many deliveries of active webhooks wait, and since when
// the oldest one is due; the zero time if none is.
func (s *Store) WaitingDeliveries(ctx context.Context) (count int, oldest time.Time, err error) {
	var at micros
	err = s.read.NewSelect().Model((*deliveryRow)(nil)).ColumnExpr("COUNT(*), MIN(d.due_at)").
		Join("JOIN webhooks AS w ON w.id = d.webhook_id AND w.status = ?", domain.WebhookActive).
		Where("d.due_at IS NOT NULL").Scan(ctx, &count, &at)
	return count, at.Time, s.error(err)
}

// EventsByID returns events of the project, in no order.
func (s *Store) EventsByID(ctx context.Context, scope domain.ProjectScope, ids []domain.EventID) ([]domain.Event, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []eventRow
	if err := selectIn(s, scope, &rows).Where("e.id IN ?", bun.Tuple(ids)).Scan(ctx); err != nil {
		return nil, s.error(err)
	}
	events := make([]domain.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events, nil
}
