package service

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// KeyLimits is what the limits of a key say at a moment. It is of this node, as long
// as nodes share no counters.
type KeyLimits struct {
	Limits domain.Decision
	Key    domain.ProvenKey
}

// KeyLimits returns the state of the limits that hold for a key of the project. It
// needs limits:read.
func (p *Project) KeyLimits(ctx context.Context, id domain.KeyID) (KeyLimits, error) {
	if err := p.Authorize(domain.LimitsRead); err != nil {
		return KeyLimits{}, err
	}
	key, err := p.app.store.GetKey(ctx, p.project.Scope(), id)
	if err != nil {
		return KeyLimits{}, err
	}
	return p.limitsOf(ctx, p.app.store, key)
}

func (p *Project) limitsOf(ctx context.Context, from *repository.Store, key domain.Key) (KeyLimits, error) {
	var plans []domain.Plan
	if key.Plan.ID != "" {
		plan, err := from.FindPlan(ctx, p.project.Scope(), key.Plan.ID)
		if err != nil {
			return KeyLimits{}, err
		}
		plans = append(plans, plan)
	}
	tenant := domain.NewTenant(*p.project, domain.Organization{ID: p.project.OrganizationID}, plans)
	proven := domain.NewProvenKey(string(domain.PackKey(nil, domain.Secret{}, key)), tenant)
	return p.app.lookAtLimits(ctx, from, proven)
}

// lookAtLimits returns what the limits of a key say: rates at this node, and quotas and
// credits in the database, with what this node has spent since it has settled.
func (a *App) lookAtLimits(ctx context.Context, from *repository.Store, key domain.ProvenKey) (KeyLimits, error) {
	now := a.instant()
	limits, known := key.Limits()
	if !known {
		return KeyLimits{}, domain.Unavailable(errors.New("the plan of the key is not known yet"))
	}
	var held []*domain.Holding
	for i := limits.Rates(); i < limits.Len(); i++ {
		books, err := from.Books(ctx, key.Tenant().Project.Scope(), limits.Counter(i, key))
		if err != nil {
			return KeyLimits{}, err
		}
		terms := domain.Terms{Limit: limits.At(i).Limit, At: a.limitTime()}
		if _, err := books.Visit(&domain.Lease{}, domain.Report{}, terms); err != nil {
			return KeyLimits{}, err
		}
		held = append(held, a.usage.meter.With(limits.Counter(i, key), books))
	}
	return KeyLimits{a.usage.meter.Look(key, held, now), key}, nil
}

// OwnLimits returns the state of the limits of the key that calls. It needs no scope.
// While the database cannot tell, it is what this node remembers.
func (a *App) OwnLimits(ctx context.Context, caller domain.Principal) (KeyLimits, error) {
	key, isKey := caller.ProvenKey()
	if !isKey {
		return KeyLimits{}, nil
	}
	limits, err := a.lookAtLimits(ctx, a.store, key)
	if domain.CodeOf(err) != domain.CodeUnavailable {
		return limits, err
	}
	held, known := a.usage.meter.Held(key, a.instant())
	if !known {
		return KeyLimits{}, err
	}
	return KeyLimits{a.usage.meter.Look(key, held, a.instant()), key}, nil
}

// ResetLimit makes a limit that holds for a key as good as new, on all nodes, for all
// keys that share its counter. A name that the key has no limit of gives not_found. It
// needs limits:write.
func (p *Project) ResetLimit(ctx context.Context, id domain.KeyID, name, reason string) (KeyLimits, error) {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return KeyLimits{}, err
	}
	var v domain.Invalid
	if v.Text("/reason", reason, 0, domain.MaxReasonLength); len(v) > 0 {
		return KeyLimits{}, v.Err()
	}
	var limits KeyLimits
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		key, err := p.lockKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if limits, err = p.limitsOf(ctx, tx, key); err != nil {
			return err
		}
		counter, limit, ok := limits.counter(name)
		if !ok {
			return domain.NotFound()
		}
		if err := p.resetCounter(ctx, tx, counter, limit); err != nil {
			return err
		}
		reset := domain.Reset{ID: rand.Text(), Counter: counter}
		if err := tx.NoteStale(ctx, domain.Stale{Kind: domain.StaleLimit, ID: reset.String()}); err != nil {
			return err
		}
		return p.record(ctx, tx, "limit.reset", key, domain.Changes{"limit": {nil, name}, "reason": {nil, reason}})
	})
	if err != nil {
		return KeyLimits{}, err
	}
	return p.app.lookAtLimits(ctx, p.app.store, limits.Key)
}

// resetCounter begins the period of a quota anew. Rates are reset by each node, and
// credits are not reset: they are granted.
func (p *Project) resetCounter(ctx context.Context, tx *repository.Store, c domain.Counter, l domain.Limit) error {
	switch l.Type {
	case domain.Quota:
		_, err := tx.ResetCounter(ctx, p.project.Scope(), c, domain.Terms{Limit: l, At: p.app.limitTime()})
		return err
	case domain.Credits:
		return domain.Errorf(domain.CodeConflict, "Credits cannot be reset. Grant some.")
	case domain.RateLimit:
	}
	return nil
}

// counter returns the counter of the limit of that name.
func (l KeyLimits) counter(name string) (domain.Counter, domain.Limit, bool) {
	limits := l.Limits.Limits
	for i := range limits.Len() {
		if limits.At(i).Name == name {
			return limits.Counter(i, l.Key), limits.At(i).Limit, true
		}
	}
	return domain.Counter{}, domain.Limit{}, false
}
