package repository

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type eventRow struct {
	bun.BaseModel `bun:"table:audit_events,alias:e"`

	ID             domain.EventID `bun:",pk"`
	At             micros
	OrganizationID domain.OrganizationID `bun:",nullzero"`
	ProjectID      domain.ProjectID
	ActorKind      domain.ActorKind
	ActorID        string
	ActorName      string
	Action         string
	TargetKind     string
	TargetID       string
	TargetName     string
	IP             string
	UserAgent      string
	RequestID      string
	Changes        domain.Changes `bun:"type:jsonb"`
}

func (r eventRow) event() domain.Event {
	return domain.Event{
		ID:             r.ID,
		At:             r.At.Time,
		Actor:          domain.Actor{Kind: r.ActorKind, ID: r.ActorID, Name: r.ActorName},
		Action:         r.Action,
		Target:         domain.Target{Kind: r.TargetKind, ID: r.TargetID, Name: r.TargetName},
		OrganizationID: r.OrganizationID,
		ProjectID:      r.ProjectID,
		Origin:         domain.Origin{IP: r.IP, UserAgent: r.UserAgent, RequestID: r.RequestID},
		Changes:        r.Changes,
	}
}

// AddEvent appends to the audit trail. A trigger queues events of projects for webhooks;
// after the commit, DeliveriesQueued wakes this process.
func (s *Store) AddEvent(ctx context.Context, e domain.Event) error {
	if e.Changes == nil {
		e.Changes = domain.Changes{}
	}
	// If bun cannot marshal a value, it writes the error into the SQL.
	if _, err := json.Marshal(e.Changes); err != nil {
		return fmt.Errorf("the changes of %s: %w", e.Action, err)
	}
	if e.ProjectID != "" {
		s.afterCommit(s.link.deliveriesQueued)
	}
	return s.insert(ctx, &eventRow{
		ID:             e.ID,
		At:             micros{e.At},
		OrganizationID: e.OrganizationID,
		ProjectID:      e.ProjectID,
		ActorKind:      e.Actor.Kind,
		ActorID:        e.Actor.ID,
		ActorName:      e.Actor.Name,
		Action:         e.Action,
		TargetKind:     e.Target.Kind,
		TargetID:       e.Target.ID,
		TargetName:     e.Target.Name,
		IP:             e.Origin.IP,
		UserAgent:      e.Origin.UserAgent,
		RequestID:      e.Origin.RequestID,
		Changes:        e.Changes,
	})
}

// ListEvents returns the organization's events that pass the filter, newest
// first.
func (s *Store) ListEvents(
	ctx context.Context, scope domain.OrganizationScope, f domain.EventFilter, p domain.Page,
) (domain.List[domain.Event], error) {
	return s.listEvents(ctx, func(rows any) *bun.SelectQuery { return selectIn(s, scope, rows) }, f, p)
}

// ListAllEvents is like ListEvents for the whole instance, and includes events
// that concern only people.
func (s *Store) ListAllEvents(ctx context.Context, f domain.EventFilter, p domain.Page) (domain.List[domain.Event], error) {
	return s.listEvents(ctx, func(rows any) *bun.SelectQuery { return s.read.NewSelect().Model(rows) }, f, p)
}

// ListAccountEvents is like ListEvents for the events that belong to no
// organization.
func (s *Store) ListAccountEvents(ctx context.Context, f domain.EventFilter, p domain.Page) (domain.List[domain.Event], error) {
	return s.listEvents(ctx, func(rows any) *bun.SelectQuery {
		return s.read.NewSelect().Model(rows).Where("e.organization_id IS NULL")
	}, f, p)
}

func (s *Store) listEvents(
	ctx context.Context, from func(rows any) *bun.SelectQuery, f domain.EventFilter, p domain.Page,
) (domain.List[domain.Event], error) {
	var rows []eventRow
	q := newest(from(&rows), "at", p)
	q = named(q, "actor", f.Actor)
	if f.Action != "" {
		q = q.Where("e.action = ?", f.Action)
	}
	q = named(q, "target", f.Target)
	if !f.Since.IsZero() {
		q = q.Where("e.at >= ?", micros{f.Since})
	}
	if !f.Until.IsZero() {
		q = q.Where("e.at < ?", micros{f.Until})
	}
	if err := q.Scan(ctx); err != nil {
		return domain.List[domain.Event]{}, s.error(err)
	}
	return list(rows, p, eventRow.event, func(e domain.Event) domain.Cursor { return domain.Cursor{At: e.At, ID: string(e.ID)} }), nil
}

// named narrows a list of events to those whose actor or target has the id or
// the name. Names match in any letter case. An id is compared as an id, so that
// an index answers.
func named(q *bun.SelectQuery, who, idOrName string) *bun.SelectQuery {
	switch {
	case idOrName == "":
		return q
	case domain.IsID(idOrName):
		return q.Where("e.? = ?", bun.Ident(who+"_id"), idOrName)
	}
	return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("e.? = ?", bun.Ident(who+"_id"), idOrName).WhereOr("LOWER(e.?) = LOWER(?)", bun.Ident(who+"_name"), idOrName)
	})
}
