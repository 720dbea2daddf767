package api

import (
	"context"

	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreatePlan creates a plan of a project.
func (h *handlers) CreatePlan(ctx context.Context, r CreatePlanRequestObject) (CreatePlanResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	created, err := project.CreatePlan(ctx, domain.PlanSpec{
		Name: r.Body.Name, Limits: r.Body.Limits, IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	return CreatePlan201JSONResponse{Body: PlanFrom(created), Headers: CreatePlan201ResponseHeaders{ETag: etag(created.Revision)}}, err
}

// ListPlans answers a project's plans.
func (h *handlers) ListPlans(ctx context.Context, r ListPlansRequestObject) (ListPlansResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	list, err := project.ListPlans(ctx, page)
	next, link := nextPage(ctx, list.Next)
	body := PlanList{Items: each(list.Items, PlanFrom), NextCursor: next}
	return ListPlans200JSONResponse{Body: body, Headers: ListPlans200ResponseHeaders{Link: link}}, err
}

// GetPlan answers a plan of the project.
func (h *handlers) GetPlan(ctx context.Context, r GetPlanRequestObject) (GetPlanResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	found, err := project.GetPlan(ctx, r.PlanID)
	return GetPlan200JSONResponse{Body: PlanFrom(found), Headers: GetPlan200ResponseHeaders{ETag: etag(found.Revision)}}, err
}

// UpdatePlan changes a plan's name or limits.
func (h *handlers) UpdatePlan(ctx context.Context, r UpdatePlanRequestObject) (UpdatePlanResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	updated, err := project.UpdatePlan(ctx, r.PlanID, domain.PlanPatch{Name: r.Body.Name, Limits: r.Body.Limits})
	return UpdatePlan200JSONResponse{Body: PlanFrom(updated), Headers: UpdatePlan200ResponseHeaders{ETag: etag(updated.Revision)}}, err
}

// DeletePlan deletes a plan that no key refers to.
func (h *handlers) DeletePlan(ctx context.Context, r DeletePlanRequestObject) (DeletePlanResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	return DeletePlan204Response{}, project.DeletePlan(ctx, r.PlanID)
}

// planOrNull returns the plan of a key as clients see it, and null for none.
func planOrNull(p domain.KeyPlan) nullable.Nullable[KeyPlan] {
	if p.ID == "" {
		return nullable.NewNullNullable[KeyPlan]()
	}
	return nullable.NewNullableWithValue(KeyPlan{ID: p.ID, Name: p.Name})
}

// PlanFrom returns a plan as clients see it.
func PlanFrom(p domain.Plan) Plan {
	return Plan{
		ID:        p.ID,
		ProjectID: p.ProjectID,
		Name:      p.Name,
		Limits:    append([]Limit{}, p.Limits...),
		Keys:      p.Keys,
		CreatedAt: p.CreatedAt.UTC(),
		UpdatedAt: p.UpdatedAt.UTC(),
	}
}
