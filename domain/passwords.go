package domain

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// passwords.txt lists what attackers try first, sorted and in lower case:
// words, names, phrases, runs along the keyboard, and well-known passwords of
// published breaches. It was written for Latchkey, copies no breach and has only
// a small part of one. Entries shorter than MinPasswordLength are there because
// people extend them.
//
//go:embed passwords.txt
var commonPasswordsText string

// commonPasswords are the lines of the list. longest is the length of the
// longest line, in bytes.
var commonPasswords = sync.OnceValue(func() (list struct {
	lines   []string
	longest int
},
) {
	list.lines = strings.Split(strings.TrimSpace(commonPasswordsText), "\n")
	for _, line := range list.lines {
		list.longest = max(list.longest, len(line))
	}
	return list
})

func listed(s string) bool {
	_, found := slices.BinarySearch(commonPasswords().lines, s)
	return found
}

// Characters that people append to a common password. Attackers strip them.
const appended = "0123456789!?.,*#$@%&+=_- "

// leet replaces single bytes with single bytes, so the result is as long as the
// argument.
var leet = strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t")

// shortUnit is the longest unit, in characters, whose repetition is no
// password.
const shortUnit = 4

// commonPassword reports whether s is common: listed in any letter case, with
// digits for letters, with digits and signs around it, or repeated; or a
// repeated short unit. It checks each prefix that leaves only digits and signs
// behind it. The cost is that of reading s a few times: a prefix that is too
// long to be listed is not searched for, and few units repeat at the start of a
// string.
func commonPassword(s string) bool {
	s = strings.ToLower(s)
	if built(s) {
		return true
	}
	borders, judged := borders(s), 0
	for n := len(s); n > 0; n-- {
		unit := n - borders[n] // the smallest period of s[:n]
		if unit <= n/2 && unit != judged && utf8.RuneCountInString(s[:n]) >= MinPasswordLength {
			if judged = unit; utf8.RuneCountInString(s[:unit]) <= shortUnit || built(s[:unit]) {
				return true
			}
		}
		if !strings.Contains(appended, s[n-1:n]) {
			return false
		}
	}
	return false
}

// built reports whether s, in lower case, is a listed password with digits for
// letters, or with digits and signs around it.
func built(s string) bool {
	plain := leet.Replace(s)
	start := len(s) - len(strings.TrimLeft(s, appended))
	longest := commonPasswords().longest
	for n := len(s); n > 0; n-- {
		if n <= longest && (listed(s[:n]) || listed(plain[:n])) {
			return true
		}
		if start < n && n-start <= longest && (listed(s[start:n]) || listed(plain[start:n])) {
			return true
		}
		if !strings.Contains(appended, s[n-1:n]) {
			return false
		}
	}
	return false
}

// borders returns, for each prefix of s by its length, the length of the
// longest part that it both begins and ends with: the failure function of
// Knuth, Morris and Pratt.
func borders(s string) []int {
	b := make([]int, len(s)+1)
	for n, k := 1, 0; n < len(s); n++ {
		for k > 0 && s[n] != s[k] {
			k = b[k]
		}
		if s[n] == s[k] {
			k++
		}
		b[n+1] = k
	}
	return b
}

// shortestWord is the length of the shortest word that a password must not
// contain. Shorter ones are part of too many other words.
const shortestWord = 4

// PersonalWords are what attackers try first for one person: the product's name,
// the address and its local part, and the name and its parts.
func PersonalWords(email, name string) []string {
	local, _, _ := strings.Cut(email, "@")
	words := []string{"latchkey", email, local, name}
	return append(words, strings.Fields(name)...)
}

// containsWord reports whether a password contains one of the words, in any
// letter case, with digits for letters and any signs between them.
func containsWord(s string, words []string) bool {
	s = strings.ToLower(s)
	plain, replaced := lettersOf(s), lettersOf(leet.Replace(s))
	for _, word := range words {
		word = lettersOf(strings.ToLower(word))
		if utf8.RuneCountInString(word) >= shortestWord && (strings.Contains(plain, word) || strings.Contains(replaced, word)) {
			return true
		}
	}
	return false
}

// lettersOf returns s without signs and spaces.
func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return r
		}
		return -1
	}, s)
}
