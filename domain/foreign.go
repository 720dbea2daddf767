package domain

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// The hash algorithms of keys made elsewhere. Each hashes the whole token.
const (
	// DjangoSHA512 is djangorestframework-api-key 3: sha512$$<hex>.
	DjangoSHA512 Algorithm = "django-sha512"
	// DjangoPBKDF2SHA256 is djangorestframework-api-key 1 and 2, which use
	// Django's own hasher: pbkdf2_sha256$<iterations>$<salt>$<base64>.
	DjangoPBKDF2SHA256 Algorithm = "django-pbkdf2-sha256"
	// SHA256Hex and SHA256Base64URL are a bare SHA-256 digest.
	SHA256Hex       Algorithm = "sha256-hex"
	SHA256Base64URL Algorithm = "sha256-base64url"
	// The other hashers that a Django project may choose:
	// argon2$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<base64>,
	// bcrypt_sha256$$2b$<cost>$<salt and hash>, scrypt$<n>$<salt>$<r>$<p>$<base64>.
	DjangoArgon2       Algorithm = "django-argon2"
	DjangoBcryptSHA256 Algorithm = "django-bcrypt-sha256"
	DjangoScrypt       Algorithm = "django-scrypt"
)

// ImportAlgorithms are the algorithms that an imported key may use.
var ImportAlgorithms = []Algorithm{
	DjangoSHA512, DjangoPBKDF2SHA256, SHA256Hex, SHA256Base64URL, DjangoArgon2, DjangoBcryptSHA256, DjangoScrypt,
}

// Django reports whether tokens with this hash are found by their prefix.
func (a Algorithm) Django() bool { return strings.HasPrefix(string(a), "django-") }

// Slow reports whether the hash takes time by design. Such a hash is computed
// only when no other secret matches a token.
func (a Algorithm) Slow() bool { return a.Django() && a != DjangoSHA512 }

// Limits on imported hashes. They bound the cost of one verification.
const (
	// MaxIterations bounds a PBKDF2 hash that is imported.
	MaxIterations = 1_000_000
	// maxStoredIterations bounds a hash that is in the database. 0.1 accepted this
	// many.
	maxStoredIterations = 2_000_000

	maxHashMemory       = 128 << 10 // KiB, of argon2 and scrypt
	maxArgon2Work       = 1 << 20   // KiB times passes
	maxScryptWork       = 1 << 20   // n times r times p
	maxLanes            = 64
	maxBcryptCost       = 13
	maxImportSalt       = 128 // characters
	maxImportHashLength = 512 // characters
)

// ForeignHash is a hash in one form, so that equal hashes compare equal.
type ForeignHash struct {
	Algorithm  Algorithm
	Parameters string // the input of the hash besides the token; without the digest
	Digest     Digest
}

// ParseHash reads the hash of the row. It returns why the hash cannot be used,
// or "".
func (r ImportRow) ParseHash() (h ForeignHash, why string) {
	h.Algorithm = r.Algorithm
	hash := r.Hash.Reveal()
	if len(hash) > maxImportHashLength {
		return h, "is longer than any hash of a supported kind"
	}
	var err error
	switch r.Algorithm {
	case DjangoSHA512:
		digits, ok := strings.CutPrefix(hash, "sha512$$")
		if h.Digest, err = hex.DecodeString(digits); err != nil || !ok || len(h.Digest) != 64 {
			return h, "must be sha512$$ and 128 hexadecimal digits"
		}
	case SHA256Hex:
		if h.Digest, err = hex.DecodeString(hash); err != nil || len(h.Digest) != 32 {
			return h, "must be 64 hexadecimal digits"
		}
	case SHA256Base64URL:
		if h.Digest, err = base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(hash, "=")); err != nil || len(h.Digest) != 32 {
			return h, "must be 32 bytes of URL-safe base64"
		}
	case DjangoPBKDF2SHA256:
		return parsePBKDF2(hash)
	case DjangoArgon2:
		return parseArgon2(hash)
	case DjangoBcryptSHA256:
		return parseBcrypt(hash)
	case DjangoScrypt:
		return parseScrypt(hash)
	}
	return h, ""
}

func parsePBKDF2(hash string) (h ForeignHash, why string) {
	h.Algorithm = DjangoPBKDF2SHA256
	parts := strings.Split(hash, "$")
	if len(parts) != 4 || parts[0] != "pbkdf2_sha256" {
		return h, "must be pbkdf2_sha256$<iterations>$<salt>$<base64>"
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 1 || n > MaxIterations {
		return h, "must have 1 to " + strconv.Itoa(MaxIterations) + " iterations"
	}
	if !isSalt(parts[2]) {
		return h, saltRule
	}
	if h.Digest, err = base64.StdEncoding.Strict().DecodeString(parts[3]); err != nil || len(h.Digest) != 32 {
		return h, "must end in 32 bytes of base64"
	}
	h.Parameters = strconv.Itoa(n) + "$" + parts[2]
	return h, ""
}

// Argon2Parameters are those of a django-argon2 hash.
type Argon2Parameters struct {
	ID             bool // argon2id, else argon2i
	Memory, Passes uint32
	Lanes          uint8
	Salt           string // decoded
	Length         uint32
}

func parseArgon2(hash string) (h ForeignHash, why string) {
	h.Algorithm = DjangoArgon2
	parameters, ok := strings.CutPrefix(hash, "argon2$")
	cut := strings.LastIndexByte(parameters, '$')
	if !ok || cut < 0 {
		return h, "must be argon2$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<base64>"
	}
	var err error
	if h.Digest, err = base64.RawStdEncoding.Strict().DecodeString(parameters[cut+1:]); err != nil {
		return h, "must end in 16 to 64 bytes of base64"
	}
	h.Parameters = parameters[:cut] + "$" + strconv.Itoa(len(h.Digest))
	if _, err := h.Argon2(); err != nil {
		return h, err.Error()
	}
	return h, ""
}

// Argon2 reads the parameters of a django-argon2 hash. The error says which one
// is wrong or costs too much.
func (h ForeignHash) Argon2() (p Argon2Parameters, err error) {
	parts := strings.Split(h.Parameters, "$")
	if len(parts) != 5 || parts[0] != "argon2id" && parts[0] != "argon2i" || parts[1] != "v=19" {
		return p, errors.New("must be argon2id or argon2i, version 19")
	}
	var m, t, lanes int
	if n, err := fmt.Sscanf(parts[2], "m=%d,t=%d,p=%d", &m, &t, &lanes); err != nil || n != 3 ||
		parts[2] != fmt.Sprintf("m=%d,t=%d,p=%d", m, t, lanes) {
		return p, errors.New("must have m=<KiB>,t=<passes>,p=<lanes>")
	}
	if lanes < 1 || lanes > maxLanes || m < 8*lanes || m > maxHashMemory || t < 1 || t > maxArgon2Work/m {
		return p, fmt.Errorf("must need at most %d MiB of memory, and %d times that in all its passes", maxHashMemory>>10,
			maxArgon2Work/maxHashMemory)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[3])
	if err != nil || len(salt) < 8 || len(salt) > maxImportSalt {
		return p, fmt.Errorf("must have a salt of 8 to %d bytes of base64", maxImportSalt)
	}
	length, ok := number(parts[4], 16, 64)
	if !ok {
		return p, errors.New("must end in 16 to 64 bytes of base64")
	}
	//nolint:gosec // each number has been held to its bound
	return Argon2Parameters{
		ID:     parts[0] == "argon2id",
		Memory: uint32(m),
		Passes: uint32(t),
		Lanes:  uint8(lanes),
		Salt:   string(salt),
		Length: uint32(length),
	}, nil
}

func parseBcrypt(hash string) (h ForeignHash, why string) {
	h.Algorithm = DjangoBcryptSHA256
	text, ok := strings.CutPrefix(hash, "bcrypt_sha256$$")
	const salt, digest = 22, 31 // characters of bcrypt's own base64
	if !ok || len(text) != len("2b$12$")+salt+digest {
		return h, "must be bcrypt_sha256$$2b$<cost>$<salt and hash>"
	}
	h.Parameters, h.Digest = text[:len(text)-digest], Digest(text[len(text)-digest:])
	if _, _, err := h.Bcrypt(); err != nil {
		return h, err.Error()
	}
	if strings.Trim(text[len("2b$12$"):], bcryptBase64) != "" {
		return h, "must end in the salt and hash of bcrypt"
	}
	return h, ""
}

const bcryptBase64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Bcrypt reads the parameters of a django-bcrypt-sha256 hash: its cost and its
// salt, in bcrypt's base64. The error says which one is wrong or costs too
// much.
func (h ForeignHash) Bcrypt() (cost int, salt string, err error) {
	parts := strings.Split(h.Parameters, "$")
	if len(parts) != 3 || parts[0] != "2b" && parts[0] != "2a" || len(parts[1]) != 2 || len(parts[2]) != 22 {
		return 0, "", errors.New("must be bcrypt, version 2a or 2b")
	}
	cost, ok := number(strings.TrimPrefix(parts[1], "0"), 4, maxBcryptCost)
	if !ok {
		return 0, "", fmt.Errorf("must have a cost of 4 to %d", maxBcryptCost)
	}
	return cost, parts[2], nil
}

// ScryptParameters are those of a django-scrypt hash.
type ScryptParameters struct {
	N, R, P int
	Salt    string
}

func parseScrypt(hash string) (h ForeignHash, why string) {
	h.Algorithm = DjangoScrypt
	parameters, ok := strings.CutPrefix(hash, "scrypt$")
	cut := strings.LastIndexByte(parameters, '$')
	if !ok || cut < 0 {
		return h, "must be scrypt$<n>$<salt>$<r>$<p>$<base64>"
	}
	var err error
	if h.Digest, err = base64.StdEncoding.Strict().DecodeString(parameters[cut+1:]); err != nil || len(h.Digest) != 64 {
		return h, "must end in 64 bytes of base64"
	}
	h.Parameters = parameters[:cut]
	if _, err := h.Scrypt(); err != nil {
		return h, err.Error()
	}
	return h, ""
}

// Scrypt reads the parameters of a django-scrypt hash. The error says which one
// is wrong or costs too much.
func (h ForeignHash) Scrypt() (p ScryptParameters, err error) {
	parts := strings.Split(h.Parameters, "$")
	if len(parts) != 4 {
		return p, errors.New("must be scrypt$<n>$<salt>$<r>$<p>$<base64>")
	}
	if !isSalt(parts[1]) {
		return p, errors.New(saltRule)
	}
	n, okN := number(parts[0], 2, maxScryptWork)
	r, okR := number(parts[2], 1, maxScryptWork)
	lanes, okP := number(parts[3], 1, maxLanes)
	if !okN || !okR || !okP || bits.OnesCount(uint(n)) != 1 || n*r > maxHashMemory*8 || n*r > maxScryptWork/lanes {
		return p, fmt.Errorf("must have a power of two as n, need at most %d MiB of memory, and n times r times p be at most %d",
			maxHashMemory>>10, maxScryptWork)
	}
	return ScryptParameters{N: n, R: r, P: lanes, Salt: parts[1]}, nil
}

// PBKDF2 reads the parameters of a django-pbkdf2-sha256 hash. It fails if no
// key could have been imported with them.
func (h ForeignHash) PBKDF2() (iterations int, salt string, err error) {
	text, salt, _ := strings.Cut(h.Parameters, "$")
	n, ok := number(text, 1, maxStoredIterations)
	if !ok || !isSalt(salt) {
		return 0, "", fmt.Errorf("must have 1 to %d iterations and a salt", maxStoredIterations)
	}
	return n, salt, nil
}

// number reads a number that can be written in only one way.
func number(s string, least, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= least && n <= most && s == strconv.Itoa(n)
}

var saltRule = "must have a salt of 1 to " + strconv.Itoa(maxImportSalt) + " visible ASCII characters"

func isSalt(s string) bool { return s != "" && len(s) <= maxImportSalt && visible(s) }

// AlgorithmOf returns the Django algorithm that a hash begins with, or "" for
// others.
func AlgorithmOf(hash string) Algorithm {
	for _, known := range []struct {
		start     string
		algorithm Algorithm
	}{
		{"sha512$$", DjangoSHA512},
		{"pbkdf2_sha256$", DjangoPBKDF2SHA256},
		{"argon2$", DjangoArgon2},
		{"bcrypt_sha256$", DjangoBcryptSHA256},
		{"scrypt$", DjangoScrypt},
	} {
		if strings.HasPrefix(hash, known.start) {
			return known.algorithm
		}
	}
	return ""
}
