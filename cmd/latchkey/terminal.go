package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// visible is what may be shown on a terminal of a text that others chose, such
// as a name: control characters, which drive the terminal, line breaks, which
// forge lines, and characters that turn the direction of writing or cannot be
// seen become escapes such as \u001b. JSON is exact instead: it has escapes of
// its own.
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

// hidden reports whether r is a character that drives a terminal or is not seen:
// a control, a format character (all that turn the direction are), a line or
// paragraph separator, or one for private use.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// visibleLines is visible for texts of this program with those of others in
// them, such as errors: their line breaks stay, with the line that follows set
// in, so that it cannot pass for one of the program's own.
func visibleLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\t", "  "), "\n") // drivers set lines in by tabs
	for i, line := range lines {
		if lines[i] = visible(line); i > 0 && !strings.HasPrefix(line, " ") {
			lines[i] = "  " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// say tells the reader of standard error something, of which args may be chosen
// by others.
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
