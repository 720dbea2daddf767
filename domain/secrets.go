package domain

import (
	"fmt"
	"io"
	"time"
)

// Algorithm names how the digest of a secret was computed.
type Algorithm string

// HMACSHA256 is the only algorithm made here: HMAC-SHA-256 over key
// id, project id and the whole token, under a key derived from the master key.
const HMACSHA256 Algorithm = "hmac-sha256"

// Algorithms are all of them. The order is part of how a ProvenKey is packed in
// memory, and of nothing that is stored.
var Algorithms = append([]Algorithm{HMACSHA256}, ImportAlgorithms...)

// hidden is what is shown in place of a secret.
const hidden = "…"

// Digest is what recognises a secret. Whatever prints or encodes it shows
// nothing of it: with every verb of fmt, in JSON and in a log. Only of what lies in
// a field that is not exported fmt asks nothing: nothing with such a field is
// printed.
type Digest []byte

// String implements fmt.Stringer.
func (Digest) String() string { return hidden }

// Format implements fmt.Formatter.
func (Digest) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Digest) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Hidden is a secret text in the hands of who needs it: a password, an
// Idempotency-Key, a hash that was made elsewhere. Whatever prints or encodes it
// shows nothing of it, as of a Digest.
type Hidden string

// Reveal returns the text.
func (h Hidden) Reveal() string { return string(h) }

// String implements fmt.Stringer.
func (Hidden) String() string { return hidden }

// Format implements fmt.Formatter.
func (Hidden) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Hidden) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Secret is what is stored about one token of a key: enough to recognise the
// token, not enough to make it. A key has one current secret (ValidUntil is
// zero) and, after a rotation, a retiring one.
type Secret struct {
	TokenID       TokenID
	ProjectID     ProjectID
	KeyID         KeyID
	Prefix        string
	Algorithm     Algorithm
	PepperVersion int // which derivation of the master key the digest is under
	Digest        Digest
	Tagged        bool // the token has a tag, so it need not be known to be looked up
	CreatedAt     time.Time
	FirstUsedAt   time.Time // zero: not yet, or a use is still on its way to the database; known to who changes keys
	ValidUntil    time.Time

	// Of secrets that were made elsewhere only. Parameters belong to the
	// algorithm until the first good use replaces it; Lookup is what their tokens
	// are found by, and ImportDigest recognises the hash as it was imported.
	Parameters   string
	Lookup       string
	ImportDigest Digest
}

// Live reports whether the secret is accepted at now.
func (s Secret) Live(now time.Time) bool { return s.ValidUntil.IsZero() || now.Before(s.ValidUntil) }

// Use is that a secret was used, between First and Last.
type Use struct {
	ProjectID ProjectID
	KeyID     KeyID
	TokenID   TokenID
	First     time.Time
	Last      time.Time
}
