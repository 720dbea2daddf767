package service

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// turnWait is how long a caller waits for its turn to hash.
const turnWait = 2 * time.Second

// passwordParams are OWASP's: 19 MiB, two passes, one lane.
var passwordParams = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwordHasher hashes and compares passwords, as many at the same time as there
// are cores, so that a flood takes no more memory than that. Turns are shared
// out twice. An account has one turn at a time, which the networks that sign in
// to it take in a round: a flood at one account is one request in front of another
// account's. These then go round the networks that they come from.
type passwordHasher struct {
	attempts *fair.Gate // for an account from a network
	accounts *fair.Gate
	networks *fair.Gate
	decoy    string // a hash of nothing anyone knows
}

// hashing says for whom a password is hashed: the account, or "" where there is
// none to share, and the network that asks, or "" for the program itself.
type hashing struct {
	account string
	network fair.Payer
}

func newPasswordHasher() (passwordHasher, error) {
	decoy, err := argon2id.CreateHash(NewMasterKey(), passwordParams)
	cores := runtime.GOMAXPROCS(0)
	const waiting, each = 4096, 256
	return passwordHasher{
		attempts: fair.NewGate(fair.Bounds{Total: waiting, PerPayer: 1, Waiting: waiting, WaitingPerPayer: each, Wait: turnWait}),
		accounts: fair.NewGate(fair.Bounds{Total: waiting, PerPayer: 1, Waiting: waiting, WaitingPerPayer: each, Wait: turnWait}),
		networks: fair.NewGate(fair.Bounds{Total: cores, PerPayer: cores, Waiting: waiting, WaitingPerPayer: waiting, Wait: turnWait}),
		decoy:    decoy,
	}, err
}

// hash returns the argon2id hash of a password.
func (h passwordHasher) hash(ctx context.Context, of hashing, password string) (hash string, err error) {
	err = h.inTurn(ctx, of, func() (err error) {
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
func (h passwordHasher) inTurn(ctx context.Context, of hashing, work func() error) error {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	if of.account != "" {
		for _, wait := range []struct {
			gate  *fair.Gate
			payer fair.Payer
		}{{h.attempts, fair.Payer(of.account) + " " + of.network}, {h.accounts, fair.Payer(of.account)}} {
			leave, err := wait.gate.Enter(ctx, wait.payer)
			if err != nil {
				return err
			}
			defer leave()
		}
	}
	leave, err := h.networks.Enter(ctx, of.network)
	if err != nil {
		return err
	}
	defer leave()
	return work()
}

// turns bounds how much work that fills a processor is done at the same time:
// the rest waits, and in the end is refused with unavailable.
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
