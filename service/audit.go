package service

import (
	"context"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// record appends to the audit trail, in the transaction of what happened. The
// event needs Action, Target and where it belongs; the rest is filled in here.
func (a *App) record(ctx context.Context, tx *repository.Store, caller domain.Principal, e domain.Event) error {
	e.ID, e.At = domain.NewID[domain.EventID](a.now()), a.now()
	e.Actor, e.Origin = caller.Actor(), caller.Origin()
	return tx.AddEvent(ctx, e)
}

// ListEvents returns the organization's audit trail, newest first. It needs
// audit:read.
func (o *Organization) ListEvents(ctx context.Context, f domain.EventFilter, p domain.Page) (domain.List[domain.Event], error) {
	if err := o.Require(domain.AuditRead); err != nil {
		return domain.List[domain.Event]{}, err
	}
	if err := f.Validate(); err != nil {
		return domain.List[domain.Event]{}, err
	}
	f, err := o.app.named(ctx, f)
	if err != nil {
		return domain.List[domain.Event]{}, err
	}
	return o.app.store.ListEvents(ctx, o.organization.Scope(), f, p)
}

// ListEvents returns the audit trail of the whole instance, what concerns only
// people included, newest first. Only the command line may.
func (a *App) ListEvents(
	ctx context.Context, caller domain.Principal, f domain.EventFilter, p domain.Page,
) (domain.List[domain.Event], error) {
	if err := requireSystem(caller); err != nil {
		return domain.List[domain.Event]{}, err
	}
	if err := f.Validate(); err != nil {
		return domain.List[domain.Event]{}, err
	}
	f, err := a.named(ctx, f)
	if err != nil {
		return domain.List[domain.Event]{}, err
	}
	return a.store.ListAllEvents(ctx, f, p)
}

// named puts the id of a person in place of their e-mail address, which events do
// not hold where the person has a name. An address without an account stays what it
// is, and matches no more than what was done under it.
func (a *App) named(ctx context.Context, f domain.EventFilter) (domain.EventFilter, error) {
	if !strings.Contains(f.Actor, "@") {
		return f, nil
	}
	user, _, err := a.store.GetUserByEmail(ctx, domain.NormalizeEmail(f.Actor))
	if domain.CodeOf(err) == domain.CodeNotFound {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.Actor = string(user.ID)
	return f, nil
}
