package service

import (
	"crypto/hmac"
	"encoding/base64"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// refreshToken is session.secret.tag. The tag tells a token that was once issued
// here from a guess: only the former, used again, may end the session.
type refreshToken string

func (a *App) newRefreshToken(id domain.SessionID, secret []byte) refreshToken {
	encode := base64.RawURLEncoding.EncodeToString
	body := string(id) + "." + encode(secret)
	return refreshToken(body + "." + encode(a.keyring.refresh.sum("tag", body)[:16]))
}

func (a *App) parseRefreshToken(text string) (refreshToken, domain.SessionID, bool) {
	session, rest, _ := strings.Cut(text, ".")
	id, err := domain.ParseID[domain.SessionID](session)
	encoded, _, _ := strings.Cut(rest, ".")
	secret, decodeErr := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || decodeErr != nil || len(secret) != 32 {
		return "", "", false
	}
	token := a.newRefreshToken(id, secret)
	return token, id, hmac.Equal([]byte(token), []byte(text))
}

// refreshDigest is what is stored of a refresh token. It is bound to the user, so
// that a session's row is worth nothing as another user's, once every node reads
// such digests.
func (a *App) refreshDigest(bound bool, user domain.UserID, token refreshToken) []byte {
	if !bound {
		return a.unboundRefreshDigest(token)
	}
	return a.boundRefreshDigest(user, token)
}

func (a *App) boundRefreshDigest(user domain.UserID, token refreshToken) []byte {
	return a.keyring.refresh.sum("bound", string(user), string(token))
}

// unboundRefreshDigest is what programs before 0.2 store.
func (a *App) unboundRefreshDigest(token refreshToken) []byte {
	return a.keyring.refresh.sum("digest", string(token))
}

// refreshes reports whether digest is what is stored of a token of the session's
// user.
func (a *App) refreshes(caller domain.CallingUser, digest domain.Digest, token refreshToken) bool {
	return hmac.Equal(digest, a.boundRefreshDigest(caller.User.ID, token)) ||
		a.takesUnboundSession() && hmac.Equal(digest, a.unboundRefreshDigest(token))
}

// newCookie names a session and its user and proves that it was issued here.
// Nothing of it is stored: without the master key a copy of the database gives no
// cookie, and a session's row that is given to another user is worth nothing.
func (a *App) newCookie(bound bool, id domain.SessionID, user domain.UserID) string {
	if !bound {
		return a.unboundCookie(id)
	}
	return a.boundCookie(id, user)
}

func (a *App) boundCookie(id domain.SessionID, user domain.UserID) string {
	return string(id) + "." + string(user) + "." + base64.RawURLEncoding.EncodeToString(a.keyring.cookie.sum(string(id), string(user)))
}

// unboundCookie is the cookie of programs before 0.2.
func (a *App) unboundCookie(id domain.SessionID) string {
	return string(id) + "." + base64.RawURLEncoding.EncodeToString(a.keyring.cookie.sum(string(id)))
}

// parseCookie returns the session that a cookie was issued for and its user, who
// is empty in a cookie of a program before 0.2; false for what was not issued
// here.
func (a *App) parseCookie(cookie string) (id domain.SessionID, user domain.UserID, ok bool) {
	session, rest, _ := strings.Cut(cookie, ".")
	id, err := domain.ParseID[domain.SessionID](session)
	if err != nil {
		return "", "", false
	}
	want := a.unboundCookie(id)
	if owner, _, bound := strings.Cut(rest, "."); bound {
		if user, err = domain.ParseID[domain.UserID](owner); err != nil {
			return "", "", false
		}
		want = a.boundCookie(id, user)
	} else if !a.takesUnboundSession() {
		return "", "", false
	}
	return id, user, hmac.Equal([]byte(cookie), []byte(want))
}
