package console

import (
	"fmt"
	"strconv"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// rehearsal is what the limits in the form of a plan would have done.
type rehearsal struct {
	domain.Rehearsal

	Project domain.Project
	OfPlan  bool // only its keys; otherwise all of the project
}

// Words say what the limits would have done, in a sentence.
func (r rehearsal) Words() string {
	whose := "of this project"
	if r.OfPlan {
		whose = "of this plan"
	}
	if r.Keys == 0 {
		return "No key " + whose + " was used in the last 30 days."
	}
	share := strconv.FormatFloat(100*r.Share(), 'f', 2, 64)
	return fmt.Sprintf("With this, over the last 30 days, %s of %s %s would have been limited: %s of %s, %s %%.",
		number(r.LimitedKeys), count(int(r.Keys), "key", "keys"), whose,
		number(r.Limited), count(int(r.Requests), "request", "requests"), share)
}

// rehearsePlan shows the form of a plan again, with what its limits would have done.
func rehearsePlan(v *visit, p *service.Project, project domain.Project, f form) error {
	var plan domain.Plan
	var err error
	spec := domain.RehearsalSpec{PlanID: domain.PlanID(f.Get("plan_id"))}
	if spec.PlanID != "" {
		if plan, err = p.GetPlan(v.ctx(), spec.PlanID); err != nil {
			return err
		}
	}
	if plan.Keys == 0 {
		spec.PlanID = "" // all keys of the project say more
	}
	var result domain.Rehearsal
	if spec.Limits, err = domain.ParseLimits(f.Get("limits")); err == nil {
		result, err = p.Rehearse(v.ctx(), spec)
	}
	var shown *rehearsal
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
	} else {
		shown = &rehearsal{result, project, spec.PlanID != ""}
	}
	v.at("Plans")
	if plan.ID == "" {
		return v.newPlan(p, project, f, shown)
	}
	return v.planPage(p, project, plan, f, shown)
}
