package service_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Guarantees that wrong passwords run into a wait, the same for accounts that
// exist and that do not; that the wait binds only the network they came from, so
// that the owner gets in from theirs; and that it passes.
func TestLogInThrottle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx := w.Context()
	ann := w.signUp("ann@example.com")
	attacker, owner := domain.Origin{IP: "2001:db8:1:2:aaaa::1"}, domain.Origin{IP: "192.0.2.1"}
	for _, email := range []string{"ann@example.com", "no-one@example.com"} {
		for range 10 {
			_, err := w.LogIn(ctx, attacker, email, "a wrong passphrase")
			w.code(err, domain.CodeInvalidCredentials)
		}
		sameNetwork := domain.Origin{IP: "2001:db8:1:2:bbbb::2"}
		for range 3 {
			_, err := w.LogIn(ctx, sameNetwork, email, password)
			w.code(err, domain.CodeRateLimited)
			if e, ok := errors.AsType[*domain.Error](err); !ok || e.RetryAfter <= 0 || e.RetryAfter > 20*time.Second {
				w.Errorf("got %v, want a wait of at most 20 s", err)
			}
		}
	}
	_, err := w.LogIn(ctx, owner, "ann@example.com", password)
	w.check(err)

	user, _ := ann.User()
	account, err := w.Account(ctx, domain.NewPrincipal(nil, &user, attacker))
	w.check(err)
	w.code(account.ChangePassword(ctx, password, "another fine passphrase"), domain.CodeRateLimited)

	w.Pass(20 * time.Second)
	_, err = w.LogIn(ctx, attacker, "ann@example.com", password)
	w.check(err)

	// One address may not go through many accounts either.
	spray := domain.Origin{IP: "198.51.100.9"}
	for i := range 100 {
		_, err := w.LogIn(ctx, spray, fmt.Sprintf("user%d@example.com", i), "a wrong passphrase")
		w.code(err, domain.CodeInvalidCredentials)
	}
	_, err = w.LogIn(ctx, spray, "ann@example.com", password)
	w.code(err, domain.CodeRateLimited)
}

// Guarantees that attempts sent at the same moment do not slip past the bound
// together: each that is compared has been weighed when its turn came.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.signUp("ann@example.com")
	const attempts = 60
	answers := make(chan domain.Code, attempts)
	for range attempts {
		go func() {
			_, err := w.LogIn(w.Context(), domain.Origin{IP: "192.0.2.1"}, "ann@example.com", "a wrong passphrase")
			answers <- domain.CodeOf(err)
		}()
	}
	got := map[domain.Code]int{}
	for range attempts {
		got[<-answers]++
	}
	// As many as there are cores may be compared while the tenth is.
	if compared := got[domain.CodeInvalidCredentials]; compared < 1 || compared > 10+runtime.GOMAXPROCS(0) {
		w.Errorf("got answers %v, want about 10 compared", got)
	}
	if got[domain.CodeInternal] > 0 {
		w.Errorf("got answers %v, want none internal", got)
	}
}

// Guarantees that sign-ups from one address run into a wait where no mail bounds
// them, that it binds no other address, and that it passes.
func TestSignUpThrottle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	signUp := func(ip, password string) error {
		_, err := w.SignUp(w.Context(), domain.Origin{IP: ip}, domain.SignUp{Email: "ann@example.com", Password: domain.Hidden(password)})
		return err
	}
	for range 300 {
		w.code(signUp("2001:db8:1:2::1", "too short"), domain.CodeValidationFailed)
	}
	err := signUp("2001:db8:1:2::2", password)
	w.code(err, domain.CodeRateLimited)
	if e, ok := errors.AsType[*domain.Error](err); !ok || e.RetryAfter <= 0 || e.RetryAfter > 3*time.Second {
		w.Errorf("got %v, want a wait of at most 3 s", err)
	}
	w.code(signUp("2001:db8:1:3::1", "too short"), domain.CodeValidationFailed)
	w.Pass(3 * time.Second)
	w.check(signUp("2001:db8:1:2::2", password))
}
