package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// GetCaller answers who the request's credentials belong to.
func (h *handlers) GetCaller(ctx context.Context, _ GetCallerRequestObject) (GetCallerResponseObject, error) {
	who := Caller{Kind: CallerKindKey}
	calling, isKey, err := h.app.CallingKey(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	if isKey {
		k, p, o := h.key(calling.Key), ProjectFrom(calling.Project), organizationSummary(calling.Organization)
		who.Key, who.Project, who.Organization = &k, &p, &o
	}
	limits, err := h.app.OwnLimits(ctx, caller(ctx))
	if limits.Limits.Limits.Len() > 0 {
		who.Limits = new(h.limits(limits))
	}
	if signedIn, isUser := caller(ctx).User(); isUser {
		u := UserFrom(signedIn.User)
		who.User, who.Kind = &u, CallerKindUser
		if signedIn.User.IsService() {
			who.Kind = CallerKindServiceAccount
		}
		if isKey {
			who.Kind = CallerKindBoth
		}
	}
	return GetCaller200JSONResponse(who), err
}

func organizationSummary(o domain.Organization) OrganizationSummary {
	return OrganizationSummary{ID: o.ID, Name: o.Name, Slug: o.Slug, Status: o.Status}
}
