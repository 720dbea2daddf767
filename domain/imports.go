package domain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxImportPrefix is in characters.
const maxImportPrefix = 64

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

// exportTime is a time as Django and databases write it: with a space, and with
// a zone of hours, hours and minutes, or none.
var exportTime = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?$`)

// ParseImportTime reads a time as exports write it: RFC 3339, or as Django and
// databases do, with a space and perhaps without a zone, which is then UTC. What
// is empty or NULL is the zero time; what is none becomes one that Validate refuses.
func ParseImportTime(s string) time.Time {
	if s == "" || strings.EqualFold(s, "NULL") || s == `\N` {
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
	if !slices.Contains(ImportAlgorithms, r.Algorithm) {
		v.Add("/algorithm", "must be one of: %s", strings.Trim(fmt.Sprint(ImportAlgorithms), "[]"))
	} else if _, why := r.ParseHash(); why != "" {
		v.Add("/hash", "%s", why)
	}
	django := r.Algorithm.Django()
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
