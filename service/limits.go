package service

import (
	"context"
	"encoding/json"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// limitNew gives a new key the plan and the limits that the spec asks for, which
// needs limits:write. A calling key without it that has limits itself passes on its
// plan, its limits and its external id: otherwise it could get more from a key that
// it makes.
func (p *Project) limitNew(ctx context.Context, tx *repository.Store, key *domain.Key, spec domain.KeySpec) error {
	if spec.PlanID != "" || len(spec.Limits) > 0 {
		if err := p.Authorize(domain.LimitsWrite); err != nil {
			return err
		}
	}
	maker, err := p.limitedCaller(ctx, tx)
	if err != nil {
		return err
	}
	if maker == nil {
		key.Plan, key.Limits = domain.KeyPlan{ID: spec.PlanID}, domain.LimitsWithDefaults(spec.Limits)
		return p.resolvePlan(ctx, tx, key)
	}
	if key.ExternalID != "" && key.ExternalID != maker.ExternalID {
		return p.Authorize(domain.LimitsWrite)
	}
	key.Plan, key.Limits, key.ExternalID = maker.Plan, maker.Limits, maker.ExternalID
	return nil
}

// limitAgain checks what a change does to a key's plan and limits. Another one needs
// limits:write, and so does another external id if the calling key has limits, which
// may be counted over all keys of one external id.
func (p *Project) limitAgain(ctx context.Context, tx *repository.Store, before domain.Key, after *domain.Key) error {
	if !sameLimits(*after, before) {
		if err := p.Authorize(domain.LimitsWrite); err != nil {
			return err
		}
		return p.resolvePlan(ctx, tx, after)
	}
	if after.ExternalID == before.ExternalID {
		return nil
	}
	switch maker, err := p.limitedCaller(ctx, tx); {
	case err != nil:
		return err
	case maker != nil:
		return p.Authorize(domain.LimitsWrite)
	}
	return nil
}

// limitToken checks that a calling key with limits gets no token of a key that has
// another plan, other limits or another external id, unless it holds limits:write.
func (p *Project) limitToken(ctx context.Context, tx *repository.Store, key domain.Key) error {
	caller, err := p.limitedCaller(ctx, tx)
	if err != nil || caller == nil || sameLimits(*caller, key) && caller.ExternalID == key.ExternalID {
		return err
	}
	return p.Authorize(domain.LimitsWrite)
}

// sameLimits reports whether two keys have the same plan and the same limits of
// their own.
func sameLimits(a, b domain.Key) bool {
	limits := domain.Diff(withLimits(map[string]any{}, a.Limits), withLimits(map[string]any{}, b.Limits))
	return len(limits) == 0 && a.Plan.ID == b.Plan.ID
}

// limitedCaller returns the calling key if it has limits and may not change them, or
// nil. It reads the key again, since a copy in memory may have an older plan.
func (p *Project) limitedCaller(ctx context.Context, tx *repository.Store) (*domain.Key, error) {
	caller, isKey := p.caller.ProvenKey()
	if !isKey || p.Holds(domain.LimitsWrite) {
		return nil, nil //nolint:nilnil // no such key is a good answer
	}
	key, err := tx.GetKey(ctx, p.project.Scope(), caller.ID())
	if err != nil || key.Plan.ID == "" && len(key.Limits) == 0 && len(p.project.Limits) == 0 {
		return nil, err
	}
	return &key, nil
}

// resolvePlan completes the plan that a key is to have. A plan of another project is
// refused as one that does not exist, and so are too many limits together.
func (p *Project) resolvePlan(ctx context.Context, tx *repository.Store, key *domain.Key) error {
	var plan domain.Plan
	if key.Plan.ID != "" {
		var err error
		if plan, err = tx.FindPlan(ctx, p.project.Scope(), key.Plan.ID); err != nil {
			return planMissing(err)
		}
		key.Plan = plan.ForKeys()
	}
	return tooManyLimits(domain.Effective(p.project.Limits, plan.Limits, key.Limits))
}

// planMissing turns the not_found of a plan that a request names into an error of
// the field.
func planMissing(err error) error {
	if domain.CodeOf(err) != domain.CodeNotFound {
		return err
	}
	missing := domain.Invalid{{Pointer: "/plan_id", Detail: "must be the id of a plan of this project"}}
	return missing.Err()
}

func tooManyLimits(effective []domain.EffectiveLimit) error {
	var v domain.Invalid
	if len(effective) > domain.MaxLimits {
		v.Add("/limits", "would be %d limits together with those of the project and the plan; a key has at most %d",
			len(effective), domain.MaxLimits)
	}
	return v.Err()
}

// withLimits adds limits to the fields that the audit trail compares, each by its
// name, so that a change shows as limits.requests.limit from 100 to 200.
func withLimits(fields map[string]any, limits []domain.Limit) map[string]any {
	for _, l := range limits {
		for name, value := range limitFields(l) {
			fields["limits."+l.Name+"."+name] = value
		}
	}
	return fields
}

// limitFields are the fields of a limit, except for its name, as clients see them.
func limitFields(l domain.Limit) (fields map[string]any) {
	text, _ := json.Marshal(l)        //nolint:errchkjson // it has texts and numbers only
	_ = json.Unmarshal(text, &fields) // what has been written can be read
	delete(fields, "name")
	return fields
}
