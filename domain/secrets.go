package domain

import "time"

// Algorithm names how the digest of a secret was computed.
type Algorithm string

// HMACSHA256 is the only algorithm of ours: HMAC-SHA-256 over key
// id, project id and the whole token, under a key derived from the master key.
const HMACSHA256 Algorithm = "hmac-sha256"

// Algorithms are all of them. The order is part of how a ProvenKey is packed in
// memory, and of nothing that is stored.
var Algorithms = append([]Algorithm{HMACSHA256}, ImportAlgorithms...)

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
	Digest        []byte
	CreatedAt     time.Time
	FirstUsedAt   time.Time // zero: not yet, or a use is still on its way to the database
	ValidUntil    time.Time

	// Of secrets that were made elsewhere only. Parameters belong to the
	// algorithm until the first good use replaces it; Lookup is what their tokens
	// are found by, and ImportDigest recognises the hash as it was imported.
	Parameters   string
	Lookup       string
	ImportDigest []byte
}

// Live reports whether the secret is accepted at now.
func (s Secret) Live(now time.Time) bool { return s.ValidUntil.IsZero() || now.Before(s.ValidUntil) }

// String gives the public part, so that a log never holds a digest.
func (s Secret) String() string { return s.Prefix + "_…" }

// Use is that a secret was used, between First and Last.
type Use struct {
	ProjectID ProjectID
	KeyID     KeyID
	TokenID   TokenID
	First     time.Time
	Last      time.Time
}
