package service

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// ResetLink sets a new password for an account, once and until it expires.
type ResetLink struct {
	User      domain.User
	Token     domain.Hidden // as ResetForgottenPassword takes it
	URL       domain.Hidden // the page of the console that takes the token, with the token behind "#"
	ExpiresAt time.Time
}

// CreateResetLink makes a link with which the owner of an account sets a new
// password, for an operator to hand to them: no one but the owner ever knows the
// password. Until the link is used the account stays as it is; its use ends all
// sessions. Only the command line may. Errors: conflict for a disabled account,
// for which no link works.
func (a *App) CreateResetLink(ctx context.Context, caller domain.Principal, id domain.UserID) (ResetLink, error) {
	if err := requireSystem(caller); err != nil {
		return ResetLink{}, err
	}
	token, err := a.newMailedToken(forPassword, rand.Reader)
	if err != nil {
		return ResetLink{}, err
	}
	link := ResetLink{
		Token:     domain.Hidden(token.text),
		URL:       domain.Hidden(mail.Action{Page: a.page("reset-password"), Token: token.text}.URL()),
		ExpiresAt: a.now().Add(resetLifetime),
	}
	err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		user, _, err := tx.LockUser(ctx, id)
		if err != nil {
			return err
		}
		if link.User = user; user.Status != domain.Active {
			return domain.Errorf(domain.CodeConflict, "The account is disabled, and its password cannot be reset. Enable it first.")
		}
		if err := tx.AddMailedToken(ctx, user.ID, string(forPassword), token.digest, link.ExpiresAt); err != nil {
			return err
		}
		return a.record(ctx, tx, caller, domain.Event{
			Action: "user.reset_link_created", Target: userTarget(user),
			Changes: domain.Diff(nil, map[string]any{"expires_at": link.ExpiresAt}),
		})
	})
	return link, err
}
