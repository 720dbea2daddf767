package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// SyncKeys answers what has changed of the tokens of the calling key's project, as soon
// as something has.
func (h *handlers) SyncKeys(ctx context.Context, r SyncKeysRequestObject) (SyncKeysResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), "")
	if err != nil {
		return nil, err
	}
	wait := service.DefaultSyncWait
	if r.Body.Wait != nil {
		wait = *seconds(r.Body.Wait)
	}
	answer, err := project.SyncKeys(ctx, service.Following{
		Cursor: value(r.Body.Cursor),
		Wait:   wait,
		Uses:   each(value(r.Body.Uses), reportedUse),
	})
	return SyncKeys200JSONResponse{
		Cursor:  answer.Cursor,
		Changed: each(answer.Changed, func(id domain.TokenID) string { return string(id) }),
		Reset:   answer.Reset,
	}, err
}

func reportedUse(u ReportedUse) service.ReportedUse {
	return service.ReportedUse{TokenID: domain.TokenID(u.TokenID), Count: u.Count, LastAt: u.LastAt}
}
