package main

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// visible makes a text that other people chose, such as a name, safe for a
// terminal. Control characters, which control the terminal, line breaks, which
// forge lines, and characters that are invisible or change the direction of
// writing become escapes such as \u001b.
func visible(text string) string {
	if strings.IndexFunc(text, hidden) < 0 && utf8.ValidString(text) {
		return text
	}
	var s strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&s, `\x%02x`, text[i])
		case hidden(r) && r > 0xffff:
			fmt.Fprintf(&s, `\U%08x`, r)
		case hidden(r):
			fmt.Fprintf(&s, `\u%04x`, r)
		default:
			s.WriteRune(r)
		}
	}
	return s.String()
}

// visibleJSON is like visible, for JSON. JSON itself escapes only what is below
// U+0020. The text stays JSON and means the same, because such characters can only
// be within strings.
func visibleJSON(text []byte) string {
	var s strings.Builder
	for _, r := range string(text) {
		switch {
		case r == '\n' || !hidden(r):
			s.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&s, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&s, `\u%04x`, r)
		}
	}
	return s.String()
}

// hidden reports whether r controls a terminal or is invisible: a control
// character, a format character (these include the ones that change direction), a
// line or paragraph separator, or a character for private use.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// visibleLines is like visible, for this program's texts that contain text of
// other people, such as errors. It keeps line breaks and indents the lines that
// follow, so that they cannot look like separate messages of the program.
func visibleLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\t", "  "), "\n") // drivers set lines in by tabs
	for i, line := range lines {
		if lines[i] = visible(line); i > 0 && !strings.HasPrefix(line, " ") {
			lines[i] = "  " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

var (
	password   = regexp.MustCompile(`:[^/:?\s"'][^/?\s"']*@`) // user:password@host
	address    = regexp.MustCompile(`://[^\s"']*@`)           // the same with any password
	goText     = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)      // by %q
	secretPart = regexp.MustCompile(`([a-z][a-z0-9]{1,15}_(?:live|test)_[0-9A-Za-z]{12}_)[0-9A-Za-z]+`)
)

// withoutSecrets takes out of an error what may be a secret in a value that the
// error repeats: the password of an address, the secret part of a token. What a
// program prints is kept in logs.
func withoutSecrets(text string) string {
	hide := func(instead string) func(string) string {
		return func(found string) string {
			if strings.HasSuffix(strings.ToLower(found), ":password@") { // an example of the error's own
				return found
			}
			return instead
		}
	}
	text = address.ReplaceAllStringFunc(text, hide("://…@"))
	text = password.ReplaceAllStringFunc(text, hide(":…@"))
	return secretPart.ReplaceAllString(text, "$1…")
}

// withoutAddresses is like withoutSecrets, for settings: it takes out every quoted
// value that may be an address with a password, since one may be in the wrong
// setting, and then its form says nothing about where the password ends.
func withoutAddresses(text string) string {
	return withoutSecrets(goText.ReplaceAllStringFunc(text, func(value string) string {
		if strings.Contains(value, "@") || strings.Contains(value, "://") {
			return "(not shown, because it may hold a password)"
		}
		return value
	}))
}

// say prints a message on standard error. Its args may come from other people.
func say(cmd *cobra.Command, format string, args ...any) {
	for i, arg := range args {
		switch arg.(type) {
		case int, int64, float64:
		default:
			args[i] = visible(fmt.Sprint(arg))
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}
