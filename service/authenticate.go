package service

import (
	"context"
	"crypto/hmac"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// AuthenticateKey returns the key that proves itself with token, with its
// project and organization. Errors: invalid_api_key for whatever is no token
// of ours; key_revoked, key_expired (also a retired secret) and
// project_disabled (also its organization) only after the secret has been
// proved; unavailable when it cannot be known.
func (a *App) AuthenticateKey(ctx context.Context, token string) (*domain.CallingKey, error) {
	key, secret, err := a.prove(ctx, token)
	if err != nil {
		return nil, err
	}
	now := a.now()
	switch code := unusable(key, secret, now); code {
	case "":
		a.usage.note(secret, now)
		return &key, nil
	case domain.CodeKeyRevoked:
		return nil, domain.Refused(code, "The API key has been revoked.")
	case domain.CodeKeyExpired:
		return nil, domain.Refused(code, "The API key has expired.")
	default:
		return nil, domain.Refused(code, "The project of this API key, or its organization, is disabled.")
	}
}

// prove is the one way from a token to its key. It returns the key once the
// secret is proved, whether or not the key may still be used.
func (a *App) prove(ctx context.Context, text string) (domain.CallingKey, domain.Secret, error) {
	token, err := domain.ParseToken(text)
	if err != nil {
		return domain.CallingKey{}, domain.Secret{}, err
	}
	secret, key, err := a.store.CallingKey(ctx, token.ID())
	if domain.CodeOf(err) == domain.CodeNotFound {
		return domain.CallingKey{}, domain.Secret{}, invalidKey()
	}
	if err != nil {
		return domain.CallingKey{}, domain.Secret{}, err
	}
	if !hmac.Equal(secret.Digest, a.keyring.tokenDigest(key.Key.ID, key.Project.ID, token)) {
		return domain.CallingKey{}, domain.Secret{}, invalidKey()
	}
	return key, secret, nil
}

func invalidKey() error { return domain.Refused(domain.CodeInvalidAPIKey, "The API key is not valid.") }

// unusable says why a proven key may not be used at now, or "".
func unusable(k domain.CallingKey, s domain.Secret, now time.Time) domain.Code {
	switch status := k.Key.Status(now); {
	case status == domain.KeyRevoked:
		return domain.CodeKeyRevoked
	case status == domain.KeyExpired, !s.Live(now):
		return domain.CodeKeyExpired
	case k.Project.Status != domain.Active, k.Organization.Status != domain.Active:
		return domain.CodeProjectDisabled
	}
	return ""
}

// AuthenticateUser returns the user, and the session, that an access token
// speaks for. Errors: invalid_token, also when the session has ended or the
// user is disabled; token_expired; unavailable when it cannot be known.
func (a *App) AuthenticateUser(ctx context.Context, accessToken string) (*domain.CallingUser, error) {
	claims, err := a.verifyAccessToken(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	caller, err := a.callingUser(ctx, claims.Session)
	if err == nil && caller.User.ID != claims.User {
		return nil, signedOut()
	}
	return caller, err
}

// cookieTouch is how far the recorded last use of a session may lag behind a
// browser that is clicking along.
const cookieTouch = 5 * time.Minute

// AuthenticateSession returns the user, and the session, that a browser's cookie
// speaks for. It is good as long as the session: using it keeps the session from
// idling out, and ending the session ends it. Errors: invalid_token for whatever
// was not issued here, which costs no query, and when the session has ended or
// the user is disabled; unavailable when it cannot be known.
func (a *App) AuthenticateSession(ctx context.Context, cookie string) (*domain.CallingUser, error) {
	session, _, _ := strings.Cut(cookie, ".")
	id, err := domain.ParseID[domain.SessionID](session)
	if err != nil || !hmac.Equal([]byte(cookie), []byte(a.cookie(id))) {
		return nil, signedOut()
	}
	caller, err := a.callingUser(ctx, id)
	if err != nil {
		return nil, err
	}
	if now := a.now(); now.Sub(caller.Session.LastUsedAt) > cookieTouch {
		if err := a.store.TouchSession(ctx, id, now); err != nil {
			a.log.WarnContext(ctx, "the last use of a session could not be recorded", "error", err)
		}
	}
	return caller, nil
}

// callingUser returns a session that has not ended and its user, who is active.
func (a *App) callingUser(ctx context.Context, id domain.SessionID) (*domain.CallingUser, error) {
	caller, err := a.store.CallingUser(ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil, signedOut()
	}
	if err != nil {
		return nil, err
	}
	if caller.User.Status != domain.Active || sessionEnded(caller.Session, a.now()) {
		return nil, signedOut()
	}
	return &caller, nil
}

func signedOut() error {
	return domain.Refused(domain.CodeInvalidToken, "The session has ended. Sign in again.")
}
