package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// SignUp makes an account and signs it in.
func (h *handlers) SignUp(ctx context.Context, r SignUpRequestObject) (SignUpResponseObject, error) {
	in, err := h.app.SignUp(ctx, origin(ctx), domain.SignUp{Email: r.Body.Email, Password: r.Body.Password, Name: value(r.Body.Name)})
	if err != nil {
		return nil, err
	}
	return SignUp201JSONResponse(session(in)), nil
}

// GetMe answers the signed-in user.
func (h *handlers) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	account, err := h.app.Account(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return GetMe200JSONResponse(UserFrom(account.User())), nil
}

// UpdateMe changes the signed-in user's name.
func (h *handlers) UpdateMe(ctx context.Context, r UpdateMeRequestObject) (UpdateMeResponseObject, error) {
	account, err := h.app.Account(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	renamed, err := account.Rename(ctx, value(r.Body.Name))
	if err != nil {
		return nil, err
	}
	return UpdateMe200JSONResponse(UserFrom(renamed)), nil
}

// ChangePassword replaces the password and ends the user's other sessions.
func (h *handlers) ChangePassword(ctx context.Context, r ChangePasswordRequestObject) (ChangePasswordResponseObject, error) {
	account, err := h.app.Account(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return ChangePassword204Response{}, account.ChangePassword(ctx, r.Body.Current, r.Body.New)
}

// UserFrom returns a user as clients see them.
func UserFrom(u domain.User) User {
	return User{ID: u.ID, Email: u.Email, Name: u.Name, EmailVerified: u.EmailVerified, CreatedAt: u.CreatedAt.UTC()}
}
