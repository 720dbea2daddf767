package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/cache"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

// AuthenticateKey is ProveKey with all there is to know of the key.
func (a *App) AuthenticateKey(ctx context.Context, token string) (*domain.CallingKey, error) {
	proven, err := a.ProveKey(ctx, token)
	if err != nil {
		return nil, err
	}
	key := proven.CallingKey()
	return &key, nil
}

// ProveKey returns the key that proves itself with token, with its project and
// organization. Errors: invalid_api_key for whatever is no token of ours;
// key_revoked, key_expired (also a retired secret) and project_disabled (also
// its organization) only after the secret has been proved; unavailable when it
// cannot be known. For a key that is kept in memory it allocates nothing.
func (a *App) ProveKey(ctx context.Context, token string) (domain.ProvenKey, error) {
	now := a.now()
	key, err := a.prove(ctx, token, "", now)
	if err != nil {
		return domain.ProvenKey{}, err
	}
	switch code := key.Unusable(now); code {
	case "":
		a.used(ctx, key, token, now)
		return key, nil
	case domain.CodeKeyRevoked:
		return domain.ProvenKey{}, domain.Refused(code, "The API key has been revoked.")
	case domain.CodeKeyExpired:
		return domain.ProvenKey{}, domain.Refused(code, "The API key has expired.")
	default:
		return domain.ProvenKey{}, domain.Refused(code, "The project of this API key, or its organization, is disabled.")
	}
}

// prove is the one way from a token to its key. It returns the key once the
// secret is proved, whether or not the key may still be used. A token that was
// made elsewhere may be known to several projects; then the one that asks has
// the first right to it.
func (a *App) prove(ctx context.Context, text string, asks domain.ProjectID, now time.Time) (domain.ProvenKey, error) {
	token, err := domain.ParseToken(text)
	if err != nil {
		return a.proveImported(ctx, text, asks, now)
	}
	key, err := a.keyOf(ctx, token.ID(), now)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return a.proveImported(ctx, text, asks, now)
	}
	if err != nil {
		return domain.ProvenKey{}, err
	}
	want, algorithm, _ := key.Digest()
	got := a.keyring.tokenDigest(key.ID(), key.Tenant().Project.ID, text)
	if algorithm != domain.HMACSHA256 || !equal(want, got) {
		return domain.ProvenKey{}, invalidKey()
	}
	return key, nil
}

// used remembers that a token has proved a usable key.
func (a *App) used(ctx context.Context, key domain.ProvenKey, text string, now time.Time) {
	a.usage.note(key, now)
	if _, algorithm, _ := key.Digest(); algorithm != domain.HMACSHA256 {
		a.rehash(ctx, key, text)
	}
}

// equal compares in constant time.
func equal(want string, got [domain.DigestLength]byte) bool {
	w := [domain.DigestLength]byte([]byte(want))
	return subtle.ConstantTimeCompare(w[:], got[:]) == 1
}

// keyOf returns the key that a token's id belongs to, from memory or from the
// database. Nothing is proved by that.
func (a *App) keyOf(ctx context.Context, id domain.TokenID, now time.Time) (domain.ProvenKey, error) {
	copies, err := a.mayUseCopies()
	if err != nil {
		return domain.ProvenKey{}, err
	}
	if !copies {
		secret, key, err := a.store.CallingKey(ctx, id)
		if err != nil {
			return domain.ProvenKey{}, err
		}
		return provenKey(secret, key), nil
	}
	if key, ok := a.near.keys.Get(id); ok {
		return key, nil
	}
	return a.near.keys.Load(ctx, id, now, cache.Reader{Key: a.store.KeyByToken, CallingKey: a.store.CallingKey})
}

func provenKey(s domain.Secret, k domain.CallingKey) domain.ProvenKey {
	return domain.NewProvenKey(string(domain.PackKey(nil, s, k.Key)), &domain.Tenant{Project: k.Project, Organization: k.Organization})
}

func invalidKey() error { return domain.Refused(domain.CodeInvalidAPIKey, "The API key is not valid.") }

// AuthenticateUser returns the user, and the session, that an access token
// speaks for. Errors: invalid_token, also when the session has ended or the
// user is disabled; token_expired; unavailable when it cannot be known.
func (a *App) AuthenticateUser(ctx context.Context, accessToken string) (*domain.CallingUser, error) {
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
	claims, err := a.verifyAccessToken(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	caller, err := a.callingUser(ctx, claims.Session)
	if err != nil {
		return nil, err
	}
	if caller.User.ID != claims.User {
		return nil, signedOut()
	}
	if copies {
		a.near.people.RememberToken(since, digest, claims.Session, claims.ExpiresAt, now)
	}
	return caller, nil
}

// tokenDigest is what an access token is remembered by, so that the token
// itself is kept nowhere.
func tokenDigest(accessToken string) cache.TokenDigest {
	if len(accessToken) > jwt.MaxLength {
		return cache.TokenDigest{} // never remembered, since it never verifies
	}
	var room [1024]byte
	return sha256.Sum256(append(room[:0], accessToken...))
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
		a.near.people.Forget(domain.Stale{Kind: domain.StaleSession, ID: string(id)}) // so that the next use knows of it
	}
	return caller, nil
}

// callingUser returns a session that has not ended and its user, who is active.
func (a *App) callingUser(ctx context.Context, id domain.SessionID) (*domain.CallingUser, error) {
	now := a.now()
	caller, err := a.session(ctx, id)
	if err == nil && sessionEnded(caller.Session, now) {
		// The copy does not know of later uses, which keep a session from idling out.
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

// session returns a session and its user, from memory or from the database.
func (a *App) session(ctx context.Context, id domain.SessionID) (*domain.CallingUser, error) {
	copies, err := a.mayUseCopies()
	if err != nil {
		return nil, err
	}
	if !copies {
		caller, err := a.store.CallingUser(ctx, id)
		return &caller, err
	}
	return a.near.people.Session(ctx, id, func(ctx context.Context) (domain.CallingUser, error) { return a.store.CallingUser(ctx, id) })
}

// projectMember returns what a user is at a project, from memory or from the
// database.
func (a *App) projectMember(ctx context.Context, user domain.UserID, at domain.ProjectID) (*cache.Member, error) {
	copies, err := a.mayUseCopies()
	if err != nil {
		return nil, err
	}
	if copies {
		if member, ok := a.near.people.AtProject(user, at); ok {
			return member, nil
		}
	}
	read := func(ctx context.Context) (m cache.Member, err error) {
		m.Project, m.Role, err = a.store.ProjectAsMember(ctx, user, at)
		return m, err
	}
	if copies {
		return a.near.people.ProjectMember(ctx, user, at, read)
	}
	member, err := read(ctx)
	return &member, err
}

// organizationMember returns what a user is at an organization, from memory or
// from the database.
func (a *App) organizationMember(ctx context.Context, user domain.UserID, at domain.OrganizationID) (cache.Member, error) {
	read := func(ctx context.Context) (cache.Member, error) {
		m, err := a.store.OrganizationAsMember(ctx, user, at)
		return cache.Member{Organization: m.Organization, Role: m.Role}, err
	}
	copies, err := a.mayUseCopies()
	if err != nil {
		return cache.Member{}, err
	}
	if !copies {
		return read(ctx)
	}
	member, err := a.near.people.OrganizationMember(ctx, user, at, read)
	if err != nil {
		return cache.Member{}, err
	}
	return *member, nil
}

func signedOut() error {
	return domain.Refused(domain.CodeInvalidToken, "The session has ended. Sign in again.")
}
