package domain

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Name checks a name that people read: 1 to MaxNameLength characters, not blank.
func (v *Invalid) Name(pointer, s string) {
	if strings.TrimSpace(s) == "" {
		v.Add(pointer, "must not be empty")
		return
	}
	v.Text(pointer, s, 1, MaxNameLength)
}

// Text checks free text by its number of characters. NUL is refused, since no
// database column can hold it.
func (v *Invalid) Text(pointer, s string, shortest, longest int) {
	switch n := utf8.RuneCountInString(s); {
	case n < shortest || n > longest:
		v.Add(pointer, "must be %d to %d characters", shortest, longest)
	case !printable(s):
		v.Add(pointer, "must be valid UTF-8 without NUL")
	}
}

func printable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func pointer(field string, index int) string { return fmt.Sprintf("/%s/%d", field, index) }
