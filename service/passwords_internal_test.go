package service

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
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

// Guarantees that a network which signs in to thousands of accounts at the same
// moment waits for itself: a person from another network has a turn as if there
// were one request in front, and so has each of many such networks.
func TestSignInsOfOneNetworkWaitForThemselves(t *testing.T) {
	t.Parallel()
	for name, networks := range map[string]int{"one network": 1, "twenty networks": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const hashTime = 30 * time.Millisecond
				h := newPasswordHasher()
				signIn := func(account string, network fair.Payer) error {
					return h.inTurn(t.Context(), hashing{account, network}, func() error { <-time.After(hashTime); return nil })
				}
				for i := range 10_000 { // as many as there may be connections
					go func() { _ = signIn(fmt.Sprint(i, "@example.com"), fair.Payer(fmt.Sprint("network ", i%networks))) }()
				}
				synctest.Wait()
				for range 3 {
					began := time.Now()
					err := signIn("ann@example.com", "another network")
					if took := time.Since(began); err != nil || took > time.Duration(networks+2)*hashTime {
						t.Errorf("another's sign-in took %v: %v (%s)", took, err, domain.CodeOf(err))
					}
				}
				<-time.After(2 * turnWait) // all have been answered
			})
		})
	}
}
