package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// RehearsePlan answers what limits would have done to requests that were made.
func (h *handlers) RehearsePlan(ctx context.Context, r RehearsePlanRequestObject) (RehearsePlanResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	result, err := project.Rehearse(ctx, domain.RehearsalSpec{
		Limits:     r.Body.Limits,
		PlanID:     value(r.Body.PlanID),
		ExternalID: value(r.Body.ExternalID),
		Since:      value(r.Body.Since),
		Until:      value(r.Body.Until),
	})
	return RehearsePlan200JSONResponse(RehearsalFrom(result)), err
}

// RehearsalFrom returns the result of a rehearsal as clients see it.
func RehearsalFrom(r domain.Rehearsal) Rehearsal {
	result := Rehearsal{
		Keys:     r.Keys,
		Requests: r.Requests,
		ByLimit: each(r.ByLimit, func(l domain.RehearsedLimit) RehearsedLimit {
			return RehearsedLimit{Name: l.Name, Keys: l.Keys, Requests: l.Requests, Exact: l.Exact}
		}),
		Worst: each(r.Worst, func(k domain.RehearsedKey) RehearsedKey {
			key := UsageKey{ID: k.ID, Name: orNull(k.Name)}
			return RehearsedKey{Key: key, ExternalID: orNull(k.ExternalID), Requests: k.Requests}
		}),
	}
	result.Period.Since, result.Period.Until = r.Since.UTC(), r.Until.UTC()
	result.Limited.Keys, result.Limited.Requests, result.Limited.Share = r.LimitedKeys, r.Limited, r.Share()
	return result
}
