package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreateServiceToken creates a token of a service account.
func (h *handlers) CreateServiceToken(
	ctx context.Context, r CreateServiceTokenRequestObject,
) (CreateServiceTokenResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	created, token, err := handle.CreateServiceToken(ctx, r.UserID, domain.ServiceTokenSpec{
		Name: r.Body.Name, ExpiresAt: given(r.Body.ExpiresAt), IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	if err != nil {
		return nil, err
	}
	return CreateServiceToken201JSONResponse{ServiceToken: ServiceTokenFrom(created), Token: token.Reveal()}, nil
}

// ListServiceTokens answers the tokens of a service account.
func (h *handlers) ListServiceTokens(ctx context.Context, r ListServiceTokensRequestObject) (ListServiceTokensResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	list, err := handle.ListServiceTokens(ctx, r.UserID, page)
	next, link := nextPage(ctx, list.Next)
	body := ServiceTokenList{Items: each(list.Items, ServiceTokenFrom), NextCursor: next}
	return ListServiceTokens200JSONResponse{Body: body, Headers: ListServiceTokens200ResponseHeaders{Link: link}}, err
}

// DeleteServiceToken ends a token of a service account.
func (h *handlers) DeleteServiceToken(
	ctx context.Context, r DeleteServiceTokenRequestObject,
) (DeleteServiceTokenResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	return DeleteServiceToken204Response{}, handle.DeleteServiceToken(ctx, r.UserID, r.TokenID)
}

// ServiceTokenFrom returns a token of a service account as clients see it.
func ServiceTokenFrom(t domain.ServiceToken) ServiceToken {
	return ServiceToken{
		ID:         t.ID,
		Name:       t.Name,
		Prefix:     t.Prefix,
		CreatedAt:  t.CreatedAt.UTC(),
		ExpiresAt:  timeOrNull(t.ExpiresAt),
		LastUsedAt: timeOrNull(t.LastUsedAt),
	}
}
