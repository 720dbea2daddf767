package service

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// turnWait is how long a caller waits for its turn to hash.
const turnWait = 2 * time.Second

// argon2Params are the parameters that passwords are hashed with.
type argon2Params struct {
	memory uint32 // in KiB
	passes uint32
	lanes  uint8
}

// passwordParams are OWASP's: 19 MiB, two passes, one lane.
var passwordParams = argon2Params{memory: 19 * 1024, passes: 2, lanes: 1}

// maxParams bound the cost of a stored hash: someone who can write to the
// database must not be able to stop the service with one row.
var maxParams = argon2Params{memory: 64 * 1024, passes: 8, lanes: 4}

const passwordSalt, passwordKey = 16, 32 // in bytes

// passwordHash is what is stored of a password: argon2id over it and, in the
// bound form, HMAC-SHA-256 of that and the user's id under a key derived from
// the master key. A bound hash proves nothing for another user, and no one makes
// one without the master key.
type passwordHash struct {
	argon2Params

	bound bool
	salt  []byte
	key   []byte // the output of argon2id, or the HMAC of it
}

// The forms of a stored hash: PHC strings, of which 0.1 knows the first only.
const (
	plainForm = "$argon2id$v=19$"
	boundForm = "$latchkey-argon2id$v=1$"
)

func (h passwordHash) String() string {
	form, encode := plainForm, base64.RawStdEncoding.EncodeToString
	if h.bound {
		form = boundForm
	}
	return fmt.Sprintf("%sm=%d,t=%d,p=%d$%s$%s", form, h.memory, h.passes, h.lanes, encode(h.salt), encode(h.key))
}

// parsePasswordHash reads a stored hash. What it does not know, and what would
// cost too much, is an error that says nothing of the hash.
func parsePasswordHash(stored string) (h passwordHash, err error) {
	rest, plain := strings.CutPrefix(stored, plainForm)
	if !plain {
		if rest, h.bound = strings.CutPrefix(stored, boundForm); !h.bound {
			return h, errors.New("a password hash has a form that this version does not know")
		}
	}
	parts := strings.Split(rest, "$")
	if len(parts) != 3 {
		return h, errors.New("a password hash has a form that this version does not know")
	}
	_, err = fmt.Sscanf(parts[0], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes)
	if err != nil || h.memory < 8 || h.memory > maxParams.memory || h.passes < 1 || h.passes > maxParams.passes || h.lanes < 1 ||
		h.lanes > maxParams.lanes {
		return h, errors.New("a password hash has parameters out of bounds")
	}
	decode := base64.RawStdEncoding.Strict().DecodeString
	salt, saltErr := decode(parts[1])
	key, keyErr := decode(parts[2])
	if saltErr != nil || keyErr != nil || len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64 {
		return h, errors.New("a password hash has a salt or a sum out of bounds")
	}
	if h.salt, h.key = salt, key; h.String() != stored {
		return h, errors.New("a password hash has a form that this version does not know")
	}
	return h, nil
}

// bind returns the bound form of a plain hash.
func (k *keyring) bind(user domain.UserID, h passwordHash) passwordHash {
	if !h.bound {
		h.bound, h.key = true, k.passwords.sum("bound", string(user), string(h.key))
	}
	return h
}

// matches reports whether password is the one hashed, of the user. It is for
// inTurn to call.
func (k *keyring) matches(user domain.UserID, password string, h passwordHash) bool {
	length := len(h.key)
	if h.bound {
		length = passwordKey
	}
	got := h
	got.bound, got.key = false, argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(length))
	if h.bound {
		got = k.bind(user, got)
	}
	return subtle.ConstantTimeCompare(got.key, h.key) == 1
}

// samePassword reports whether two stored hashes of a user are of one password:
// the same, or one the bound form of the other, which is what the node that binds
// them may have made of it in the meantime.
func (k *keyring) samePassword(user domain.UserID, a, b string) bool {
	if a == b {
		return true
	}
	x, xErr := parsePasswordHash(a)
	y, yErr := parsePasswordHash(b)
	return xErr == nil && yErr == nil && hmac.Equal([]byte(k.bind(user, x).String()), []byte(k.bind(user, y).String()))
}

// passwordHasher hashes and compares passwords, as many at the same time as there
// are cores, so that a flood takes no more memory than that. Turns are shared
// out twice. An account has one turn at a time, which the networks that sign in
// to it take in a round: a flood at one account is one request in front of another
// account's. These then go round the networks that they come from. Only turns at
// networks are scarce; the other gates have a place for every connection.
type passwordHasher struct {
	attempts *fair.Gate // for an account from a network
	present  *fair.Gate // bounds the accounts that a network signs in to
	accounts *fair.Gate
	networks *fair.Gate
	decoy    passwordHash // of nothing anyone knows
}

// hashing says for whom a password is hashed: the account, or "" where there is
// none to share, and the network that asks, or "" for the program itself.
type hashing struct {
	account string
	network fair.Payer
}

func newPasswordHasher() passwordHasher {
	cores := runtime.GOMAXPROCS(0)
	const everyone, waiting, each = 1 << 20, 4096, 256
	inLine := fair.Bounds{
		Total:           everyone,
		PerPayer:        1,
		Waiting:         waiting,
		WaitingPerPayer: each,
		Wait:            turnWait,
	}
	return passwordHasher{
		attempts: fair.NewGate(inLine),
		present: fair.NewGate(fair.Bounds{
			Total:    everyone,
			PerPayer: 2 * each,
		}),
		accounts: fair.NewGate(inLine),
		networks: fair.NewGate(fair.Bounds{
			Total:           cores,
			PerPayer:        cores,
			Waiting:         waiting,
			WaitingPerPayer: waiting,
			Wait:            turnWait,
		}),
		decoy: passwordHash{passwordParams, true, randomBytes(passwordSalt), randomBytes(passwordKey)},
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// hash returns the plain hash of a password.
func (h passwordHasher) hash(ctx context.Context, of hashing, password string) (hash passwordHash, err error) {
	err = h.inTurn(ctx, of, func() error {
		p, salt := passwordParams, randomBytes(passwordSalt)
		hash = passwordHash{p, false, salt, argon2.IDKey([]byte(password), salt, p.passes, p.memory, p.lanes, passwordKey)}
		return nil
	})
	return hash, err
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
		}{{h.attempts, fair.Payer(of.account) + " " + of.network}, {h.present, of.network}, {h.accounts, fair.Payer(of.account)}} {
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
