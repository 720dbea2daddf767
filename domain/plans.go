package domain

import "time"

// MaxPlans is how many plans a project can have. Nodes keep them all in memory,
// beside the project.
const MaxPlans = 200

// Plan is a named set of limits of one project. Keys refer to it, so that a change to
// a plan changes what all its keys may use.
type Plan struct {
	ID        PlanID
	ProjectID ProjectID
	Name      string // unique in the project
	Limits    []Limit
	Keys      int64 // how many refer to it, of any status
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// ForKeys returns the plan as keys refer to it.
func (p Plan) ForKeys() KeyPlan { return KeyPlan{p.ID, p.Name} }

// PlanSpec is what a caller can choose for a new plan.
type PlanSpec struct {
	Name   string
	Limits []Limit

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
}

// Validate returns validation_failed, naming every field that is wrong.
func (s PlanSpec) Validate() error {
	var v Invalid
	v.Name("/name", s.Name)
	v.limits(s.Limits)
	return v.Err()
}

// PlanPatch is a change to a plan. A nil field stays as it is.
type PlanPatch struct {
	Name   *string
	Limits *[]Limit
}

// Apply returns plan with the patch applied, or validation_failed.
func (p PlanPatch) Apply(plan Plan) (Plan, error) {
	given := fields{}
	set(given, "name", &plan.Name, p.Name)
	set(given, "limits", &plan.Limits, p.Limits)
	err := PlanSpec{Name: plan.Name, Limits: plan.Limits}.Validate()
	plan.Limits = LimitsWithDefaults(plan.Limits)
	wrong := Invalid(FieldErrors(err))
	return plan, wrong.of(given)
}
