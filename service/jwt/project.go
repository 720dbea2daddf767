package jwt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/domain"
)

// MaxProjectToken bounds the access token of an API key, in bytes. Proxies give
// headers 4 KiB in all.
const MaxProjectToken = 1536

// projectMediaType is what libraries take that refuse at+jwt (RFC 9068), such as
// Spring Security.
const projectMediaType = "JWT"

// seedLength is how many bytes a ProjectKey is made of: 16 more than the order of the
// curve has, so that the remainder is as good as uniform (FIPS 186-5, appendix A.2.1).
const seedLength = 48

// ProjectKey signs access tokens of the API keys of one project, by ES256. Printing
// it, with whatever fmt verb, shows its id.
type ProjectKey struct {
	ID      string // JWK thumbprint of the public part (RFC 7638): the kid
	private func() *ecdsa.PrivateKey
	x, y    string
}

// NewProjectKey derives the key from a seed of 48 random bytes. A seed always gives the
// same key, so nothing has to be stored.
func NewProjectKey(seed []byte) (ProjectKey, error) {
	if len(seed) != seedLength {
		return ProjectKey{}, fmt.Errorf("a seed has %d bytes, not %d", seedLength, len(seed))
	}
	curve := elliptic.P256()
	less := new(big.Int).Sub(curve.Params().N, big.NewInt(1))
	scalar := new(big.Int).Mod(new(big.Int).SetBytes(seed), less)
	raw := scalar.Add(scalar, big.NewInt(1)).FillBytes(make([]byte, curve.Params().BitSize/8))
	private, err := ecdsa.ParseRawPrivateKey(curve, raw)
	if err != nil {
		return ProjectKey{}, err
	}
	public, err := private.PublicKey.Bytes() // 4, then both coordinates
	if err != nil {
		return ProjectKey{}, err
	}
	text := base64.RawURLEncoding.EncodeToString
	k := ProjectKey{private: func() *ecdsa.PrivateKey { return private }, x: text(public[1:33]), y: text(public[33:])}
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, k.x, k.y))
	k.ID = text(sum[:])
	return k, nil
}

// Format implements fmt.Formatter, so that the private part is never printed.
func (k ProjectKey) Format(f fmt.State, _ rune) { io.WriteString(f, "signing key "+k.ID) }

// Coordinates returns the public part, in base64url.
func (k ProjectKey) Coordinates() (x, y string) { return k.x, k.y }

// KeyClaims is what the access token of an API key says. Times travel in whole
// seconds.
type KeyClaims struct {
	Issuer      string
	Audience    string
	Key         domain.KeyID
	Token       domain.TokenID // of the token that proved the key: the beginning of the jti
	Scope       string         // separated by spaces
	ExternalID  string         // empty: there is none, or it is too long
	Environment domain.Environment
	IssuedAt    time.Time
	ExpiresAt   time.Time
}

// keyPayload is the claims in the names of RFC 7519, section 4.1, and RFC 8693.
type keyPayload struct {
	jwt.RegisteredClaims
	ClientID    string `json:"client_id"`
	Scope       string `json:"scope"`
	ExternalID  string `json:"external_id,omitempty"`
	Environment string `json:"environment"`
}

// audience is one text, as most verifiers expect it, and not a list.
type audience string

// Sign returns an access token with the claims.
func (k ProjectKey) Sign(c KeyClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, struct {
		keyPayload

		Audience audience `json:"aud"`
	}{
		keyPayload: keyPayload{
			RegisteredClaims: jwt.RegisteredClaims{
				Issuer:    c.Issuer,
				Subject:   string(c.Key),
				ID:        string(c.Token) + "." + rand.Text(),
				IssuedAt:  jwt.NewNumericDate(c.IssuedAt),
				ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
			},
			ClientID:    string(c.Key),
			Scope:       c.Scope,
			ExternalID:  c.ExternalID,
			Environment: string(c.Environment),
		},
		Audience: audience(c.Audience),
	})
	token.Header["typ"] = projectMediaType
	token.Header["kid"] = k.ID
	return token.SignedString(k.private())
}

// VerifyProject returns the claims of a token that one of the keys has signed for the
// issuer and the audience, and that has not expired at now. Whether the API key is
// still good is for the caller to ask. It refuses with invalid_token.
func VerifyProject(keys []ProjectKey, issuer, audience, text string, now time.Time) (KeyClaims, error) {
	invalid := domain.Refused(domain.CodeInvalidToken, "The access token is not valid.")
	if len(text) > MaxProjectToken || strings.ContainsAny(text, "\r\n") {
		return KeyClaims{}, invalid
	}
	var p keyPayload
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
		jwt.WithStrictDecoding(),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	).ParseWithClaims(text, &p, func(t *jwt.Token) (any, error) { return projectKeyOf(keys, t) })
	key, idErr := domain.ParseID[domain.KeyID](p.Subject)
	if err != nil || idErr != nil || p.ClientID != p.Subject || p.IssuedAt == nil || p.IssuedAt.After(now.Add(clockSkew)) {
		return KeyClaims{}, invalid
	}
	token, _, _ := strings.Cut(p.ID, ".")
	return KeyClaims{
		Issuer:      p.Issuer,
		Audience:    audience,
		Key:         key,
		Token:       domain.TokenID(token),
		Scope:       p.Scope,
		ExternalID:  p.ExternalID,
		Environment: domain.Environment(p.Environment),
		IssuedAt:    p.IssuedAt.UTC(),
		ExpiresAt:   p.ExpiresAt.UTC(),
	}, nil
}

// projectKeyOf returns the public key that a token's header names. A header may hold
// what Sign writes and no more.
func projectKeyOf(keys []ProjectKey, t *jwt.Token) (any, error) {
	for name := range t.Header {
		if name != "alg" && name != "typ" && name != "kid" {
			return nil, errors.New("unexpected member in the header")
		}
	}
	if t.Header["typ"] != projectMediaType {
		return nil, errors.New("not an access token of a key")
	}
	for _, k := range keys {
		if t.Header["kid"] == k.ID {
			return &k.private().PublicKey, nil
		}
	}
	return nil, ErrUnknownKey
}
