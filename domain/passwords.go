package domain

import (
	_ "embed"
	"strings"
	"sync"
)

// commonPasswords lists, one a line and in lower case, passwords of at least
// MinPasswordLength characters that appear at the top of public breach counts.
//
//go:embed passwords.txt
var commonPasswordsText string

var commonPasswords = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(commonPasswordsText) {
		set[strings.TrimSpace(line)] = true
	}
	return set
})

// commonPassword reports whether s, or s without the digits and signs that
// people append, is among the common ones.
func commonPassword(s string) bool {
	lower := strings.ToLower(s)
	if commonPasswords()[lower] {
		return true
	}
	core := strings.TrimRight(lower, "0123456789!?.*#$@-_")
	return strings.Count(lower, lower[:1]) == len(lower) || commonCores[core]
}

var commonCores = map[string]bool{
	"password": true, "passwort": true, "passw": true, "p@ssw": true, "p@ssword": true, "letmein": true, "welcome": true,
	"qwerty": true, "qwertyuiop": true, "qwertz": true, "azerty": true, "admin": true, "administrator": true, "iloveyou": true,
	"changeme": true, "secret": true, "latchkey": true, "monkey": true, "dragon": true, "football": true, "baseball": true,
}
