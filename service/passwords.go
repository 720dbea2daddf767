package service

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/latchkey-dev/latchkey/domain"
)

// turnWait is how long a caller waits for its turn to hash.
const turnWait = 2 * time.Second

// passwordParams are OWASP's: 19 MiB, two passes, one lane.
var passwordParams = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwordHasher hashes and compares passwords, as many at once as there are
// cores: a flood of sign-ins then waits, and in the end is refused with
// unavailable, instead of taking all memory.
type passwordHasher struct {
	turns turns
	decoy string // a hash of nothing anyone knows
}

func newPasswordHasher() (passwordHasher, error) {
	decoy, err := argon2id.CreateHash(NewMasterKey(), passwordParams)
	return passwordHasher{turns: make(turns, runtime.GOMAXPROCS(0)), decoy: decoy}, err
}

// hash returns the argon2id hash of a password.
func (h passwordHasher) hash(ctx context.Context, password string) (hash string, err error) {
	err = h.inTurn(ctx, func() (err error) {
		hash, err = argon2id.CreateHash(password, passwordParams)
		return err
	})
	return hash, err
}

// matches reports whether password is the one hashed. An empty hash, of an
// account that does not exist, takes the same time and never matches. It is for
// inTurn to call.
func (h passwordHasher) matches(password, hash string) (bool, error) {
	if hash == "" {
		_, err := argon2id.ComparePasswordAndHash(password, h.decoy)
		return false, err
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}

// inTurn does work that hashes a password when it has its turn, and gives up
// with unavailable after turnWait.
func (h passwordHasher) inTurn(ctx context.Context, work func() error) error {
	return h.turns.take(ctx, work)
}

// turns bounds how much work that fills a processor is done at once: the rest
// waits, and in the end is refused with unavailable.
type turns chan struct{}

// take does work when it has its turn, and gives up after turnWait.
func (t turns) take(ctx context.Context, work func() error) error {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select {
	case t <- struct{}{}:
		defer func() { <-t }()
		return work()
	case <-ctx.Done():
		return domain.Unavailable(errors.New("too many passwords or hashes to compute at once"))
	}
}
