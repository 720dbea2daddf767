package domain

// Tenant is the owner of a key. All keys of a project share one, which never
// changes: when the project, its plans or the organization change, a new one is
// made. One that is made without NewTenant has no limits.
type Tenant struct {
	Project      Project
	Organization Organization

	limits string    // of the project, as packLimits has them
	bare   *LimitSet // of keys without a plan and without limits of their own
	plans  map[PlanID]tenantPlan
}

type tenantPlan struct {
	Plan

	set *LimitSet // of keys of the plan without limits of their own
}

// NewTenant returns the tenant of a project with its plans.
func NewTenant(p Project, o Organization, plans []Plan) *Tenant {
	t := &Tenant{
		Project:      p,
		Organization: o,
		limits:       packLimits(p.Limits),
		bare:         newLimitSet(Effective(p.Limits, nil, nil)),
		plans:        make(map[PlanID]tenantPlan, len(plans)),
	}
	for _, plan := range plans {
		t.plans[plan.ID] = tenantPlan{plan, newLimitSet(Effective(p.Limits, plan.Limits, nil))}
	}
	return t
}

// LimitsJSON returns the limits of the project as JSON; empty: none.
func (t *Tenant) LimitsJSON() string { return t.limits }

// planName returns the name of a key's plan. The key may have been packed before the
// plan was renamed.
func (t *Tenant) planName(p KeyPlan) string {
	if plan, known := t.plans[p.ID]; known {
		return plan.Name
	}
	return p.Name
}

// Limits returns the limits that hold for the key. It reports false if they are not
// known, because the key has a plan that the tenant does not have yet. For keys
// without limits of their own it allocates nothing.
func (k ProvenKey) Limits() (limits *LimitSet, known bool) {
	if k.flags()&packedLimited == 0 {
		return k.tenant.bare, true
	}
	f := k.Fields()
	set, plan := k.tenant.bare, tenantPlan{}
	if f.Plan.ID != "" {
		if plan, known = k.tenant.plans[f.Plan.ID]; !known {
			return nil, false
		}
		set = plan.set
	}
	if f.LimitsJSON == "" {
		return set, true
	}
	return newLimitSet(Effective(k.tenant.Project.Limits, plan.Limits, f.limits())), true
}

// HasOwnLimits reports whether the key has limits of its own.
func (k ProvenKey) HasOwnLimits() bool {
	return k.flags()&packedLimited != 0 && k.Fields().LimitsJSON != ""
}

// Limited reports whether limits may hold for the key. It is what every request
// asks.
func (k ProvenKey) Limited() bool { return k.flags()&packedLimited != 0 || k.tenant.bare != nil }
