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

// ImportRow is a key that was made elsewhere, as its table has it: the hash of
// its token, never the token. Its clients keep the token that they have.
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
	PlanID      PlanID
	Limits      []Limit
	AllowedIPs  []Network

	Unread string // why the row could not be read; this alone refuses it
}

// exportTime is a time as Django and databases write it: with a space, and with
// a zone in hours, in hours and minutes, or without one.
var exportTime = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}` +
	`([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?$`)

// ParseImportTime reads a time as exports write it: in RFC 3339, or with a
// space and perhaps without a zone, as Django and databases do. Without a zone
// it is UTC. Empty text and NULL are the zero time. Other text becomes a time
// that Validate refuses.
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

// Validate returns validation_failed, naming every field that is wrong.
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
		v.Add("/prefix", "must be the part of the token before the dot")
	}
	v.moment("/created_at", r.CreatedAt)
	environment := r.Environment
	if environment == "" {
		environment = Live
	}
	spec := KeySpec{
		Name:        r.Name,
		Environment: environment,
		Scopes:      r.Scopes,
		ExternalID:  r.ExternalID,
		Metadata:    r.Metadata,
		ExpiresAt:   r.ExpiresAt,
		PlanID:      r.PlanID,
		Limits:      r.Limits,
		AllowedIPs:  r.AllowedIPs,
	}
	v = append(v, FieldErrors(spec.Validate())...)
	return v.Err()
}

// FieldErrors returns the fields that err names, if it is about fields.
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

// ImportResult is the result of an import. Imported and Unchanged count the
// rows that were added now and those that were already there. Errors says why
// other rows were refused, with a JSON Pointer that starts with the row's
// number (/0/hash). It has the first thousand, and More counts the rest.
type ImportResult struct {
	Imported  int
	Unchanged int
	Errors    []FieldError
	More      int
}

// Complain adds errors about the row that the pointer names.
func (r *ImportResult) Complain(row string, errs ...FieldError) {
	for _, e := range errs {
		if len(r.Errors) == maxImportErrors {
			r.More++
			continue
		}
		r.Errors = append(r.Errors, FieldError{Pointer: row + e.Pointer, Detail: e.Detail})
	}
}

// ImportedKey is a key made elsewhere, with the data that identifies its token.
type ImportedKey struct {
	Key    Key
	Secret Secret
}
