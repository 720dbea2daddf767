package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// GrantCredits adds to credits, or takes back what is available of them.
func (h *handlers) GrantCredits(ctx context.Context, r GrantCreditsRequestObject) (GrantCreditsResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	done, err := project.GrantCredits(ctx, domain.CreditGrant{
		Limit:          r.Body.Limit,
		KeyID:          value(r.Body.KeyID),
		ExternalID:     value(r.Body.ExternalID),
		Amount:         r.Body.Amount,
		Reason:         value(given(r.Body.Reason)),
		IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	return GrantCredits201JSONResponse(GrantedCreditsFrom(done)), err
}

// RefundCredits makes credits available again that were forfeited.
func (h *handlers) RefundCredits(ctx context.Context, r RefundCreditsRequestObject) (RefundCreditsResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	done, err := project.GrantCredits(ctx, domain.CreditGrant{
		Limit:          r.Body.Limit,
		KeyID:          value(r.Body.KeyID),
		ExternalID:     value(r.Body.ExternalID),
		Amount:         value(r.Body.Amount),
		Refund:         true,
		Reason:         value(given(r.Body.Reason)),
		IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	return RefundCredits201JSONResponse(GrantedCreditsFrom(done)), err
}

// ListCreditEntries answers the changes of a project's credits: a page, or an export if
// the Accept header prefers one.
func (h *handlers) ListCreditEntries(ctx context.Context, r ListCreditEntriesRequestObject) (ListCreditEntriesResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	filter := domain.CreditFilter{ExternalID: value(r.Params.ExternalID), KeyID: value(r.Params.KeyID)}
	if media := preferred(ctx, jsonMedia, csvMedia, linesMedia); media != jsonMedia {
		export, err := project.ExportCreditEntries(ctx, filter, page.After)
		return newCreditExport(ctx, media, export), err
	}
	list, err := project.ListCreditEntries(ctx, filter, page)
	next, link := nextPage(ctx, list.Next)
	body := CreditEntryList{Items: each(list.Items, CreditEntryFrom), NextCursor: next}
	return ListCreditEntries200JSONResponse{Body: body, Headers: ListCreditEntries200ResponseHeaders{Link: link}}, err
}

// GrantedCreditsFrom returns what a grant has done as clients see it.
func GrantedCreditsFrom(g domain.Granted) GrantedCredits {
	return GrantedCredits{Entry: CreditEntryFrom(g.Entry), Balance: g.Balance}
}

// CreditEntryFrom returns a change of credits as clients see it.
func CreditEntryFrom(e domain.CreditEntry) CreditEntry {
	return CreditEntry{
		ID:        e.ID,
		Limit:     e.Counter.Name,
		OwnerID:   e.Counter.Owner,
		Per:       CreditEntryPer(e.Counter.Per),
		Subject:   e.Counter.Subject,
		Kind:      CreditEntryKind(e.Kind),
		Amount:    e.Amount,
		Reason:    orNull(e.Reason),
		CreatedAt: e.CreatedAt.UTC(),
		CreatedBy: Actor{Kind: e.CreatedBy.Kind, ID: e.CreatedBy.ID, Name: e.CreatedBy.Name},
	}
}
