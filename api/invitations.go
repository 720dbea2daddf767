package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreateInvitation invites someone to an organization.
func (h *handlers) CreateInvitation(ctx context.Context, r CreateInvitationRequestObject) (CreateInvitationResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	created, token, err := handle.CreateInvitation(ctx, domain.InvitationSpec{
		Email: r.Body.Email, Role: r.Body.Role, IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	return CreateInvitation201JSONResponse(CreatedInvitation{Invitation: invitation(created), Token: token}), err
}

// ListInvitations answers an organization's invitations.
func (h *handlers) ListInvitations(ctx context.Context, r ListInvitationsRequestObject) (ListInvitationsResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	list, err := handle.ListInvitations(ctx, page)
	next, link := nextPage(ctx, list.Next)
	body := InvitationList{Items: each(list.Items, invitation), NextCursor: next}
	return ListInvitations200JSONResponse{Body: body, Headers: ListInvitations200ResponseHeaders{Link: link}}, err
}

// RevokeInvitation withdraws an invitation.
func (h *handlers) RevokeInvitation(ctx context.Context, r RevokeInvitationRequestObject) (RevokeInvitationResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	return RevokeInvitation204Response{}, handle.RevokeInvitation(ctx, r.InvitationID)
}

// AcceptInvitation makes the caller a member of the organization that invited
// them.
func (h *handlers) AcceptInvitation(ctx context.Context, r AcceptInvitationRequestObject) (AcceptInvitationResponseObject, error) {
	joined, err := h.app.AcceptInvitation(ctx, caller(ctx), r.Body.Token)
	return AcceptInvitation200JSONResponse(Membership{
		Organization: OrganizationFrom(joined.Organization),
		User:         UserFrom(joined.Member.User), Role: joined.Member.Role, JoinedAt: joined.Member.JoinedAt.UTC(),
	}), err
}

func invitation(v domain.Invitation) Invitation {
	return Invitation{
		ID:         v.ID,
		Email:      v.Email,
		Role:       v.Role,
		InvitedBy:  Inviter{Kind: creatorKind(v.InvitedBy.Kind), ID: v.InvitedBy.ID, Name: v.InvitedBy.Name},
		CreatedAt:  v.CreatedAt.UTC(),
		ExpiresAt:  v.ExpiresAt.UTC(),
		AcceptedAt: timeOrNull(v.AcceptedAt),
	}
}
