package service

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// GrantCredits adds to credits of the project, or takes back what is available of
// them, on all nodes; or it refunds what was forfeited, and gives conflict if nothing was.
// It needs limits:write. A key cannot change credits that it spends itself.
func (p *Project) GrantCredits(ctx context.Context, grant domain.CreditGrant) (domain.Granted, error) {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return domain.Granted{}, err
	}
	if err := grant.Validate(); err != nil {
		return domain.Granted{}, err
	}
	operation := "grantCredits"
	if grant.Refund {
		operation = "refundCredits"
	}
	r, err := p.app.newRequest(p.caller, grant.IdempotencyKey.Reveal(), operation, p.project.ID, grant)
	if err != nil {
		return domain.Granted{}, err
	}
	return once(ctx, p.app, r, func(ctx context.Context, tx *repository.Store, _ source) (domain.Granted, error) {
		return p.grantCredits(ctx, tx, grant)
	}, func(context.Context, *repository.Store, *domain.Granted, source) error {
		return nil // an entry never changes
	})
}

func (p *Project) grantCredits(ctx context.Context, tx *repository.Store, grant domain.CreditGrant) (domain.Granted, error) {
	c, target, err := p.creditsNamed(ctx, tx, grant)
	if err != nil {
		return domain.Granted{}, err
	}
	if err := p.requireOthers(ctx, tx, c.counter); err != nil {
		return domain.Granted{}, err
	}
	at, action := p.app.now(), "credits.granted"
	asked := domain.Entry{Kind: domain.EntryGrant, Amount: grant.Amount}
	if grant.Refund {
		action, asked = "credits.refunded", domain.Entry{Kind: domain.EntryRefund, Amount: cmp.Or(grant.Amount, domain.MaxCapacity)}
	}
	entry, books, err := tx.ChangeCredits(ctx, p.project.Scope(), domain.Terms{Limit: c.limit, At: p.app.limitTime()}, domain.CreditEntry{
		ID:        domain.NewID[domain.CreditEntryID](at),
		Counter:   c.counter,
		Kind:      asked.Kind,
		Amount:    asked.Amount,
		Reason:    grant.Reason,
		CreatedAt: at,
		CreatedBy: p.caller.Actor(),
	})
	if err != nil {
		return domain.Granted{}, err
	}
	if grant.Refund && entry.Amount == 0 {
		return domain.Granted{}, domain.Errorf(domain.CodeConflict, "None of these credits are forfeited, so there is nothing to refund.")
	}
	changed := domain.Reset{Counter: c.counter}
	if err := tx.NoteStale(ctx, domain.Stale{Kind: domain.StaleLimit, ID: changed.String()}); err != nil {
		return domain.Granted{}, err
	}
	done := domain.Granted{Entry: entry, Balance: p.app.usage.meter.With(c.counter, books).Remaining()}
	return done, p.app.record(ctx, tx, p.caller, domain.Event{
		Action:         action,
		Target:         target,
		OrganizationID: p.project.OrganizationID,
		ProjectID:      p.project.ID,
		Changes: domain.Changes{
			"limit":   {nil, grant.Limit},
			"amount":  {nil, entry.Amount},
			"reason":  {nil, grant.Reason},
			"balance": {done.Balance - entry.Amount, done.Balance},
		},
	})
}

// credits are some that a limit of the project defines.
type credits struct {
	counter domain.Counter
	limit   domain.Limit
}

// creditsNamed returns the credits that a grant is for, and the key or external id by
// which it names them.
func (p *Project) creditsNamed(ctx context.Context, tx *repository.Store, grant domain.CreditGrant) (credits, domain.Target, error) {
	if grant.KeyID == "" {
		c, err := p.creditsOfCustomer(ctx, tx, grant.Limit, grant.ExternalID)
		return c, domain.Target{Kind: "external_id", ID: grant.ExternalID, Name: grant.ExternalID}, err
	}
	key, err := tx.GetKey(ctx, p.project.Scope(), grant.KeyID)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return credits{}, domain.Target{}, invalid("/key_id", "must be the id of a key of this project")
	}
	if err != nil {
		return credits{}, domain.Target{}, err
	}
	limits, err := p.limitsOf(ctx, tx, key)
	if err != nil {
		return credits{}, domain.Target{}, err
	}
	counter, limit, found := limits.counter(grant.Limit)
	if !found || limit.Type != domain.Credits {
		return credits{}, domain.Target{}, invalid("/limit", "must be the name of credits that the key has")
	}
	return credits{counter, limit}, domain.Target{Kind: "key", ID: string(key.ID), Name: key.Name}, nil
}

// creditsOfCustomer returns the credits of that name which keys with an external id
// share: those of the project, or of a plan that the keys have which can be used now.
// Before there is such a key, it returns those of the project.
func (p *Project) creditsOfCustomer(ctx context.Context, tx *repository.Store, name, externalID string) (credits, error) {
	ids, err := tx.PlansOfExternalID(ctx, p.project.Scope(), externalID, p.app.now())
	if err != nil {
		return credits{}, err
	}
	var plans []domain.Plan
	if len(ids) == 0 {
		ids = []domain.PlanID{""}
	} else if plans, err = tx.AllPlans(ctx, p.project.Scope()); err != nil {
		return credits{}, err
	}
	tenant := domain.NewTenant(*p.project, domain.Organization{ID: p.project.OrganizationID}, plans)
	var all []credits
	for _, id := range ids {
		key := domain.Key{ProjectID: p.project.ID, ExternalID: externalID, Plan: domain.KeyPlan{ID: id}}
		held := KeyLimits{Key: domain.NewProvenKey(string(domain.PackKey(nil, domain.Secret{}, key)), tenant)}
		held.Limits.Limits, _ = held.Key.Limits()
		counter, limit, found := held.counter(name)
		same := func(c credits) bool { return c.counter == counter }
		if found && limit.Type == domain.Credits && counter.Per == domain.PerExternalID && !slices.ContainsFunc(all, same) {
			all = append(all, credits{counter, limit})
		}
	}
	switch len(all) {
	case 0:
		return credits{}, invalid("/limit", "must be the name of credits that keys with this external id share; otherwise name a key")
	case 1:
		return all[0], nil
	}
	return credits{}, invalid("/external_id", "has keys on plans with different credits of that name; name a key instead")
}

// requireOthers returns forbidden if the calling key spends from the counter itself: no
// key makes its own limits wider.
func (p *Project) requireOthers(ctx context.Context, tx *repository.Store, c domain.Counter) error {
	caller, isKey := p.caller.ProvenKey()
	if !isKey {
		return nil
	}
	key, err := tx.GetKey(ctx, p.project.Scope(), caller.ID())
	if err != nil {
		return err
	}
	own, err := p.limitsOf(ctx, tx, key)
	if err != nil {
		return err
	}
	if counter, _, found := own.counter(c.Name); found && counter == c {
		return domain.Errorf(domain.CodeForbidden, "This API key spends these credits itself, so it cannot change them. A member can.")
	}
	return nil
}

// ListCreditEntries returns the changes of the project's credits other than spending,
// newest first. It needs limits:read.
func (p *Project) ListCreditEntries(
	ctx context.Context, f domain.CreditFilter, page domain.Page,
) (domain.List[domain.CreditEntry], error) {
	if err := p.Authorize(domain.LimitsRead); err != nil {
		return domain.List[domain.CreditEntry]{}, err
	}
	if err := f.Validate(); err != nil {
		return domain.List[domain.CreditEntry]{}, err
	}
	stored := repository.CreditFilter{}
	if f.ExternalID != "" {
		stored.Per, stored.Subject = domain.PerExternalID, f.ExternalID
	}
	if f.KeyID != "" {
		var err error
		if stored.Among, err = p.spenders(ctx, f.KeyID); err != nil {
			return domain.List[domain.CreditEntry]{}, err
		}
	}
	return p.app.store.ListCreditEntries(ctx, p.project.Scope(), stored, page)
}

// spenders returns what the credits of a key are counted over: the key itself, also if
// it is gone, and what else it has credits of.
func (p *Project) spenders(ctx context.Context, id domain.KeyID) ([]domain.Subject, error) {
	all := []domain.Subject{{Per: domain.PerKey, ID: string(id)}}
	key, err := p.app.store.GetKey(ctx, p.project.Scope(), id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	held, err := p.limitsOf(ctx, p.app.store, key)
	if err != nil {
		return nil, err
	}
	for i := range held.Limits.Limits.Len() {
		c := held.Limits.Limits.Counter(i, held.Key)
		if over := (domain.Subject{Per: c.Per, ID: c.Subject}); c.Type == domain.Credits && !slices.Contains(all, over) {
			all = append(all, over)
		}
	}
	return all, nil
}

// ExportCreditEntries returns the entries after a cursor, newest first. It needs
// limits:read.
func (p *Project) ExportCreditEntries(
	ctx context.Context, f domain.CreditFilter, after domain.Cursor,
) (Export[domain.CreditEntry], error) {
	if err := p.Authorize(domain.LimitsRead); err != nil {
		return Export[domain.CreditEntry]{}, err
	}
	return exportList(ctx, &p.grant, after, func(page domain.Page) (domain.List[domain.CreditEntry], error) {
		return p.ListCreditEntries(ctx, f, page)
	})
}

func invalid(pointer, detail string) error {
	v := domain.Invalid{{Pointer: pointer, Detail: detail}}
	return v.Err()
}
