// Package jwt issues and verifies the access tokens of signed-in users (RFC
// 9068 over RFC 7519), and publishes the keys that prove them (RFC 7517).
//
// A token names a user and a session and nothing else: what they may do is
// looked up, so that a demotion or a log-out acts on tokens issued before it.
package jwt

import (
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	// Lifetime is how long an access token lives.
	Lifetime = 5 * time.Minute

	// MaxLength is the longest token, in bytes, that is looked at. Those issued
	// here are a quarter of it.
	MaxLength = 4 * 1024

	// clockSkew is how far ahead the clock of the node that issued a token may be.
	clockSkew = 30 * time.Second

	mediaType = "at+jwt" // RFC 9068, section 2.1
)

// Claims is what an access token says. Times travel in whole seconds.
type Claims struct {
	User      domain.UserID
	Session   domain.SessionID
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// ErrUnknownKey is why a token is invalid that says it was signed by a key which
// is not in the set: the only ones that a newer set might take.
var ErrUnknownKey = errors.New("the key that signed the token is not known")

// payload is the claims in the names of RFC 7519, section 4.1.
type payload struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
}

// Sign returns an access token with the claims, signed by the current key.
func (s KeySet) Sign(c Claims) (string, error) {
	key := s.current()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, payload{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.issuer,
			Audience:  jwt.ClaimStrings{s.issuer},
			Subject:   string(c.User),
			ID:        rand.Text(),
			IssuedAt:  jwt.NewNumericDate(c.IssuedAt),
			ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
		Session: string(c.Session),
	})
	token.Header["typ"] = mediaType
	token.Header["kid"] = key.ID
	return token.SignedString(key.Private)
}

// Verify returns the claims of a token that was issued here, by any key of the
// set, and has not expired at now. Whether its session is still active is for the
// caller to ask. Errors are refused credentials: token_expired when everything
// but the time is right, invalid_token for all else.
func (s KeySet) Verify(token string, now time.Time) (Claims, error) {
	invalid := domain.Refused(domain.CodeInvalidToken, "The access token is not valid.")
	// encoding/base64 skips line breaks even in strict mode, which would give one
	// signature many spellings.
	if len(token) > MaxLength || strings.ContainsAny(token, "\r\n") {
		return Claims{}, invalid
	}

	var p payload
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithStrictDecoding(),
		jwt.WithIssuer(s.issuer),
		jwt.WithAudience(s.issuer),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	}
	_, err := jwt.NewParser(options...).ParseWithClaims(token, &p, s.keyOf)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired): // claims are read only after the signature held
		return Claims{}, domain.Refused(domain.CodeTokenExpired, "The access token has expired. Refresh the session to get another.")
	case errors.Is(err, ErrUnknownKey):
		// With claims that are refused no matter who signed them, no newer set takes it.
		if _, ok := p.claims(now); ok && jwt.NewValidator(options...).Validate(p) == nil {
			invalid.Err = ErrUnknownKey
		}
		return Claims{}, invalid
	case err != nil:
		return Claims{}, invalid
	}
	claims, ok := p.claims(now)
	if !ok {
		return Claims{}, invalid
	}
	return claims, nil
}

// claims returns what the payload says, as far as only this package can judge it.
func (p payload) claims(now time.Time) (Claims, bool) {
	user, userErr := domain.ParseID[domain.UserID](p.Subject)
	session, sessionErr := domain.ParseID[domain.SessionID](p.Session)
	// The parser's own check of iat knows no skew, and would refuse on one node
	// what another issued in this very second.
	if userErr != nil || sessionErr != nil || p.IssuedAt == nil || p.ExpiresAt == nil || p.IssuedAt.After(now.Add(clockSkew)) {
		return Claims{}, false
	}
	return Claims{user, session, p.IssuedAt.UTC(), p.ExpiresAt.UTC()}, true
}

// keyOf returns the public key that a token's header names. A header may hold
// what Sign writes and no more: a crit that is not understood here must be
// refused (RFC 7515, section 4.1.11), and keys are never taken from the token.
func (s KeySet) keyOf(token *jwt.Token) (any, error) {
	for name := range token.Header {
		if name != "alg" && name != "typ" && name != "kid" {
			return nil, errors.New("unexpected member in the header")
		}
	}
	if token.Header["typ"] != mediaType {
		return nil, errors.New("not an access token")
	}
	id, _ := token.Header["kid"].(string)
	key, ok := s.verifying[id]
	if !ok {
		return nil, ErrUnknownKey
	}
	return key, nil
}
