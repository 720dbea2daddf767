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

// mailRecipient returns the account that an address has, if it may sign in.
func (a *App) mailRecipient(ctx context.Context, email string) (u domain.User, found bool, err error) {
	u, _, err = a.userByEmail(ctx, a.store, email)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return u, false, nil
	}
	return u, err == nil && u.Status == domain.Active, err
}

// writeVerification writes what verifies the address of an account.
func writeVerification(ctx context.Context, a *App, m repository.OutgoingMail, to string) (*mail.Letter, error) {
	user, found, err := a.mailRecipient(ctx, to)
	if err != nil || !found || user.EmailVerified {
		return nil, err
	}
	return a.withToken(ctx, m, user, forAddress, verificationLifetime, a.verificationLetter)
}

// writeAccountExists tells an address that it was used to sign up though it has
// an account. While the address is not verified, anyone may have made that
// account: confirming it now would let that person in, with their password. So
// its owner is sent what sets one of their own instead.
func writeAccountExists(ctx context.Context, a *App, m repository.OutgoingMail, to string) (*mail.Letter, error) {
	user, found, err := a.mailRecipient(ctx, to)
	if err != nil || !found {
		return nil, err
	}
	if user.EmailVerified {
		letter := a.accountExistsLetter(user)
		return &letter, nil
	}
	return a.withToken(ctx, m, user, forPassword, resetLifetime, a.claimLetter)
}

// writePasswordReset writes what sets a new password.
func writePasswordReset(ctx context.Context, a *App, m repository.OutgoingMail, to string) (*mail.Letter, error) {
	user, found, err := a.mailRecipient(ctx, to)
	if err != nil || !found {
		return nil, err
	}
	return a.withToken(ctx, m, user, forPassword, resetLifetime, a.resetLetter)
}

// withToken writes a letter around the token of an email. The token is derived
// from the email's id, so it is stored nowhere and each try sends the same one.
// Its time begins with each try. One that has been used since the last try is not
// made again, and nothing is sent.
func (a *App) withToken(
	ctx context.Context, m repository.OutgoingMail, u domain.User, p purpose, lifetime time.Duration,
	write func(u domain.User, token string) mail.Letter,
) (*mail.Letter, error) {
	token := a.derivedMailedToken(p, m.ID)
	expires := a.now().Add(lifetime)
	err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if !m.TokenAt.IsZero() {
			return tx.ProlongMailedToken(ctx, token.digest, expires)
		}
		if err := tx.NoteMailToken(ctx, m, a.now()); err != nil {
			return err
		}
		return tx.AddMailedToken(ctx, u.ID, string(p), token.digest, expires)
	})
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil, nil //nolint:nilnil // nothing is to be sent
	}
	if err != nil {
		return nil, err
	}
	letter := write(u, token.text)
	return &letter, nil
}

// VerifyEmail notes that the person who presents the token reads the mail of an
// account's address, and sets their password: the one that the account was made
// with may be a stranger's, and so may its sessions, which end. It signs no one
// in. A token that was used, has expired or was never mailed gives invalid_token.
func (a *App) VerifyEmail(ctx context.Context, from domain.Origin, token, password string) error {
	return a.setPassword(ctx, from, forAddress, "user.email_verified", token, password)
}

// ForgotPassword sends the address a token that sets a new password, if it has
// an account. Neither the answer nor its time tells whether it has;
// rate_limited tells only of the caller's own network, and validation_failed of
// what is no address.
func (a *App) ForgotPassword(ctx context.Context, from domain.Origin, email string) error {
	email = canonicalEmail(email)
	if email == "" {
		v := domain.Invalid{{Pointer: "/email", Detail: "must be an email address"}}
		return v.Err()
	}
	if err := a.mayCauseMail(from); err != nil {
		return err
	}
	return a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		return a.postRequested(ctx, tx, mailPasswordReset, email, from)
	})
}

// ResetForgottenPassword sets a new password for the person who presents the token
// that ForgotPassword had mailed, and ends all sessions of the account. It signs
// no one in; the address counts as verified, since the token was sent there.
// Errors: invalid_token, validation_failed.
func (a *App) ResetForgottenPassword(ctx context.Context, from domain.Origin, token, replacement string) error {
	return a.setPassword(ctx, from, forPassword, "user.password_reset", token, replacement)
}

// setPassword sets the password of the user whom a token was mailed to for a
// purpose, notes that their address is verified, and ends their sessions.
func (a *App) setPassword(ctx context.Context, from domain.Origin, p purpose, action, token, password string) error {
	// The token is judged before the password, and again in the transaction.
	owner, err := a.tokenOwner(ctx, a.store, p, token)
	if err != nil {
		return err
	}
	person, err := a.store.GetUser(ctx, owner)
	if err != nil {
		return err
	}
	words, err := a.passwordWords(ctx, person)
	if err != nil {
		return err
	}
	var v domain.Invalid
	password = preparePassword(password)
	if v.Password("/password", password, words); len(v) > 0 {
		return v.Err()
	}
	hash, err := a.passwords.hash(ctx, hashing{string(owner), fair.Network(from.IP)}, password)
	if err != nil {
		return err
	}
	return a.useToken(ctx, p, token, func(ctx context.Context, tx *repository.Store, before domain.User) error {
		user := before
		user.EmailVerified = true
		if err := tx.UpdateUser(ctx, user); err != nil {
			return err
		}
		if err := a.storePassword(ctx, tx, user.ID, hash); err != nil {
			return err
		}
		if _, err := tx.DeleteSessions(ctx, user.ID, ""); err != nil {
			return err
		}
		if p == forPassword {
			err := a.postNotice(ctx, tx, "password-changed", user, "Your password has been changed",
				"A new password has been set for your account with a link that was made for it", from)
			if err != nil {
				return err
			}
		}
		return a.record(ctx, tx, domain.NewPrincipal(nil, &domain.CallingUser{User: user}, from), domain.Event{
			Action: action, Target: userTarget(user),
			Changes: domain.Diff(map[string]any{"email_verified": before.EmailVerified}, map[string]any{"email_verified": true}),
		})
	})
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
