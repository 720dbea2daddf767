package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type planRow struct {
	bun.BaseModel `bun:"table:plans,alias:l"`

	ID             domain.PlanID `bun:",pk"`
	OrganizationID domain.OrganizationID
	ProjectID      domain.ProjectID
	Name           string
	Limits         []domain.Limit `bun:"type:jsonb"`
	CreatedAt      micros
	UpdatedAt      micros
	Revision       int64

	Keys int64 `bun:",scanonly"`
}

func (r planRow) plan() domain.Plan {
	return domain.Plan{
		ID:        r.ID,
		ProjectID: r.ProjectID,
		Name:      r.Name,
		Limits:    someOrNil(r.Limits),
		Keys:      r.Keys,
		CreatedAt: r.CreatedAt.Time,
		UpdatedAt: r.UpdatedAt.Time,
		Revision:  r.Revision,
	}
}

func newPlanRow(scope domain.ProjectScope, p domain.Plan) *planRow {
	return &planRow{
		ID:             p.ID,
		OrganizationID: scope.Organization(),
		ProjectID:      scope.Project(),
		Name:           p.Name,
		Limits:         listed(p.Limits),
		CreatedAt:      micros{p.CreatedAt},
		UpdatedAt:      micros{p.UpdatedAt},
		Revision:       p.Revision,
	}
}

// someOrNil is a list as domain has it: nil if it is empty.
func someOrNil[T any](items []T) []T {
	if len(items) == 0 {
		return nil
	}
	return items
}

// listed is a list as a column keeps it, which is never null.
func listed[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// CreatePlan adds a plan to the project; a name that is taken there gives conflict.
func (s *Store) CreatePlan(ctx context.Context, scope domain.ProjectScope, p domain.Plan) error {
	return s.insert(ctx, newPlanRow(scope, p))
}

// GetPlan returns a plan of the project.
func (s *Store) GetPlan(ctx context.Context, scope domain.ProjectScope, id domain.PlanID) (domain.Plan, error) {
	var row planRow
	err := plansIn(s, scope, &row).Where("l.id = ?", id).Scan(ctx)
	return row.plan(), s.error(err)
}

// LockPlan is like GetPlan, but locks the plan until the transaction ends. No key
// can be given a plan while it is locked.
func (s *Store) LockPlan(ctx context.Context, scope domain.ProjectScope, id domain.PlanID) (domain.Plan, error) {
	var row planRow
	err := s.engine.forUpdate(plansIn(s, scope, &row).Where("l.id = ?", id)).Scan(ctx)
	return row.plan(), s.error(err)
}

// AllPlans returns all plans of the project, ordered by name. The number of their
// keys is left out.
func (s *Store) AllPlans(ctx context.Context, scope domain.ProjectScope) ([]domain.Plan, error) {
	var rows []planRow
	if err := selectIn(s, scope, &rows).Order("name").Limit(domain.MaxPlans).Scan(ctx); err != nil {
		return nil, s.error(err)
	}
	plans := make([]domain.Plan, len(rows))
	for i, r := range rows {
		plans[i] = r.plan()
	}
	return plans, nil
}

// FindPlan is like GetPlan, but leaves out the number of the plan's keys.
func (s *Store) FindPlan(ctx context.Context, scope domain.ProjectScope, id domain.PlanID) (domain.Plan, error) {
	var row planRow
	err := selectIn(s, scope, &row).Where("l.id = ?", id).Scan(ctx)
	return row.plan(), s.error(err)
}

// PlansOfExternalID returns the plans of the project's keys with an external id that
// can be used now, in the order of their ids; the empty one is of keys without a plan.
func (s *Store) PlansOfExternalID(
	ctx context.Context, scope domain.ProjectScope, externalID string, now time.Time,
) (plans []domain.PlanID, err error) {
	err = selectIn(s, scope, (*keyRow)(nil)).ColumnExpr("DISTINCT COALESCE(k.plan_id, '') AS plan").
		Where("k.external_id = ?", externalID).Where("k.external_id <> ''").Where("k.revoked_at IS NULL").
		WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("k.expires_at IS NULL").WhereOr("k.expires_at > ?", micros{now})
		}).Order("plan").Limit(domain.MaxPlans+1).Scan(ctx, &plans)
	return plans, s.error(err)
}

// CountPlans returns how many plans the project has.
func (s *Store) CountPlans(ctx context.Context, scope domain.ProjectScope) (int, error) {
	n, err := selectIn(s, scope, (*planRow)(nil)).Count(ctx)
	return int(n), s.error(err)
}

// ListPlans returns the project's plans, newest first.
func (s *Store) ListPlans(ctx context.Context, scope domain.ProjectScope, p domain.Page) (domain.List[domain.Plan], error) {
	var rows []planRow
	if err := newest(plansIn(s, scope, &rows), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.Plan]{}, s.error(err)
	}
	return list(rows, p, planRow.plan, func(p domain.Plan) domain.Cursor {
		return domain.Cursor{At: p.CreatedAt, ID: string(p.ID)}
	}), nil
}

// UpdatePlan stores p, which must be one revision ahead of the row; otherwise it
// returns conflict, as it does for a name that is taken.
func (s *Store) UpdatePlan(ctx context.Context, scope domain.ProjectScope, p domain.Plan) error {
	res, err := updateIn(s, scope, newPlanRow(scope, p)).ExcludeColumn("id", "organization_id", "project_id", "created_at").
		Where("l.id = ?", p.ID).Where("l.revision = ?", p.Revision-1).Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// DeletePlan removes a plan of the project, to which no key may refer.
func (s *Store) DeletePlan(ctx context.Context, scope domain.ProjectScope, id domain.PlanID) error {
	res, err := deleteIn(s, scope, (*planRow)(nil)).Where("l.id = ?", id).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// plansIn starts a query of the project's plans, with the number of their keys.
func plansIn(s *Store, scope domain.ProjectScope, model any) *bun.SelectQuery {
	return selectIn(s, scope, model).ColumnExpr("?TableColumns").
		ColumnExpr("(SELECT COUNT(*) FROM api_keys AS k WHERE k.project_id = l.project_id AND k.plan_id = l.id) AS keys")
}
