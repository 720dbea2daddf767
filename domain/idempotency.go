package domain

import "strings"

// Bounds of an Idempotency-Key, in characters.
const (
	minIdempotencyKey = 16
	maxIdempotencyKey = 128
)

// ValidateIdempotencyKey says why a caller cannot name a request so, or "". The
// same caller asking the same again under the same Idempotency-Key within 24
// hours gets the same answer, a token that is stored nowhere included; so it is
// a secret as much as the token, and must be hard to guess.
func ValidateIdempotencyKey(s string) string {
	if len(s) < minIdempotencyKey || len(s) > maxIdempotencyKey || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "must be 16 to 128 visible ASCII characters"
	}
	return ""
}
