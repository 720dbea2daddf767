package service

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/cache"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

// ProveUser returns the user and the session of an access token or of a service token.
// Errors: invalid_token, also if the session has ended or the user is disabled;
// token_expired; unavailable if it cannot be known.
func (a *App) ProveUser(ctx context.Context, accessToken string) (*domain.CallingUser, error) {
	copies, err := a.mayUseCopies()
	if err != nil {
		return nil, err
	}
	now, since := a.now(), a.near.people.Since()
	var digest cache.TokenDigest
	if copies {
		digest = tokenDigest(accessToken)
		if caller, ok := a.near.people.ByToken(digest, now); ok && !sessionEnded(caller.Session, now) {
			return caller, nil
		}
	}
	prove := a.userOfAccessToken
	if strings.HasPrefix(accessToken, domain.ServiceTokenPrefix+"_") {
		prove = a.userOfServiceToken
	}
	caller, until, err := prove(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	if copies {
		a.near.people.RememberToken(since, digest, caller.Session.ID, until, now)
	}
	return caller, nil
}

// userOfAccessToken returns the user of an access token, and until when it proves them.
func (a *App) userOfAccessToken(ctx context.Context, accessToken string) (*domain.CallingUser, time.Time, error) {
	claims, err := a.verifyAccessToken(ctx, accessToken)
	if err != nil {
		return nil, time.Time{}, err
	}
	caller, err := a.callingUser(ctx, claims.Session)
	if err == nil && caller.User.ID != claims.User {
		err = signedOut()
	}
	return caller, claims.ExpiresAt, err
}

// tokenDigest identifies an access token in memory, so that the token itself is
// kept nowhere.
func tokenDigest(accessToken string) cache.TokenDigest {
	if len(accessToken) > jwt.MaxLength {
		return cache.TokenDigest{} // never remembered, since it never verifies
	}
	var room [1024]byte
	return sha256.Sum256(append(room[:0], accessToken...))
}

// cookieTouch is how far the recorded last use of a session may lag behind its
// use in a browser.
const cookieTouch = 5 * time.Minute

// ProveSession returns the user and the session of a browser's cookie.
// The cookie is valid as long as the session: its use keeps the session from
// idling out, and it ends with the session. Errors: invalid_token for a cookie
// that was not issued here, which costs no query, and if the session has ended
// or the user is disabled; unavailable if it cannot be known.
func (a *App) ProveSession(ctx context.Context, cookie string) (*domain.CallingUser, error) {
	id, user, ok := a.parseCookie(cookie)
	if !ok {
		return nil, signedOut()
	}
	caller, err := a.callingUser(ctx, id)
	if err != nil {
		return nil, err
	}
	if user != "" && caller.User.ID != user {
		return nil, signedOut()
	}
	if now := a.now(); now.Sub(caller.Session.LastUsedAt) > cookieTouch {
		if err := a.store.TouchSession(ctx, id, now); err != nil {
			a.log.WarnContext(ctx, "the last use of a session could not be recorded", "error", err)
		}
		a.near.people.Forget(domain.Stale{Kind: domain.StaleSession, ID: string(id)}) // so that the next use sees it
	}
	return caller, nil
}

// callingUser returns a session that has not ended, with its user, who is
// active.
func (a *App) callingUser(ctx context.Context, id domain.SessionID) (*domain.CallingUser, error) {
	now := a.now()
	caller, err := a.session(ctx, id)
	if err == nil && sessionEnded(caller.Session, now) {
		// The copy lacks later uses, which keep a session from idling out.
		a.near.people.Forget(domain.Stale{Kind: domain.StaleSession, ID: string(id)})
		caller, err = a.session(ctx, id)
	}
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil, signedOut()
	}
	if err != nil {
		return nil, err
	}
	if caller.User.Status != domain.Active || sessionEnded(caller.Session, now) {
		return nil, signedOut()
	}
	return caller, nil
}

func signedOut() error {
	return domain.Refused(domain.CodeInvalidToken, "The session has ended. Sign in again.")
}
