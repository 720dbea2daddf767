package domain

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Name checks a name that people read: 1 to MaxNameLength characters, and not
// only spaces.
func (v *Invalid) Name(pointer, s string) {
	if strings.TrimSpace(s) == "" {
		v.Add(pointer, "must not be empty")
		return
	}
	v.Text(pointer, s, 1, MaxNameLength)
}

// Text checks the length of a text of one line, in characters. It refuses
// control characters, line breaks and overrides of the writing direction: names
// are shown in terminals, email and tables and must change nothing around them.
func (v *Invalid) Text(pointer, s string, shortest, longest int) {
	switch n := utf8.RuneCountInString(s); {
	case n < shortest || n > longest:
		v.Add(pointer, "must be %d to %d characters", shortest, longest)
	case !utf8.ValidString(s):
		v.Add(pointer, "must be valid UTF-8")
	case strings.ContainsFunc(s, IsDisruptive):
		v.Add(pointer, "must not contain control characters, line breaks or direction overrides")
	}
}

// IsDisruptive reports whether a character changes the text around it: controls
// (Cc), line and paragraph separators, and the embeddings, overrides and
// isolates of the bidirectional algorithm (UAX #9).
func IsDisruptive(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// moment checks a time; the zero time means never. Other times must be in years
// that every database and every JSON parser can represent. An earlier or later
// year is a mistake, and rounding it must not turn it into never.
func (v *Invalid) moment(pointer string, t time.Time) {
	if !t.IsZero() && !storable(t) {
		v.Add(pointer, "must be a time (RFC 3339) of the years 1970 to 9999")
	}
}

// findable checks a search text. Text that no row can contain is a mistake, and
// databases fail on it.
func (v *Invalid) findable(parameter, s string) {
	if !printable(s) {
		v.Add(parameter, "must be valid UTF-8 without NUL")
	}
}

func printable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func pointer(field string, index int) string { return fmt.Sprintf("/%s/%d", field, index) }
