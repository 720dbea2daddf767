package domain

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unsafe"
)

// Environment separates keys for production from keys for tests. It is part of
// every token, so that people see which one they have.
type Environment string

// The two environments.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// Valid reports whether e is one of the environments.
func (e Environment) Valid() bool { return e == Live || e == Test }

// The parts of a token, in base62 characters.
const (
	tokenIDLength = 12
	secretLength  = 43 // 43 × log2(62) = 256 bits; in a tagged token the first 33 are random, which is 196 bits
	tagLength     = 10 // the last of the secret's characters
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
// can compute it.
//
// The last 10 characters of the secret are the tag of the instance that made the
// token, so that an instance needs no look-up to refuse what it never made.
// Tokens made by 0.1 have random characters there.
//
// A Token prints as its public part at most. It keeps its text as a pointer to
// the first byte, because fmt calls no methods of values in another struct's
// unexported field: there it would print a string, but it prints a pointer as
// an address. The zero value is no token.
type Token struct {
	_      [0]func() // not comparable: equal tokens may lie at different addresses
	start  *byte
	length uint8
	shown  uint8 // how much of it Prefix gives
}

// Tagger returns a code over the start of a token that only one instance can
// compute. It is the source of the tag.
type Tagger func(start string) [32]byte

// NewToken returns a token without a tag, as 0.1 makes them. Its id and its
// secret are drawn from random, which is crypto/rand except for derived tokens:
// equal streams give equal tokens. It reads blocks of 128 bytes, rarely more
// than one. It fails when random fails, or when the prefix or the environment
// cannot be part of a token.
func NewToken(prefix string, env Environment, random io.Reader) (Token, error) {
	return newToken(prefix, env, random, nil)
}

// NewTaggedToken is like NewToken, but adds a tag over everything before it.
func NewTaggedToken(prefix string, env Environment, random io.Reader, tag Tagger) (Token, error) {
	return newToken(prefix, env, random, tag)
}

func newToken(prefix string, env Environment, random io.Reader, tag Tagger) (Token, error) {
	length := tokenIDLength + secretLength
	if tag != nil {
		length -= tagLength
	}
	drawn := make([]byte, 0, length)
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
	if tag != nil {
		text := tagOf(tag, body)
		body += string(text[:])
	}
	sum := check(body)
	return ParseToken(body + string(sum[:]))
}

// RandomToken returns a token drawn from crypto/rand.
func RandomToken(prefix string, env Environment) (Token, error) {
	return NewToken(prefix, env, rand.Reader)
}

// NewTokenID returns an id for a secret whose token was made elsewhere and has
// no id.
func NewTokenID() TokenID {
	id := make([]byte, 0, tokenIDLength)
	var buf [4 * tokenIDLength]byte
	for len(id) < tokenIDLength {
		rand.Read(buf[:]) // never fails
		for _, b := range buf {
			if b < 248 && len(id) < tokenIDLength { // as in NewToken
				id = append(id, base62[b%62])
			}
		}
	}
	return TokenID(id)
}

// ParseToken reads a token. It returns invalid_api_key for text that does not
// have the exact form or fails the check; letter case is significant. Reading a
// valid token allocates nothing.
func ParseToken(s string) (Token, error) {
	prefix, rest, _ := strings.Cut(s, "_")
	env, rest, _ := strings.Cut(rest, "_")
	id, rest, _ := strings.Cut(rest, "_")
	if !isKeyPrefix(prefix) || !Environment(env).Valid() ||
		len(id) != tokenIDLength || len(rest) != secretLength+checkLength || !isBase62(id) || !isBase62(rest) {
		return Token{}, invalidToken()
	}
	body := s[:len(s)-checkLength]
	if sum := check(body); s[len(body):] != string(sum[:]) {
		return Token{}, invalidToken()
	}
	return Token{start: unsafe.StringData(s), length: uint8(len(s)), shown: uint8(len(body) - secretLength - 1)}, nil
}

// PublicPart returns the part of a token that may be shown again, also for one
// that was cut off within its secret. Any other text is returned unchanged.
func PublicPart(s string) string {
	parts := strings.SplitN(s, "_", 4)
	if len(parts) < 4 || !isKeyPrefix(parts[0]) || !Environment(parts[1]).Valid() || len(parts[2]) != tokenIDLength || !isBase62(parts[2]) {
		return s
	}
	return strings.Join(parts[:3], "_")
}

// TokenIDOf returns the id in a public part of a token, or what is in its place.
func TokenIDOf(public string) TokenID { return TokenID(public[strings.LastIndexByte(public, '_')+1:]) }

func invalidToken() error { return Refused(CodeInvalidAPIKey, "The API key is not valid.") }

func isBase62(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}

// check is the CRC-32 (IEEE) of s in base62, left-padded with zeros.
func check(s string) (out [checkLength]byte) {
	sum := crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(s), len(s))) // only read, so not copied
	for i := range slices.Backward(out[:]) {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return out
}

// tagOf returns the first 64 bits of a code in base62, without the highest of 11
// characters.
func tagOf(tag Tagger, start string) (out [tagLength]byte) {
	code := tag(start)
	number := binary.BigEndian.Uint64(code[:])
	for i := range slices.Backward(out[:]) {
		out[i] = base62[number%62]
		number /= 62
	}
	return out
}

// TaggedBy reports whether the tagger's instance made the token. It is also
// true if another instance made it and its random characters happen to match,
// which is as likely as guessing 59 bits. It proves nothing else: only the
// digest proves a token.
func (t Token) TaggedBy(tag Tagger) bool {
	text := t.Reveal()
	start, got := text[:len(text)-checkLength-tagLength], text[len(text)-checkLength-tagLength:len(text)-checkLength]
	want, have := tagOf(tag, start), [tagLength]byte([]byte(got))
	return subtle.ConstantTimeCompare(want[:], have[:]) == 1
}

// ID returns the token's public id.
func (t Token) ID() TokenID {
	p := t.Prefix()
	return TokenID(p[max(0, len(p)-tokenIDLength):])
}

// Prefix returns the part that may be shown again: lk_live_<id>.
func (t Token) Prefix() string { return t.Reveal()[:t.shown] }

// Environment returns the environment that the token names.
func (t Token) Environment() Environment {
	_, rest, _ := strings.Cut(t.Prefix(), "_")
	env, _, _ := strings.Cut(rest, "_")
	return Environment(env)
}

// Reveal returns the whole token, including the secret. It is called only where
// a token is handed to its owner and where its digest is computed.
func (t Token) Reveal() string { return unsafe.String(t.start, t.length) }

// IsZero reports whether t is no token.
func (t Token) IsZero() bool { return t.start == nil }

// String returns the public part, so that a token that reaches a log or an
// error message by mistake does not give its secret away.
func (t Token) String() string { return t.Prefix() + "_…" }

// Format implements fmt.Formatter: a token prints as String with every verb.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText implements encoding.TextMarshaler: a token encodes as String, so
// that no encoder gives its secret away.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// isKeyPrefix reports whether s has the form of a token's first part.
func isKeyPrefix(s string) bool {
	if len(s) < 2 || len(s) > 16 || s[0] < 'a' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}

// vendorPrefixes belong to other vendors. Their secret scanners, or those of
// code hosts, would report Latchkey's tokens as theirs: payments, code hosts
// and registries, clouds and secret stores, chat, models, tools.
var vendorPrefixes = []string{
	"sk", "rk", "pk", "whsec", "rzp", "shippo", "duffel", "flwseck", "flwpubk", "shpat", "shpca", "shppa", "shpss",
	"ghp", "gho", "ghu", "ghs", "ghr", "github", "glpat", "gldt", "glrt", "glft", "glptt", "glcbt", "glimt", "glagent", "glsoat", "gloas",
	"glffct",
	"npm", "pypi", "rubygems", "oy2", "dckr", "bkua", "sqp", "squ", "sqa", "sgp",
	"akia", "asia", "aiza", "ya29", "dop", "doo", "dor", "hvs", "hvb", "hvr", "atlasv1", "pul", "tskey", "nfp", "sbp", "rnd", "dapi", "ops",
	"xoxa", "xoxb", "xoxe", "xoxo", "xoxp", "xoxr", "xoxs", "xapp",
	"hf", "gsk", "r8", "xai", "pplx", "nvapi", "lsv2", "pcsk",
	"figd", "lin", "ntn", "sntrys", "sntryu", "re", "tfp", "glsa", "glc", "phc", "phx", "rdme", "eyj",
}

// ServiceTokenPrefix is reserved for tokens of Latchkey's own services.
const ServiceTokenPrefix = "lks"

// ValidateKeyPrefix says why prefix cannot start a project's tokens, or "".
func ValidateKeyPrefix(prefix string) string {
	switch {
	case !isKeyPrefix(prefix):
		return "must be 2 to 16 characters: a lower-case letter, then lower-case letters and digits"
	case prefix == ServiceTokenPrefix:
		return "is reserved for tokens of Latchkey itself; choose another"
	case slices.Contains(vendorPrefixes, prefix):
		return "is used by another vendor, whose secret scanner would claim your keys; choose another"
	}
	return ""
}
