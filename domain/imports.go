package domain

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What keys made elsewhere are hashed with. All hash the whole token.
const (
	// DjangoSHA512 is djangorestframework-api-key 3: sha512$$<hex>.
	DjangoSHA512 Algorithm = "django-sha512"
	// DjangoPBKDF2SHA256 is djangorestframework-api-key 1 and 2, which use
	// Django's own hasher: pbkdf2_sha256$<iterations>$<salt>$<base64>.
	DjangoPBKDF2SHA256 Algorithm = "django-pbkdf2-sha256"
	// SHA256Hex and SHA256Base64URL are a bare SHA-256 digest.
	SHA256Hex       Algorithm = "sha256-hex"
	SHA256Base64URL Algorithm = "sha256-base64url"
)

// ImportAlgorithms are those that an imported key may come with.
var ImportAlgorithms = []Algorithm{DjangoSHA512, DjangoPBKDF2SHA256, SHA256Hex, SHA256Base64URL}

// Limits on imported keys.
const (
	// MaxIterations bounds what one verification of a PBKDF2 hash may cost. It is
	// above what any version of Django has used.
	MaxIterations       = 2_000_000
	maxImportPrefix     = 64  // characters
	maxImportSalt       = 128 // characters
	maxImportHashLength = 512 // characters
)

// ImportRow is a key that was made elsewhere, as its table held it: the hash of
// its token and never the token. Its clients go on sending the token they have.
type ImportRow struct {
	Name        string
	Algorithm   Algorithm
	Hash        Hidden
	Prefix      string // what the token shows before its dot; Django's algorithms need it
	Environment Environment
	Scopes      []Scope
	ExternalID  string
	Metadata    map[string]string
	CreatedAt   time.Time // zero: now
	ExpiresAt   time.Time
	Revoked     bool

	Unread string // why the row could not be read; it is then refused for that alone
}

// ForeignHash is a hash in one form, so that equal hashes compare equal.
type ForeignHash struct {
	Algorithm  Algorithm
	Parameters string // of PBKDF2: <iterations>$<salt>
	Digest     Digest
}

// ParseHash reads the hash that the row came with, and says why it cannot be
// used, or "".
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
	case DjangoPBKDF2SHA256:
		parts := strings.Split(hash, "$")
		if len(parts) != 4 || parts[0] != "pbkdf2_sha256" {
			return h, "must be pbkdf2_sha256$<iterations>$<salt>$<base64>"
		}
		n, err := strconv.Atoi(parts[1])
		if err != nil || n < 1 || n > MaxIterations {
			return h, "must have 1 to " + strconv.Itoa(MaxIterations) + " iterations"
		}
		if parts[2] == "" || len(parts[2]) > maxImportSalt || !visible(parts[2]) {
			return h, "must have a salt of 1 to " + strconv.Itoa(maxImportSalt) + " visible ASCII characters"
		}
		if h.Digest, err = base64.StdEncoding.Strict().DecodeString(parts[3]); err != nil || len(h.Digest) != 32 {
			return h, "must end in 32 bytes of base64"
		}
		h.Parameters = strconv.Itoa(n) + "$" + parts[2]
	case SHA256Hex:
		if h.Digest, err = hex.DecodeString(hash); err != nil || len(h.Digest) != 32 {
			return h, "must be 64 hexadecimal digits"
		}
	case SHA256Base64URL:
		if h.Digest, err = base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(hash, "=")); err != nil || len(h.Digest) != 32 {
			return h, "must be 32 bytes of URL-safe base64"
		}
	}
	return h, ""
}

// AlgorithmOf tells Django's algorithms by how their hashes begin; "" for others.
func AlgorithmOf(hash string) Algorithm {
	switch {
	case strings.HasPrefix(hash, "sha512$$"):
		return DjangoSHA512
	case strings.HasPrefix(hash, "pbkdf2_sha256$"):
		return DjangoPBKDF2SHA256
	}
	return ""
}

// exportTime is a time as Django and databases write it: with a space, and with
// a zone of hours, hours and minutes, or none.
var exportTime = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?$`)

// ParseImportTime reads a time as exports write it: RFC 3339, or as Django and
// databases do, with a space and perhaps without a zone, which is then UTC. What
// is empty is the zero time; what is none becomes one that Validate refuses.
func ParseImportTime(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	if t, ok := ParseTime(s); ok {
		return t
	}
	refused := time.Time{}.Add(1)
	if !exportTime.MatchString(s) {
		return refused
	}
	for _, zone := range []string{"Z07:00", "Z0700", "Z07", ""} {
		for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", time.DateOnly} {
			if t, err := time.Parse(layout+zone, s); err == nil && storable(t) {
				return t.UTC()
			}
		}
	}
	return refused
}

// Validate returns validation_failed naming every field that is wrong.
func (r ImportRow) Validate() error {
	var v Invalid
	if r.Unread != "" {
		v.Add("", "%s", r.Unread)
		return v.Err()
	}
	known := false
	for _, a := range ImportAlgorithms {
		known = known || a == r.Algorithm
	}
	if !known {
		v.Add("/algorithm", "must be one of: django-sha512, django-pbkdf2-sha256, sha256-hex, sha256-base64url")
	} else if _, why := r.ParseHash(); why != "" {
		v.Add("/hash", "%s", why)
	}
	django := r.Algorithm == DjangoSHA512 || r.Algorithm == DjangoPBKDF2SHA256
	switch {
	case django && r.Prefix == "":
		v.Add("/prefix", "is required for Django's algorithms: their tokens are found by it")
	case len(r.Prefix) > maxImportPrefix || !visible(r.Prefix):
		v.Add("/prefix", "must be at most %d visible ASCII characters", maxImportPrefix)
	case django && strings.Contains(r.Prefix, "."):
		v.Add("/prefix", "must be what stands before the dot in the token")
	}
	v.moment("/created_at", r.CreatedAt)
	environment := r.Environment
	if environment == "" {
		environment = Live
	}
	spec := KeySpec{
		Name: r.Name, Environment: environment, Scopes: r.Scopes, ExternalID: r.ExternalID, Metadata: r.Metadata, ExpiresAt: r.ExpiresAt,
	}
	v = append(v, FieldErrors(spec.Validate())...)
	return v.Err()
}

// FieldErrors returns which fields err complains of, if it is about fields.
func FieldErrors(err error) []FieldError {
	if e, ok := err.(*Error); ok { //nolint:errorlint // it comes from Err, unwrapped
		return e.Fields
	}
	return nil
}

func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Limits on one call that imports keys.
const (
	MaxImportRows     = 10_000
	MaxImportRowBytes = 64 * 1024 // of JSON, which is more than any good row has
	maxImportErrors   = 1000
)

// ImportResult is what became of imported rows: Imported and Unchanged count
// those taken now and those that were here already, Errors say by a JSON Pointer
// that starts with the row's number (/0/hash) why others were not taken: the
// first thousand, and how many More there are.
type ImportResult struct {
	Imported  int
	Unchanged int
	Errors    []FieldError
	More      int
}

// Complain adds errors about the row that a pointer names.
func (r *ImportResult) Complain(row string, errs ...FieldError) {
	for _, e := range errs {
		if len(r.Errors) == maxImportErrors {
			r.More++
			continue
		}
		r.Errors = append(r.Errors, FieldError{Pointer: row + e.Pointer, Detail: e.Detail})
	}
}

// ImportedKey is a key made elsewhere together with what recognises its token.
type ImportedKey struct {
	Key    Key
	Secret Secret
}
