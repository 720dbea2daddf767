package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/service"
)

// LogIn starts a session for whoever knows the password.
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

func session(in service.SignedIn) Session {
	return Session{
		AccessToken: in.AccessToken, TokenType: TokenTypeBearer, ExpiresIn: int(in.AccessLifetime.Seconds()),
		RefreshToken: in.RefreshToken, RefreshExpiresIn: int(in.RefreshLifetime.Seconds()), User: user(in.User),
	}
}
