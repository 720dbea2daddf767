package jwt

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Key signs access tokens. Printing it, with whatever fmt verb, shows its id.
type Key struct {
	ID        string             // JWK thumbprint of the public part (RFC 7638): the kid
	Private   ed25519.PrivateKey `json:"-"`
	CreatedAt time.Time
}

// NewKey returns a key made from crypto/rand.
func NewKey(now time.Time) Key {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	k := Key{Private: private, CreatedAt: now}
	k.ID = k.Thumbprint()
	return k
}

// Public returns the part that proves what the key signed.
func (k Key) Public() ed25519.PublicKey { return k.Private.Public().(ed25519.PublicKey) }

// Thumbprint is the JWK thumbprint of the public part, which NewKey takes for
// the id: the SHA-256 of the required members in the order of their names (RFC
// 7638, section 3; RFC 8037, section 2).
func (k Key) Thumbprint() string {
	j := k.jwk()
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":%q,"x":%q}`, j.Curve, j.Type, j.X))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Format implements fmt.Formatter, so that the private part is never printed.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, "signing key "+k.ID) }

// KeySet signs with one key and verifies with every key it holds, so that
// tokens outlive the rotation of the key that signed them. It is immutable and
// safe for concurrent use. The zero value verifies nothing and cannot sign.
type KeySet struct {
	issuer    string
	current   func() Key // a function: fmt looks into every other kind of unexported field
	verifying map[string]ed25519.PublicKey
	published []JWK
}

// NewKeySet returns the set for tokens that issuer, the public URL of the
// instance, issues to itself. The current key signs; the others are those that
// signed until lately, and those about to, published early enough for everyone
// to have fetched them. It panics without an issuer, for then a token of any
// other instance would pass.
func NewKeySet(issuer string, current Key, others ...Key) KeySet {
	if issuer == "" {
		panic("jwt: a key set needs an issuer")
	}
	keys := map[string]Key{}
	for _, k := range append(slices.Clone(others), current) {
		keys[k.ID] = k
	}
	s := KeySet{issuer: issuer, current: func() Key { return current }, verifying: map[string]ed25519.PublicKey{}}
	for _, k := range slices.SortedFunc(maps.Values(keys), func(a, b Key) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	}) {
		s.verifying[k.ID] = k.Public()
		s.published = append(s.published, k.jwk())
	}
	return s
}

// JWKS is a JSON Web Key Set (RFC 7517, section 5).
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWK is the public part of a signing key (RFC 7517, section 4, and RFC 8037,
// section 2).
type JWK struct {
	Type      string `json:"kty"` // OKP
	Curve     string `json:"crv"` // Ed25519
	X         string `json:"x"`   // the public key, base64url
	ID        string `json:"kid"`
	Use       string `json:"use"` // sig
	Algorithm string `json:"alg"` // EdDSA
}

// JWKS returns the public parts of all keys, the newest first.
func (s KeySet) JWKS() JWKS { return JWKS{Keys: slices.Clone(s.published)} }

func (k Key) jwk() JWK {
	return JWK{
		Type:      "OKP",
		Curve:     "Ed25519",
		X:         base64.RawURLEncoding.EncodeToString(k.Public()),
		ID:        k.ID,
		Use:       "sig",
		Algorithm: "EdDSA",
	}
}
