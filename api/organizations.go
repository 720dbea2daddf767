package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreateOrganization creates an organization that the caller owns.
func (h *handlers) CreateOrganization(ctx context.Context, r CreateOrganizationRequestObject) (CreateOrganizationResponseObject, error) {
	created, err := h.app.CreateOrganization(ctx, caller(ctx), domain.OrganizationSpec{
		Name: r.Body.Name, Slug: value(r.Body.Slug), IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	if err != nil {
		return nil, err
	}
	return CreateOrganization201JSONResponse{
		Body: OrganizationFrom(created), Headers: CreateOrganization201ResponseHeaders{ETag: etag(created.Revision)},
	}, nil
}

// ListOrganizations answers the caller's organizations.
func (h *handlers) ListOrganizations(ctx context.Context, r ListOrganizationsRequestObject) (ListOrganizationsResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	list, err := h.app.ListOrganizations(ctx, caller(ctx), page)
	if err != nil {
		return nil, err
	}
	next, link := nextPage(ctx, list.Next)
	return ListOrganizations200JSONResponse{
		Body:    OrganizationList{Items: each(list.Items, OrganizationFrom), NextCursor: next},
		Headers: ListOrganizations200ResponseHeaders{Link: link},
	}, nil
}

// GetOrganization answers one of the caller's organizations.
func (h *handlers) GetOrganization(ctx context.Context, r GetOrganizationRequestObject) (GetOrganizationResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	found, err := handle.Get()
	if err != nil {
		return nil, err
	}
	return GetOrganization200JSONResponse{
		Body: OrganizationFrom(found), Headers: GetOrganization200ResponseHeaders{ETag: etag(found.Revision)},
	}, nil
}

// UpdateOrganization changes name, slug or status.
func (h *handlers) UpdateOrganization(ctx context.Context, r UpdateOrganizationRequestObject) (UpdateOrganizationResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	handle.Expect(expected(r.Params.IfMatch))
	updated, err := handle.Update(ctx, domain.OrganizationPatch{Name: r.Body.Name, Slug: r.Body.Slug, Status: r.Body.Status})
	if err != nil {
		return nil, err
	}
	return UpdateOrganization200JSONResponse{
		Body: OrganizationFrom(updated), Headers: UpdateOrganization200ResponseHeaders{ETag: etag(updated.Revision)},
	}, nil
}

// DeleteOrganization deletes an organization and everything in it.
func (h *handlers) DeleteOrganization(ctx context.Context, r DeleteOrganizationRequestObject) (DeleteOrganizationResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	handle.Expect(expected(r.Params.IfMatch))
	return DeleteOrganization204Response{}, handle.Delete(ctx)
}

// OrganizationFrom returns an organization as its members see it.
func OrganizationFrom(o domain.MemberOf) Organization {
	return Organization{
		ID:        o.ID,
		Name:      o.Name,
		Slug:      o.Slug,
		Status:    o.Status,
		Suspended: suspensionFrom(o.Suspended),
		Role:      o.Role,
		CreatedAt: o.CreatedAt.UTC(),
		UpdatedAt: o.UpdatedAt.UTC(),
	}
}

// suspensionFrom returns a suspension as members see it, or nil.
func suspensionFrom(s domain.Suspension) *Suspension {
	if !s.Active() {
		return nil
	}
	return &Suspension{Since: s.Since.UTC(), Reason: s.Reason}
}
