package service

import (
	"context"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// record appends an event to the audit trail, in the transaction of what
// happened. The caller sets Action, Target and the organization or project;
// record sets the rest.
func (a *App) record(ctx context.Context, tx *repository.Store, caller domain.Principal, e domain.Event) error {
	_, err := a.recorded(ctx, tx, caller, e)
	return err
}

// recorded is like record, and returns the id of the event.
func (a *App) recorded(ctx context.Context, tx *repository.Store, caller domain.Principal, e domain.Event) (domain.EventID, error) {
	e.ID, e.At = domain.NewID[domain.EventID](a.now()), a.now()
	e.Actor, e.Origin = caller.Actor(), caller.Origin()
	return e.ID, tx.AddEvent(ctx, e)
}

// ListEvents returns the organization's audit trail, newest first. It needs
// audit:read.
func (o *Organization) ListEvents(ctx context.Context, f domain.EventFilter, p domain.Page) (domain.List[domain.Event], error) {
	if err := o.Authorize(domain.AuditRead); err != nil {
		return domain.List[domain.Event]{}, err
	}
	f, err := o.app.named(ctx, f)
	if err != nil {
		return domain.List[domain.Event]{}, err
	}
	return o.app.store.ListEvents(ctx, o.organization.Scope(), f, p)
}

// ListEvents returns the audit trail of the whole instance, including events
// that concern only people, newest first. Only the command line may call it.
func (a *App) ListEvents(
	ctx context.Context, caller domain.Principal, f domain.EventFilter, p domain.Page,
) (domain.List[domain.Event], error) {
	if err := requireSystem(caller); err != nil {
		return domain.List[domain.Event]{}, err
	}
	f, err := a.named(ctx, f)
	if err != nil {
		return domain.List[domain.Event]{}, err
	}
	return a.store.ListAllEvents(ctx, f, p)
}

// ListAccountEvents returns the part of the instance's audit trail that belongs to
// no organization, newest first: sign-ins, also those that were refused, and changes
// of accounts. Operators and the command line may see it; to all others it is
// not_found.
func (a *App) ListAccountEvents(
	ctx context.Context, caller domain.Principal, f domain.EventFilter, p domain.Page,
) (domain.List[domain.Event], error) {
	if err := requireOperator(caller); err != nil {
		return domain.List[domain.Event]{}, err
	}
	f, err := a.named(ctx, f)
	if err != nil {
		return domain.List[domain.Event]{}, err
	}
	return a.store.ListAccountEvents(ctx, f, p)
}

// named checks the filter and replaces the email address of a person by their id,
// since events do not contain the address of a person who has a name. An address
// without an account stays as it is and matches only what was done under it.
func (a *App) named(ctx context.Context, f domain.EventFilter) (domain.EventFilter, error) {
	if err := f.Validate(); err != nil {
		return f, err
	}
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
