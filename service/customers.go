package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// ListCustomers returns the customers of the project: the external ids that its keys
// have, in order. It needs keys:read. It counts the keys of each, so it waits for a
// place as questions about usage do.
func (p *Project) ListCustomers(
	ctx context.Context, page domain.CustomerPage,
) (customers []domain.Customer, next domain.CustomerCursor, err error) {
	if err := p.Authorize(domain.KeysRead); err != nil {
		return nil, "", err
	}
	leave, err := p.app.scarce.sums.enter(ctx, p.caller)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	customers, err = p.app.store.ListCustomers(ctx, p.project.Scope(), page, p.app.now())
	if err == nil && len(customers) > page.Limit {
		customers = customers[:page.Limit]
		next = domain.CustomerCursor(customers[page.Limit-1].ExternalID)
	}
	return customers, next, err
}
