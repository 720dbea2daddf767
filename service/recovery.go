package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/fair"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// How long mailed tokens are good.
const (
	verificationLifetime = 24 * time.Hour
	resetLifetime        = 10 * time.Minute
)

// postVerification sends the address of somebody who knows the account's
// password what verifies it.
func (a *App) postVerification(ctx context.Context, email string) {
	a.post(ctx, func(ctx context.Context) (mail.Letter, bool, error) {
		user, _, err := a.store.GetUserByEmail(ctx, email)
		if err != nil || user.Status != domain.Active || user.EmailVerified || !a.mayMail(email) {
			return mail.Letter{}, false, ignoreNotFound(err)
		}
		token, err := a.mailToken(ctx, user, forAddress, verificationLifetime)
		return a.verificationLetter(user, token), true, err
	})
}

// postAccountExists tells an address that somebody signed up with it though it
// has an account. While the address is not verified, anybody may have made that
// account: confirming it now would let in whoever did, with their password. So
// its owner is sent what sets one of their own instead.
func (a *App) postAccountExists(ctx context.Context, email string) {
	a.post(ctx, func(ctx context.Context) (mail.Letter, bool, error) {
		user, _, err := a.store.GetUserByEmail(ctx, email)
		if err != nil || user.Status != domain.Active || !a.mayMail(email) {
			return mail.Letter{}, false, ignoreNotFound(err)
		}
		if user.EmailVerified {
			return a.accountExistsLetter(user), true, nil
		}
		token, err := a.mailToken(ctx, user, forPassword, resetLifetime)
		return a.claimLetter(user, token), true, err
	})
}

// mailToken draws a token for a user and stores what is needed to know it again.
func (a *App) mailToken(ctx context.Context, u domain.User, p purpose, lifetime time.Duration) (string, error) {
	token, err := a.newMailedToken(p, a.random)
	if err != nil {
		return "", err
	}
	return token.text, a.store.AddMailedToken(ctx, u.ID, string(p), token.digest, a.now().Add(lifetime))
}

// VerifyEmail notes that whoever presents the token reads the mails of an
// account's address. It signs nobody in. A token that was used, has expired or
// was never mailed gives invalid_token.
func (a *App) VerifyEmail(ctx context.Context, from domain.Origin, token string) error {
	return a.useToken(ctx, forAddress, token, func(ctx context.Context, tx *repository.Store, u domain.User) error {
		if u.EmailVerified {
			return nil
		}
		u.EmailVerified = true
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		return a.record(ctx, tx, domain.NewPrincipal(nil, &domain.CallingUser{User: u}, from), domain.Event{
			Action: "user.email_verified", Target: userTarget(u), Changes: domain.Changes{"email_verified": {false, true}},
		})
	})
}

// ForgotPassword sends the address a token that sets a new password, if it has
// an account. Nobody learns from the answer, nor from its time, whether it has;
// rate_limited tells only of the caller's own network, and validation_failed of
// what is no address.
func (a *App) ForgotPassword(ctx context.Context, from domain.Origin, email string) error {
	email = domain.NormalizeEmail(email)
	if email == "" {
		v := domain.Invalid{{Pointer: "/email", Detail: "must be an e-mail address"}}
		return v.Err()
	}
	if err := a.mayCauseMail(from); err != nil {
		return err
	}
	a.post(ctx, func(ctx context.Context) (mail.Letter, bool, error) {
		user, _, err := a.store.GetUserByEmail(ctx, email)
		if err != nil || user.Status != domain.Active || !a.mayMail(email) {
			return mail.Letter{}, false, ignoreNotFound(err)
		}
		token, err := a.mailToken(ctx, user, forPassword, resetLifetime)
		return a.resetLetter(user, token), true, err
	})
	return nil
}

// ResetForgottenPassword sets a new password for whoever presents the token that
// ForgotPassword had mailed, and ends all sessions of the account. It signs
// nobody in; the address counts as verified, since the token was sent there.
// Errors: invalid_token, validation_failed.
func (a *App) ResetForgottenPassword(ctx context.Context, from domain.Origin, token, replacement string) error {
	// The token is judged before the password, and again in the transaction.
	owner, err := a.tokenOwner(ctx, a.store, forPassword, token)
	if err != nil {
		return err
	}
	var v domain.Invalid
	if v.Password("/password", replacement); len(v) > 0 {
		return v.Err()
	}
	hash, err := a.passwords.hash(ctx, hashing{string(owner), fair.Network(from.IP)}, replacement)
	if err != nil {
		return err
	}
	var user domain.User
	err = a.useToken(ctx, forPassword, token, func(ctx context.Context, tx *repository.Store, before domain.User) error {
		user = before
		user.EmailVerified = true
		if err := tx.UpdateUser(ctx, user); err != nil {
			return err
		}
		if err := tx.SetPassword(ctx, user.ID, hash); err != nil {
			return err
		}
		if _, err := tx.DeleteSessions(ctx, user.ID, ""); err != nil {
			return err
		}
		return a.record(ctx, tx, domain.NewPrincipal(nil, &domain.CallingUser{User: user}, from), domain.Event{
			Action: "user.password_reset", Target: userTarget(user),
			Changes: domain.Diff(map[string]any{"email_verified": before.EmailVerified}, map[string]any{"email_verified": true}),
		})
	})
	if err == nil {
		a.postLetter(ctx, a.noticeLetter("password-changed", user, "Your password has been changed",
			"A new password has been set for your account with a link that was mailed to you", from))
	}
	return err
}

// tokenOwner returns whom a token was mailed to, or invalid_token.
func (a *App) tokenOwner(ctx context.Context, store *repository.Store, p purpose, token string) (domain.UserID, error) {
	digest, ok := a.mailedTokenDigest(p, token)
	if !ok {
		return "", errTokenRefused()
	}
	user, err := store.UserByMailedToken(ctx, string(p), digest, a.now())
	if domain.CodeOf(err) == domain.CodeNotFound {
		err = errTokenRefused()
	}
	return user, err
}

// useToken uses a mailed token up, and does act for the user it was mailed to in
// the same transaction.
func (a *App) useToken(
	ctx context.Context, p purpose, token string, act func(ctx context.Context, tx *repository.Store, u domain.User) error,
) error {
	return a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		id, err := a.tokenOwner(ctx, tx, p, token)
		if err != nil {
			return err
		}
		user, _, err := tx.LockUser(ctx, id)
		if err != nil {
			return err
		}
		digest, _ := a.mailedTokenDigest(p, token)
		err = tx.UseMailedToken(ctx, id, string(p), digest)
		if domain.CodeOf(err) == domain.CodeNotFound || err == nil && user.Status != domain.Active {
			return errTokenRefused()
		}
		if err != nil {
			return err
		}
		return act(ctx, tx, user)
	})
}

func errTokenRefused() error {
	return domain.Refused(domain.CodeInvalidToken, "The link has been used, has expired, or was never sent. Ask for a new one.")
}

func ignoreNotFound(err error) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil
	}
	return err
}
