package console

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type plansPage struct {
	Project  domain.Project
	Plans    []domain.Plan
	MayWrite bool
	Notice   string
}

func showPlans(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	plans, err := v.plans(p)
	if err != nil {
		return err
	}
	return v.render(done, "plans", "Plans", plansPage{
		Project: project, Plans: plans, MayWrite: p.Holds(domain.LimitsWrite),
		Notice: map[string]string{"deleted": "The plan is deleted."}[v.QueryParam("notice")],
	})
}

// plans returns all plans of a project: there are no more than fit on a page.
func (v *visit) plans(p *service.Project) ([]domain.Plan, error) {
	plans, err := p.ListPlans(v.ctx(), domain.Page{Limit: domain.MaxPlans})
	return plans.Items, err
}

type planPage struct {
	Project   domain.Project
	Plan      domain.Plan
	Form      form
	MayWrite  bool
	Notice    string
	Rehearsal *rehearsal // of what the form has, if that was asked for
}

func showNewPlan(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	return v.newPlan(p, project, newForm("limits", "[]", "nonce", rand.Text()), nil)
}

func (v *visit) newPlan(p *service.Project, project domain.Project, f form, r *rehearsal) error {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return err
	}
	return v.render(f.status, "plan-new", "New plan", planPage{Project: project, Form: f, Rehearsal: r})
}

func createPlan(v *visit, p *service.Project, project domain.Project, f form) error {
	spec := domain.PlanSpec{Name: f.Text("name"), IdempotencyKey: domain.Hidden(f.Get("nonce"))}
	var err error
	var plan domain.Plan
	if spec.Limits, err = domain.ParseLimits(f.Get("limits")); err == nil {
		plan, err = p.CreatePlan(v.ctx(), spec)
	}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.newPlan(p, project, f, nil)
	}
	return v.redirect(planURL(project, plan.ID) + "?notice=created")
}

func showPlan(v *visit) error {
	p, project, plan, err := v.plan()
	if err != nil {
		return err
	}
	return v.planPage(p, project, plan, planForm(plan), nil)
}

// plan returns the plan in the path.
func (v *visit) plan() (*service.Project, domain.Project, domain.Plan, error) {
	p, project, err := v.project()
	if err != nil {
		return nil, project, domain.Plan{}, err
	}
	id, err := domain.ParseID[domain.PlanID](v.Param("plan"))
	if err != nil {
		return nil, project, domain.Plan{}, err
	}
	plan, err := p.GetPlan(v.ctx(), id)
	return p, project, plan, err
}

func (v *visit) planPage(p *service.Project, project domain.Project, plan domain.Plan, f form, r *rehearsal) error {
	return v.render(f.status, "plan", plan.Name, planPage{
		Project:   project,
		Plan:      plan,
		Form:      f,
		MayWrite:  p.Holds(domain.LimitsWrite),
		Notice:    map[string]string{"created": "The plan is ready for keys.", "saved": "Saved."}[v.QueryParam("notice")],
		Rehearsal: r,
	})
}

func updatePlan(v *visit) error {
	p, project, plan, err := v.plan()
	if err != nil {
		return err
	}
	f, err := v.sent()
	if err != nil {
		return err
	}
	p.Expect(f.expects())
	limits, err := domain.ParseLimits(f.Get("limits"))
	if err == nil {
		_, err = p.UpdatePlan(v.ctx(), plan.ID, domain.PlanPatch{Name: new(f.Text("name")), Limits: &limits})
	}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.planPage(p, project, plan, f.at(plan.Revision), nil) // with what was entered
	}
	return v.redirect(planURL(project, plan.ID) + "?notice=saved")
}

// showDeletePlan asks for confirmation.
func showDeletePlan(v *visit) error {
	p, project, plan, err := v.plan()
	if err != nil {
		return err
	}
	return v.deletePlanPage(p, project, plan, newForm())
}

func (v *visit) deletePlanPage(p *service.Project, project domain.Project, plan domain.Plan, f form) error {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return err
	}
	return v.render(f.status, "plan-delete", "Delete plan", planPage{Project: project, Plan: plan, Form: f})
}

func deletePlan(v *visit) error {
	p, project, plan, err := v.plan()
	if err != nil {
		return err
	}
	f, err := v.sent()
	if err != nil {
		return err
	}
	if err := p.DeletePlan(v.ctx(), plan.ID); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.deletePlanPage(p, project, plan, f)
	}
	return v.redirect(projectURL(project) + "/plans?notice=deleted")
}

func planURL(project domain.Project, id domain.PlanID) string {
	return projectURL(project) + "/plans/" + string(id)
}

func planForm(p domain.Plan) form {
	text, _ := json.MarshalIndent(p.Limits, "", "  ") //nolint:errchkjson // they have texts and numbers only
	if len(p.Limits) == 0 {
		text = []byte("[]")
	}
	return newForm("name", p.Name, "limits", string(text)).at(p.Revision)
}

// limitWords says in words what a limit allows.
func limitWords(l domain.Limit) string {
	var b strings.Builder
	units, limited := l.Limit.Units()
	switch {
	case l.Type == domain.Credits:
		b.WriteString("credits")
		if l.Initial != nil {
			b.WriteString(", " + number(*l.Initial) + " to begin with")
		}
		if r := l.Refill; r != nil {
			b.WriteString(", " + number(r.Amount) + " more each " + string(r.Period))
			if r.Maximum != nil {
				b.WriteString(", up to " + number(*r.Maximum))
			}
		}
	case !limited:
		b.WriteString("no limit")
	default:
		b.WriteString(number(units) + " " + l.Period.Each())
		if l.Burst != nil && *l.Burst != units {
			b.WriteString(", " + number(*l.Burst) + " together")
		}
	}
	b.WriteString(map[domain.Per]string{domain.PerExternalID: ", for each external id", domain.PerProject: ", for the project"}[l.Per])
	if l.Mode == domain.Observe {
		b.WriteString(", only observed")
	}
	return b.String()
}

// signed writes a change, with its sign.
func signed(n int64) string {
	if n > 0 {
		return "+" + number(n)
	}
	return number(n)
}

// number writes digits in groups of three.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
