package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreateProject creates a project in an organization.
func (h *handlers) CreateProject(ctx context.Context, r CreateProjectRequestObject) (CreateProjectResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	created, err := handle.CreateProject(ctx, domain.ProjectSpec{
		Name: r.Body.Name, Slug: value(r.Body.Slug), KeyPrefix: value(r.Body.KeyPrefix),
		IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	if err != nil {
		return nil, err
	}
	return CreateProject201JSONResponse{
		Body: ProjectFrom(created), Headers: CreateProject201ResponseHeaders{ETag: etag(created.Revision)},
	}, nil
}

// ListProjects answers an organization's projects.
func (h *handlers) ListProjects(ctx context.Context, r ListProjectsRequestObject) (ListProjectsResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	list, err := handle.ListProjects(ctx, page)
	next, link := nextPage(ctx, list.Next)
	return ListProjects200JSONResponse{
		Body:    ProjectList{Items: each(list.Items, ProjectFrom), NextCursor: next},
		Headers: ListProjects200ResponseHeaders{Link: link},
	}, err
}

// GetCurrentProject answers the project that the calling key belongs to.
func (h *handlers) GetCurrentProject(ctx context.Context, _ GetCurrentProjectRequestObject) (GetCurrentProjectResponseObject, error) {
	handle, err := h.app.Project(ctx, caller(ctx), "")
	if err != nil {
		return nil, err
	}
	own, err := handle.Get()
	return GetCurrentProject200JSONResponse{
		Body: ProjectFrom(own), Headers: GetCurrentProject200ResponseHeaders{ETag: etag(own.Revision)},
	}, err
}

// GetProject answers a project.
func (h *handlers) GetProject(ctx context.Context, r GetProjectRequestObject) (GetProjectResponseObject, error) {
	handle, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	found, err := handle.Get()
	return GetProject200JSONResponse{
		Body: ProjectFrom(found), Headers: GetProject200ResponseHeaders{ETag: etag(found.Revision)},
	}, err
}

// UpdateProject changes a project's fields.
func (h *handlers) UpdateProject(ctx context.Context, r UpdateProjectRequestObject) (UpdateProjectResponseObject, error) {
	handle, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	handle.Expect(expected(r.Params.IfMatch))
	updated, err := handle.Update(ctx, domain.ProjectPatch{
		Name:      r.Body.Name,
		Slug:      r.Body.Slug,
		KeyPrefix: r.Body.KeyPrefix,
		Status:    r.Body.Status,
		Limits:    r.Body.Limits,

		Audience:   given(r.Body.Audience),
		TokenTTL:   r.Body.TokenTTL,
		TokenEpoch: r.Body.TokenEpoch,
		OnLeak:     r.Body.OnLeak,
	})
	return UpdateProject200JSONResponse{
		Body: ProjectFrom(updated), Headers: UpdateProject200ResponseHeaders{ETag: etag(updated.Revision)},
	}, err
}

// DeleteProject deletes a project and its keys.
func (h *handlers) DeleteProject(ctx context.Context, r DeleteProjectRequestObject) (DeleteProjectResponseObject, error) {
	handle, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	handle.Expect(expected(r.Params.IfMatch))
	return DeleteProject204Response{}, handle.Delete(ctx)
}

// ProjectFrom returns a project as clients see it.
func ProjectFrom(p domain.Project) Project {
	return Project{
		ID:             p.ID,
		OrganizationID: p.OrganizationID,
		Name:           p.Name,
		Slug:           p.Slug,
		KeyPrefix:      p.KeyPrefix,
		Status:         p.Status,
		Limits:         append([]Limit{}, p.Limits...),
		Audience:       orNull(p.Audience),
		TokenTTL:       p.TokenTTL,
		TokenEpoch:     p.TokenEpoch,
		OnLeak:         p.OnLeak,
		Suspended:      suspensionFrom(p.Suspended),
		CreatedAt:      p.CreatedAt.UTC(),
		UpdatedAt:      p.UpdatedAt.UTC(),
	}
}
