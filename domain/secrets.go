package domain

import (
	"fmt"
	"io"
	"time"
)

// Algorithm names how the digest of a secret was computed.
type Algorithm string

// HMACSHA256 is the only algorithm that Latchkey uses for its own tokens:
// HMAC-SHA-256 over the key id, the project id and the whole token, with a key
// derived from the master key.
const HMACSHA256 Algorithm = "hmac-sha256"

// Algorithms are all of them. Their order is part of how a ProvenKey is packed
// in memory. Nothing that is stored depends on it.
var Algorithms = append([]Algorithm{HMACSHA256}, ImportAlgorithms...)

// hidden is shown in place of a secret.
const hidden = "…"

// Digest identifies a secret. It shows nothing when printed or encoded: with
// every verb of fmt, in JSON and in a log. The exception is a digest in an
// unexported field, where fmt does not call its methods: values with such a
// field must not be printed.
type Digest []byte

// String implements fmt.Stringer.
func (Digest) String() string { return hidden }

// Format implements fmt.Formatter.
func (Digest) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Digest) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Hidden is a secret text for code that needs it: a password, an
// Idempotency-Key, a hash that was made elsewhere. Like a Digest, it shows
// nothing when printed or encoded.
type Hidden string

// Reveal returns the text.
func (h Hidden) Reveal() string { return string(h) }

// String implements fmt.Stringer.
func (Hidden) String() string { return hidden }

// Format implements fmt.Formatter.
func (Hidden) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Hidden) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Secret is what is stored about one token of a key: enough to prove the
// token, not enough to make it. A key has one current secret (ValidUntil is
// zero) and, after a rotation, a retiring one.
type Secret struct {
	TokenID       TokenID
	ProjectID     ProjectID
	KeyID         KeyID
	Prefix        string
	Algorithm     Algorithm
	PepperVersion int // the version of the key derived from the master key that made the digest
	Digest        Digest
	Tagged        bool // the token has a tag, so it can be looked up without being in an index
	CreatedAt     time.Time
	FirstUsedAt   time.Time // zero: not yet, or not written yet; only set for code that changes keys
	LastUsedAt    time.Time // the same
	ValidUntil    time.Time

	// Only for secrets that were made elsewhere. Parameters belong to the algorithm
	// until the first valid use replaces it. Tokens are found by Locator.
	// ImportDigest identifies the hash as it was imported.
	Parameters   string
	Locator      string
	ImportDigest Digest
}

// Live reports whether the secret is accepted at now.
func (s Secret) Live(now time.Time) bool { return s.ValidUntil.IsZero() || now.Before(s.ValidUntil) }

// Use records that a secret was used between First and Last.
type Use struct {
	ProjectID ProjectID
	KeyID     KeyID
	TokenID   TokenID
	First     time.Time
	Last      time.Time
}
