package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// ListCustomers answers the external ids that keys of a project have.
func (h *handlers) ListCustomers(ctx context.Context, r ListCustomersRequestObject) (ListCustomersResponseObject, error) {
	page, err := domain.NewCustomerPage(value(r.Params.Limit), value(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	customers, after, err := project.ListCustomers(ctx, page)
	next, link := nextPage(ctx, after)
	body := CustomerList{Items: each(customers, CustomerFrom), NextCursor: next}
	return ListCustomers200JSONResponse{Body: body, Headers: ListCustomers200ResponseHeaders{Link: link}}, err
}

// CustomerFrom returns a customer as clients see it.
func CustomerFrom(c domain.Customer) Customer {
	return Customer{ExternalID: c.ExternalID, Keys: c.Keys, ActiveKeys: c.ActiveKeys, LastUsedAt: timeOrNull(c.LastUsedAt)}
}
