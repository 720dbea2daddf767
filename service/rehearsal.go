package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Rehearse returns what limits would have done to the requests that keys of the project
// have made, as if they were those of a plan. It changes nothing. It needs
// limits:write and usage:read.
func (p *Project) Rehearse(ctx context.Context, spec domain.RehearsalSpec) (domain.Rehearsal, error) {
	for _, needed := range []domain.Action{domain.LimitsWrite, domain.UsageRead} {
		if err := p.Authorize(needed); err != nil {
			return domain.Rehearsal{}, err
		}
	}
	spec, err := spec.Complete(p.app.now())
	if err != nil {
		return domain.Rehearsal{}, err
	}
	if spec.PlanID != "" {
		if _, err := p.app.store.FindPlan(ctx, p.project.Scope(), spec.PlanID); err != nil {
			return domain.Rehearsal{}, planMissing(err)
		}
	}
	leave, err := p.app.scarce.sums.enter(ctx, p.caller)
	if err != nil {
		return domain.Rehearsal{}, err
	}
	defer leave()
	result, err := p.replay(ctx, spec)
	if err != nil {
		return domain.Rehearsal{}, err
	}
	ids := make([]string, len(result.Worst))
	for i, k := range result.Worst {
		ids[i] = string(k.ID)
	}
	names, err := p.app.store.KeyNames(ctx, p.project.Scope(), ids)
	for i := range result.Worst {
		result.Worst[i].Name = names[ids[i]]
	}
	return result, err
}

// replay reads a day at a time, with a row for each key in use.
func (p *Project) replay(ctx context.Context, spec domain.RehearsalSpec) (domain.Rehearsal, error) {
	rehearser, err := domain.NewRehearser(spec)
	if err != nil {
		return domain.Rehearsal{}, err
	}
	for day := rehearser.Begin().Truncate(24 * time.Hour); day.Before(spec.Until); day = day.AddDate(0, 0, 1) {
		uses, err := p.app.store.HourlyUses(ctx, p.project.Scope(), spec, day, domain.MaxRehearsed+1)
		if err != nil {
			return domain.Rehearsal{}, err
		}
		if !rehearser.Day(day, uses) {
			return domain.Rehearsal{}, invalid("/since",
				"must be later, or plan_id or external_id given: too many keys and customers were in use")
		}
	}
	return rehearser.Result(), nil
}
