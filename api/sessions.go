package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// LogIn starts a session for a user who sends their password.
func (h *handlers) LogIn(ctx context.Context, r LogInRequestObject) (LogInResponseObject, error) {
	in, err := h.app.LogIn(ctx, origin(ctx), r.Body.Email, r.Body.Password)
	if err != nil {
		return nil, err
	}
	return LogIn200JSONResponse(session(in)), nil
}

// RefreshSession exchanges a refresh token for its successor.
func (h *handlers) RefreshSession(ctx context.Context, r RefreshSessionRequestObject) (RefreshSessionResponseObject, error) {
	in, err := h.app.Refresh(ctx, origin(ctx), r.Body.RefreshToken)
	if err != nil {
		return nil, err
	}
	return RefreshSession200JSONResponse(session(in)), nil
}

// LogOut ends the session that the request was made in.
func (h *handlers) LogOut(ctx context.Context, _ LogOutRequestObject) (LogOutResponseObject, error) {
	account, err := h.app.Account(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return LogOut204Response{}, account.LogOut(ctx)
}

// ListSessions answers the caller's sessions.
func (h *handlers) ListSessions(ctx context.Context, r ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	account, err := h.app.Account(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	list, err := account.ListSessions(ctx, page)
	next, link := nextPage(ctx, list.Next)
	body := SessionItemList{Items: each(list.Items, sessionItem(caller(ctx))), NextCursor: next}
	return ListSessions200JSONResponse{Body: body, Headers: ListSessions200ResponseHeaders{Link: link}}, err
}

// RevokeSession ends one of the caller's sessions.
func (h *handlers) RevokeSession(ctx context.Context, r RevokeSessionRequestObject) (RevokeSessionResponseObject, error) {
	account, err := h.app.Account(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return RevokeSession204Response{}, account.RevokeSession(ctx, r.SessionID)
}

// RevokeOtherSessions ends all of the caller's sessions except the current one.
func (h *handlers) RevokeOtherSessions(ctx context.Context, _ RevokeOtherSessionsRequestObject) (RevokeOtherSessionsResponseObject, error) {
	account, err := h.app.Account(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return RevokeOtherSessions204Response{}, account.RevokeOtherSessions(ctx)
}

func sessionItem(caller domain.Principal) func(domain.Session) SessionItem {
	present, _ := caller.User()
	return func(s domain.Session) SessionItem {
		return SessionItem{
			ID:         s.ID,
			CreatedAt:  s.CreatedAt.UTC(),
			LastUsedAt: s.LastUsedAt.UTC(),
			IP:         orNull(s.IP),
			UserAgent:  orNull(s.UserAgent),
			Current:    s.ID == present.Session.ID,
		}
	}
}

func session(in service.SignedIn) Session {
	return Session{
		AccessToken:      in.AccessToken,
		TokenType:        TokenTypeBearer,
		ExpiresIn:        int(in.AccessLifetime.Seconds()),
		RefreshToken:     in.RefreshToken,
		RefreshExpiresIn: int(in.RefreshLifetime.Seconds()),
		User:             UserFrom(in.User),
	}
}
