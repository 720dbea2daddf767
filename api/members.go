package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// ListMembers answers an organization's members.
func (h *handlers) ListMembers(ctx context.Context, r ListMembersRequestObject) (ListMembersResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	list, err := handle.ListMembers(ctx, page)
	next, link := nextPage(ctx, list.Next)
	body := MemberList{Items: each(list.Items, member), NextCursor: next}
	return ListMembers200JSONResponse{Body: body, Headers: ListMembers200ResponseHeaders{Link: link}}, err
}

// UpdateMember gives a member another role.
func (h *handlers) UpdateMember(ctx context.Context, r UpdateMemberRequestObject) (UpdateMemberResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	updated, err := handle.UpdateMember(ctx, r.UserID, r.Body.Role)
	return UpdateMember200JSONResponse(member(updated)), err
}

// RemoveMember removes a member, who may be the caller, from an organization.
func (h *handlers) RemoveMember(ctx context.Context, r RemoveMemberRequestObject) (RemoveMemberResponseObject, error) {
	handle, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	if value(r.Params.Keys) == "revoke" {
		return RemoveMember204Response{}, handle.RemoveMemberAndKeys(ctx, r.UserID)
	}
	return RemoveMember204Response{}, handle.RemoveMember(ctx, r.UserID)
}

func member(m domain.Member) Member {
	return Member{User: UserFrom(m.User), Role: m.Role, JoinedAt: m.JoinedAt.UTC()}
}
