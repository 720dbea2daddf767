package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// CreatePlan makes a plan of the project. It needs limits:write. A name that
// another plan of the project has gives conflict, and so does one plan too many.
func (p *Project) CreatePlan(ctx context.Context, spec domain.PlanSpec) (domain.Plan, error) {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return domain.Plan{}, err
	}
	if err := spec.Validate(); err != nil {
		return domain.Plan{}, err
	}
	r, err := p.app.newRequest(p.caller, spec.IdempotencyKey.Reveal(), "createPlan", p.project.ID, spec)
	if err != nil {
		return domain.Plan{}, err
	}
	return once(ctx, p.app, r, func(ctx context.Context, tx *repository.Store, _ source) (domain.Plan, error) {
		return p.addPlan(ctx, tx, spec)
	}, func(ctx context.Context, tx *repository.Store, answer *domain.Plan, _ source) error {
		_, err := tx.GetPlan(ctx, p.project.Scope(), answer.ID)
		return ended(err)
	})
}

func (p *Project) addPlan(ctx context.Context, tx *repository.Store, spec domain.PlanSpec) (domain.Plan, error) {
	project, err := p.lockAround(ctx, tx)
	if err != nil {
		return domain.Plan{}, err
	}
	switch n, err := tx.CountPlans(ctx, p.project.Scope()); {
	case err != nil:
		return domain.Plan{}, err
	case n >= domain.MaxPlans:
		return domain.Plan{}, domain.Errorf(domain.CodeConflict,
			"A project can have at most %d plans. Delete one that no key needs.", domain.MaxPlans)
	}
	if err := tooManyLimits(domain.Effective(project.Limits, spec.Limits, nil)); err != nil {
		return domain.Plan{}, err
	}
	now := p.app.now()
	plan := domain.Plan{
		ID:        domain.NewID[domain.PlanID](now),
		ProjectID: p.project.ID,
		Name:      spec.Name,
		Limits:    domain.LimitsWithDefaults(spec.Limits),
		CreatedAt: now,
		UpdatedAt: now,
		Revision:  1,
	}
	if err := tx.CreatePlan(ctx, p.project.Scope(), plan); err != nil {
		return domain.Plan{}, planNameTaken(err)
	}
	return plan, p.recordPlan(ctx, tx, "plan.created", plan, domain.Diff(nil, planFields(plan)))
}

// ListPlans returns the project's plans, newest first. It needs limits:read.
func (p *Project) ListPlans(ctx context.Context, page domain.Page) (domain.List[domain.Plan], error) {
	if err := p.Authorize(domain.LimitsRead); err != nil {
		return domain.List[domain.Plan]{}, err
	}
	return p.app.store.ListPlans(ctx, p.project.Scope(), page)
}

// GetPlan returns a plan of the project. It needs limits:read.
func (p *Project) GetPlan(ctx context.Context, id domain.PlanID) (domain.Plan, error) {
	if err := p.Authorize(domain.LimitsRead); err != nil {
		return domain.Plan{}, err
	}
	return p.app.store.GetPlan(ctx, p.project.Scope(), id)
}

// UpdatePlan changes a plan's name or limits, and so what all its keys may use. It
// needs limits:write. A name that another plan of the project has gives conflict.
func (p *Project) UpdatePlan(ctx context.Context, id domain.PlanID, patch domain.PlanPatch) (domain.Plan, error) {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return domain.Plan{}, err
	}
	var plan domain.Plan
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		project, err := p.lockAround(ctx, tx)
		if err != nil {
			return err
		}
		before, err := p.lockPlan(ctx, tx, id)
		if err != nil {
			return err
		}
		after, err := patch.Apply(before)
		if err != nil {
			return err
		}
		plan = before
		if err := tooManyLimits(domain.Effective(project.Limits, after.Limits, nil)); err != nil {
			return err
		}
		changes := domain.Diff(planFields(before), planFields(after))
		if len(changes) == 0 {
			return nil
		}
		after.UpdatedAt, after.Revision = p.app.now(), before.Revision+1
		if err := tx.UpdatePlan(ctx, p.project.Scope(), after); err != nil {
			return planNameTaken(err)
		}
		plan = after
		return p.recordPlan(ctx, tx, "plan.updated", after, changes)
	})
	return plan, err
}

// DeletePlan removes a plan, unless keys refer to it (plan_in_use). It needs
// limits:write.
func (p *Project) DeletePlan(ctx context.Context, id domain.PlanID) error {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return err
	}
	return p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		plan, err := p.lockPlan(ctx, tx, id)
		if err != nil {
			return err
		}
		if plan.Keys == 0 {
			err = tx.DeletePlan(ctx, p.project.Scope(), id)
		}
		if plan.Keys > 0 || domain.CodeOf(err) == domain.CodeNotFound { // a key has been given the plan since it was counted
			return domain.Errorf(domain.CodePlanInUse, "Keys refer to this plan. Give them another plan or none, then delete it.")
		}
		if err != nil {
			return err
		}
		return p.recordPlan(ctx, tx, "plan.deleted", plan, nil)
	})
}

// lockPlan returns the plan for a change.
func (p *Project) lockPlan(ctx context.Context, tx *repository.Store, id domain.PlanID) (domain.Plan, error) {
	plan, err := tx.LockPlan(ctx, p.project.Scope(), id)
	if err != nil {
		return domain.Plan{}, err
	}
	return plan, p.precondition.Check(plan.Revision)
}

func planNameTaken(err error) error {
	if domain.CodeOf(err) == domain.CodeConflict {
		return domain.Errorf(domain.CodeConflict, "Another plan of this project has that name.")
	}
	return err
}

func (p *Project) recordPlan(ctx context.Context, tx *repository.Store, action string, plan domain.Plan, changes domain.Changes) error {
	return p.app.record(ctx, tx, p.caller, domain.Event{
		Action:         action,
		Target:         domain.Target{Kind: "plan", ID: string(plan.ID), Name: plan.Name},
		OrganizationID: p.project.OrganizationID,
		ProjectID:      p.project.ID,
		Changes:        changes,
	})
}

// planFields are what the audit trail shows of changes to a plan.
func planFields(p domain.Plan) map[string]any {
	return withLimits(map[string]any{"name": p.Name}, p.Limits)
}
