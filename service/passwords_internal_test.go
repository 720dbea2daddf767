package service

import (
	"strings"
	"testing"
)

// Guarantees that no row of the database can make a sign-in costly: a hash beyond
// the bounds is refused before anything is computed, and so is a form that this
// version does not know.
func TestStoredHashesAreBounded(t *testing.T) {
	t.Parallel()
	salt, key := strings.Repeat("A", 22), strings.Repeat("A", 43)
	good := []string{
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key,
		"$latchkey-argon2id$v=1$m=65536,t=8,p=4$" + salt + "$" + key,
	}
	for _, stored := range good {
		h, err := parsePasswordHash(stored)
		if err != nil || h.String() != stored {
			t.Errorf("%s: got %s, %v", stored, h, err)
		}
	}
	for _, stored := range []string{
		"", "plain", "$argon2id$", "$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + key, "$argon2id$v=16$m=19456,t=2,p=1$" + salt +
			"$" + key,
		"$argon2id$v=19$m=19456,t=1000000000000000000,p=1$" + salt + "$" + key, "$argon2id$v=19$m=19456,t=9,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=65537,t=2,p=1$" + salt + "$" + key, "$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + key, "$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=5$" + salt + "$" + key, "$argon2id$v=19$m=19456,t=2,p=300$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$", "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("A", 200),
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key + "$", "$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + key,
		"!" + good[0],
	} {
		if h, err := parsePasswordHash(stored); err == nil || stored != "" && strings.Contains(err.Error(), stored) {
			t.Errorf("%s: got %v, %v, want an error that says nothing of it", stored, h, err)
		}
	}
}
