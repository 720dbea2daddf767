package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreateServiceAccount creates a service account of an organization.
func (h *handlers) CreateServiceAccount(
	ctx context.Context, r CreateServiceAccountRequestObject,
) (CreateServiceAccountResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	created, err := handle.CreateServiceAccount(ctx, domain.ServiceAccountSpec{
		Name: r.Body.Name, Role: r.Body.Role, MayDeleteProjects: value(r.Body.MayDeleteProjects),
		IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	return CreateServiceAccount201JSONResponse{
		Body: ServiceAccountFrom(created), Headers: CreateServiceAccount201ResponseHeaders{ETag: etag(created.Revision)},
	}, err
}

// ListServiceAccounts answers an organization's service accounts.
func (h *handlers) ListServiceAccounts(
	ctx context.Context, r ListServiceAccountsRequestObject,
) (ListServiceAccountsResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	list, err := handle.ListServiceAccounts(ctx, page)
	next, link := nextPage(ctx, list.Next)
	body := ServiceAccountList{Items: each(list.Items, ServiceAccountFrom), NextCursor: next}
	return ListServiceAccounts200JSONResponse{Body: body, Headers: ListServiceAccounts200ResponseHeaders{Link: link}}, err
}

// GetServiceAccount answers a service account of the organization.
func (h *handlers) GetServiceAccount(ctx context.Context, r GetServiceAccountRequestObject) (GetServiceAccountResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	found, err := handle.GetServiceAccount(ctx, r.UserID)
	return GetServiceAccount200JSONResponse{
		Body: ServiceAccountFrom(found), Headers: GetServiceAccount200ResponseHeaders{ETag: etag(found.Revision)},
	}, err
}

// UpdateServiceAccount changes a service account.
func (h *handlers) UpdateServiceAccount(
	ctx context.Context, r UpdateServiceAccountRequestObject,
) (UpdateServiceAccountResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	handle.Expect(expected(r.Params.IfMatch))
	updated, err := handle.UpdateServiceAccount(ctx, r.UserID, domain.ServiceAccountPatch{
		Name: r.Body.Name, Role: r.Body.Role, Status: r.Body.Status, MayDeleteProjects: r.Body.MayDeleteProjects,
	})
	return UpdateServiceAccount200JSONResponse{
		Body: ServiceAccountFrom(updated), Headers: UpdateServiceAccount200ResponseHeaders{ETag: etag(updated.Revision)},
	}, err
}

// DeleteServiceAccount deletes a service account with its tokens.
func (h *handlers) DeleteServiceAccount(
	ctx context.Context, r DeleteServiceAccountRequestObject,
) (DeleteServiceAccountResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	handle.Expect(expected(r.Params.IfMatch))
	return DeleteServiceAccount204Response{}, handle.DeleteServiceAccount(ctx, r.UserID)
}

// ServiceAccountFrom returns a service account as clients see it.
func ServiceAccountFrom(a domain.ServiceAccount) ServiceAccount {
	return ServiceAccount{
		ID:                a.ID,
		OrganizationID:    a.OrganizationID,
		Name:              a.Name,
		Role:              a.Role,
		Status:            a.Status,
		MayDeleteProjects: a.MayDeleteProjects,
		CreatedAt:         a.CreatedAt.UTC(),
		UpdatedAt:         a.UpdatedAt.UTC(),
	}
}
