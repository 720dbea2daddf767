package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// SignUp creates an account and signs it in, or emails its address.
func (h *handlers) SignUp(ctx context.Context, r SignUpRequestObject) (SignUpResponseObject, error) {
	in, err := h.app.SignUp(ctx, origin(ctx), domain.SignUp{
		Email: r.Body.Email, Password: domain.Hidden(r.Body.Password), Name: value(r.Body.Name),
		InvitationToken: domain.Hidden(value(r.Body.InvitationToken)),
	})
	if err != nil {
		return nil, err
	}
	if in.AccessToken == "" { // the address has to be verified first
		return SignUp202Response{}, nil
	}
	return SignUp201JSONResponse(session(in)), nil
}

// VerifyEmail takes the token that was emailed to an address, and a new password.
func (h *handlers) VerifyEmail(ctx context.Context, r VerifyEmailRequestObject) (VerifyEmailResponseObject, error) {
	return VerifyEmail204Response{}, h.app.VerifyEmail(ctx, origin(ctx), r.Body.Token, r.Body.Password)
}

// ForgotPassword emails a token for a new password to the address of an account.
func (h *handlers) ForgotPassword(ctx context.Context, r ForgotPasswordRequestObject) (ForgotPasswordResponseObject, error) {
	return ForgotPassword202Response{}, h.app.ForgotPassword(ctx, origin(ctx), r.Body.Email)
}

// ResetPassword takes that token and the new password.
func (h *handlers) ResetPassword(ctx context.Context, r ResetPasswordRequestObject) (ResetPasswordResponseObject, error) {
	return ResetPassword204Response{}, h.app.ResetForgottenPassword(ctx, origin(ctx), r.Body.Token, r.Body.Password)
}

// GetMe answers the signed-in user.
func (h *handlers) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	signedIn, _ := caller(ctx).User() // the rule lets no one else in
	return GetMe200JSONResponse(UserFrom(signedIn.User)), nil
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
	return User{
		ID:            u.ID,
		Email:         u.Email,
		Name:          u.Name,
		EmailVerified: u.EmailVerified,
		CreatedAt:     u.CreatedAt.UTC(),
	}
}
