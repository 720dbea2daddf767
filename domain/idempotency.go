package domain

import "strings"

// Bounds of an Idempotency-Key, in characters.
const (
	minIdempotencyKey = 16
	maxIdempotencyKey = 128
)

// ValidateIdempotencyKey says why s cannot be an Idempotency-Key, or "". If the
// same caller repeats a request with the same Idempotency-Key within 24 hours,
// it gets the same answer, including a token that is stored nowhere. So the
// Idempotency-Key is as secret as the token and must be hard to guess.
func ValidateIdempotencyKey(s string) string {
	if len(s) < minIdempotencyKey || len(s) > maxIdempotencyKey ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "must be 16 to 128 visible ASCII characters"
	}
	return ""
}
