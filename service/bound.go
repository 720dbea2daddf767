package service

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// boundVersion is the first program that reads data bound to a user: digests of
// refresh tokens, cookies and password hashes.
const boundVersion = "0.2.0"

// boundSetting holds the time since when all new data is bound and no unbound
// password hash is left. It is proved with the master key.
const boundSetting = "bound_since"

// bindsToUsers reports whether new data of a user is bound to them. This is so
// once every node can read it, and permanently once all hashes are bound.
func (a *App) bindsToUsers(ctx context.Context, store *repository.Store) (bool, error) {
	if a.boundSince.Load() != 0 {
		return true, nil
	}
	return store.EveryNodeAtLeast(ctx, boundVersion)
}

// takesUnboundSession reports whether a refresh token or a cookie that is not
// bound to its user may still belong to a session. None does after all sessions
// from before have ended. Otherwise someone who can write to the database could
// give an old session to another user.
func (a *App) takesUnboundSession() bool {
	since := a.boundSince.Load()
	return since == 0 || a.now().Before(time.UnixMicro(since).Add(sessionAbsolute))
}

// takesUnboundPassword reports whether a password hash that is not bound can be
// valid. Once all are bound it cannot: someone with the database and without
// the master key has written it.
func (a *App) takesUnboundPassword() bool { return a.boundSince.Load() == 0 }

// bindPasswords binds the password hashes that an older program has written,
// which needs no passwords, and records when none is left. It does nothing
// until every node can read bound hashes.
func (a *App) bindPasswords(ctx context.Context) error {
	if err := a.readBoundSince(ctx); err != nil {
		return err
	}
	for done := a.boundSince.Load() != 0; !done; {
		err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
			if binds, err := a.bindsToUsers(ctx, tx); err != nil || !binds {
				done = true
				return err
			}
			hashes, err := tx.PasswordHashes(ctx, plainForm, 200)
			if err != nil {
				return err
			}
			if done = len(hashes) == 0; done {
				return a.noteBoundSince(ctx, tx)
			}
			return a.bindHashes(ctx, tx, hashes)
		})
		if err != nil {
			return err
		}
	}
	return a.readBoundSince(ctx)
}

func (a *App) bindHashes(ctx context.Context, tx *repository.Store, hashes map[domain.UserID]string) error {
	for user, stored := range hashes {
		h, err := parsePasswordHash(stored)
		successor := a.keyring.bind(user, h).String()
		if err != nil {
			a.log.ErrorContext(ctx, "a password hash cannot be used; its owner needs a new password", "user", user, "error", err)
			successor = "!" + stored // no form of a hash begins like this, so it is not read again
		}
		err = tx.RewritePassword(ctx, user, stored, successor)
		if err != nil && domain.CodeOf(err) != domain.CodeNotFound { // not_found: it has just been replaced
			return err
		}
	}
	return nil
}

func (a *App) noteBoundSince(ctx context.Context, tx *repository.Store) error {
	value := binary.BigEndian.AppendUint64(nil, uint64(a.now().UnixMicro()))
	err := tx.AddSetting(ctx, boundSetting, append(value, a.keyring.check.sum(boundSetting, string(value))...))
	if domain.CodeOf(err) == domain.CodeConflict {
		return nil // another node was first
	}
	return err
}

// readBoundSince reads the time since when everything is bound.
func (a *App) readBoundSince(ctx context.Context) error {
	value, err := a.store.GetSetting(ctx, boundSetting)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil
	}
	if err != nil || len(value) < 8 || !hmac.Equal(value[8:], a.keyring.check.sum(boundSetting, string(value[:8]))) {
		return err
	}
	a.boundSince.Store(int64(binary.BigEndian.Uint64(value))) //nolint:gosec // as it was written
	return nil
}
