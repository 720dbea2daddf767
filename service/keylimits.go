package service

import (
	"context"

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
	return KeyLimits{p.app.usage.meter.Look(proven, p.app.instant()), proven}, nil
}

// OwnLimits returns the state of the limits of the key that calls. It needs no scope.
func (a *App) OwnLimits(caller domain.Principal) (KeyLimits, bool) {
	key, isKey := caller.ProvenKey()
	if !isKey {
		return KeyLimits{}, false
	}
	return KeyLimits{a.usage.meter.Look(key, a.instant()), key}, true
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
		counter, ok := limits.counter(name)
		if !ok {
			return domain.NotFound()
		}
		if err := tx.NoteStale(ctx, domain.Stale{Kind: domain.StaleLimit, ID: counter.String()}); err != nil {
			return err
		}
		return p.record(ctx, tx, "limit.reset", key, domain.Changes{"limit": {nil, name}, "reason": {nil, reason}})
	})
	if err != nil {
		return KeyLimits{}, err
	}
	limits.Limits = p.app.usage.meter.Look(limits.Key, p.app.instant())
	return limits, nil
}

// counter returns the counter of the limit of that name.
func (l KeyLimits) counter(name string) (domain.Counter, bool) {
	for i := range l.Limits.Limits.Len() {
		if l.Limits.Limits.At(i).Name == name {
			return l.Limits.Limits.Counter(i, l.Key), true
		}
	}
	return domain.Counter{}, false
}
