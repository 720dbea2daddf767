package domain

import (
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Environment separates keys for production from keys for trying things out.
// It is part of every token, so that a person sees which one they hold.
type Environment string

// The two environments.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// The parts of a token, in base62 characters.
const (
	tokenIDLength = 12
	secretLength  = 43 // 43 × log2(62) = 256 bits
	checkLength   = 6
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// TokenID is the public part of a token that names one secret of one key. It
// may be indexed, logged and shown.
type TokenID string

// Token is the full string that a client sends:
//
//	<prefix>_<live|test>_<id>_<secret><check>
//
// with an id of 12 and a secret of 43 base62 characters and the CRC-32 of
// everything before it in 6 more. The check refuses typing mistakes without a
// look-up and lets secret scanners be exact; it protects nothing, since anyone
// can compute it. String and the fmt verbs give the public part only.
type Token struct {
	text    string
	idStart int
}

var tokenPattern = regexp.MustCompile(`^[a-z][a-z0-9]{1,15}_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`)

// NewToken returns a token whose id and secret are drawn from random, which is
// crypto/rand outside of key derivation. It fails only when random does.
func NewToken(prefix string, env Environment, random io.Reader) (Token, error) {
	drawn := make([]byte, 0, tokenIDLength+secretLength)
	buf := make([]byte, 128)
	for len(drawn) < cap(drawn) {
		if _, err := io.ReadFull(random, buf); err != nil {
			return Token{}, fmt.Errorf("draw a token: %w", err)
		}
		for _, b := range buf {
			// Rejection keeps every character equally likely: 248 = 4 × 62.
			if b < 248 && len(drawn) < cap(drawn) {
				drawn = append(drawn, base62[b%62])
			}
		}
	}
	body := prefix + "_" + string(env) + "_" + string(drawn[:tokenIDLength]) + "_" + string(drawn[tokenIDLength:])
	return ParseToken(body + check(body))
}

// RandomToken returns a token drawn from crypto/rand.
func RandomToken(prefix string, env Environment) (Token, error) {
	return NewToken(prefix, env, rand.Reader)
}

// ParseToken reads a token. It refuses, with invalid_api_key, whatever does not
// have the exact form or fails the check; letter case is significant.
func ParseToken(s string) (Token, error) {
	if !tokenPattern.MatchString(s) || check(s[:len(s)-checkLength]) != s[len(s)-checkLength:] {
		return Token{}, Refused(CodeInvalidAPIKey, "The API key is not valid.")
	}
	return Token{text: s, idStart: len(s) - checkLength - secretLength - 1 - tokenIDLength}, nil
}

// check is the CRC-32 (IEEE) of s in base62, left-padded with zeros.
func check(s string) string {
	var out [checkLength]byte
	sum := crc32.ChecksumIEEE([]byte(s))
	for i := range slices.Backward(out[:]) {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// ID returns the token's public id.
func (t Token) ID() TokenID { return TokenID(t.text[t.idStart : t.idStart+tokenIDLength]) }

// Prefix returns the part that may be shown again: lk_live_<id>.
func (t Token) Prefix() string { return t.text[:t.idStart+tokenIDLength] }

// Environment returns the environment that the token names.
func (t Token) Environment() Environment {
	return Environment(t.text[t.idStart-5 : t.idStart-1])
}

// Reveal returns the whole token, secret included. It is called where a token
// is handed to its owner and where its digest is computed, and nowhere else.
func (t Token) Reveal() string { return t.text }

// String returns the public part, so that a token that reaches a log or an
// error message by mistake does not give its secret away.
func (t Token) String() string { return t.Prefix() + "_…" }

// GoString is String: %#v must not print the secret either.
func (t Token) GoString() string { return t.String() }

// keyPrefixPattern is what a project may choose as the first part of its tokens.
var keyPrefixPattern = regexp.MustCompile(`^[a-z][a-z0-9]{1,15}$`)

// vendorPrefixes belong to other vendors' secret scanners, which would report
// our tokens as theirs.
var vendorPrefixes = []string{
	"sk", "rk", "pk", "whsec", "ghp", "gho", "ghu", "ghs", "ghr", "glpat", "gldt", "glrt", "npm", "pypi", "hvs", "hvb",
	"hvr", "xoxa", "xoxb", "xoxe", "xoxp", "xoxr", "xoxs", "xapp", "shpat", "shpca", "shppa", "shpss", "dckr", "dop", "doo", "dor",
	"figd", "lin", "sntrys", "sntryu", "sqp", "squ", "akia", "asia", "aiza", "ya29", "hf", "gsk", "re", "tfp", "eyj", "rubygems",
}

// ValidateKeyPrefix says why prefix cannot start a project's tokens, or "".
func ValidateKeyPrefix(prefix string) string {
	switch {
	case !keyPrefixPattern.MatchString(prefix):
		return "must be 2 to 16 characters: a lower-case letter, then lower-case letters and digits"
	case slices.Contains(vendorPrefixes, strings.ToLower(prefix)):
		return "is used by another vendor, whose secret scanner would claim your keys; choose another"
	}
	return ""
}
