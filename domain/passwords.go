package domain

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// passwords.txt lists what attackers try first, in lower case and sorted:
// words, names, phrases and runs along the keyboard. Those below
// MinPasswordLength are there for what people build on them.
//
//go:embed passwords.txt
var commonPasswordsText string

var commonPasswords = sync.OnceValue(func() []string { return strings.Split(strings.TrimSpace(commonPasswordsText), "\n") })

func listed(s string) bool {
	_, found := slices.BinarySearch(commonPasswords(), s)
	return found
}

// What people do to a common password, and attackers undo.
const appended = "0123456789!?.,*#$@%&+=_- "

var leet = strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t")

// commonPassword reports whether s is common: listed in any letter case, with
// digits for letters, with digits and signs around it, or repeated.
func commonPassword(s string) bool {
	for s = strings.ToLower(s); s != ""; s = s[:len(s)-1] {
		if listed(s) || listed(leet.Replace(s)) || listed(strings.TrimLeft(s, appended)) || repetitive(s) {
			return true
		}
		if !strings.Contains(appended, s[len(s)-1:]) {
			return false
		}
	}
	return false
}

// repetitive reports whether s is up to four characters, or something common,
// over and over until there are enough.
func repetitive(s string) bool {
	if utf8.RuneCountInString(s) < MinPasswordLength {
		return false
	}
	for n := 1; n <= len(s)/2; n++ {
		unit := s[:n]
		if s[n:] == s[:len(s)-n] && (utf8.RuneCountInString(unit) <= 4 || commonPassword(unit)) {
			return true
		}
	}
	return false
}
