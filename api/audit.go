package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// ListAuditEvents answers an organization's audit events: a page, or an export if
// the Accept header prefers one.
func (h *handlers) ListAuditEvents(ctx context.Context, r ListAuditEventsRequestObject) (ListAuditEventsResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	organization, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	if media := preferred(ctx, jsonMedia, csvMedia, linesMedia); media != jsonMedia {
		export, err := organization.ExportEvents(ctx, eventFilter(r.Params), page.After)
		return newEventExport(ctx, media, export), err
	}
	list, err := organization.ListEvents(ctx, eventFilter(r.Params), page)
	next, link := nextPage(ctx, list.Next)
	body := AuditEventList{Items: each(list.Items, AuditEventFrom), NextCursor: next}
	return ListAuditEvents200JSONResponse{Body: body, Headers: ListAuditEvents200ResponseHeaders{Link: link}}, err
}

func eventFilter(p ListAuditEventsParams) domain.EventFilter {
	return domain.EventFilter{
		Actor:  value(p.Actor),
		Action: value(p.Action),
		Target: value(p.Target),
		Since:  value(p.Since),
		Until:  value(p.Until),
	}
}

// AuditEventFrom returns an event as clients see it.
func AuditEventFrom(e domain.Event) AuditEvent {
	event := AuditEvent{
		ID:             e.ID,
		At:             e.At.UTC(),
		Actor:          Actor{Kind: e.Actor.Kind, ID: e.Actor.ID, Name: e.Actor.Name},
		Action:         e.Action,
		Target:         AuditTarget{Kind: e.Target.Kind, ID: e.Target.ID, Name: e.Target.Name},
		OrganizationID: orNull(e.OrganizationID),
		ProjectID:      orNull(e.ProjectID),
		IP:             orNull(e.Origin.IP),
		UserAgent:      orNull(e.Origin.UserAgent),
		RequestID:      orNull(e.Origin.RequestID),
		Changes:        e.Changes,
	}
	if event.Changes == nil {
		event.Changes = domain.Changes{}
	}
	return event
}
