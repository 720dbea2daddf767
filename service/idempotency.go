package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// idempotencyLife is how long a lost answer can be asked for again.
const idempotencyLife = 24 * time.Hour

// forgetIdempotency removes answers that can no longer be asked for.
func (a *App) forgetIdempotency(ctx context.Context) error {
	return a.store.ForgetIdempotency(ctx, a.now().Add(-idempotencyLife))
}

// tokenTries bounds how often a token is drawn again because its public id is
// taken. With 62^12 ids even the second try is not to be expected.
const tokenTries = 5

// errTaken says that a token's public id is taken, so another has to be drawn.
var errTaken = errors.New("the public id of the drawn token is taken")

// request is a request to create something. With an Idempotency-Key it can be
// repeated.
type request struct {
	caller         string
	idempotencyKey string
	fingerprint    []byte // keyed, since what is asked for could be guessed
	tagged         bool   // the tokens that it makes get a tag
}

// newRequest describes a request: who asks for which operation on which target,
// and with which spec. Two requests are the same when all of these are.
func (a *App) newRequest(caller domain.Principal, idempotencyKey, operation string, target, spec any) (request, error) {
	if idempotencyKey == "" {
		return request{}, nil
	}
	if why := domain.ValidateIdempotencyKey(idempotencyKey); why != "" {
		v := domain.Invalid{{Pointer: "Idempotency-Key", Detail: why}}
		return request{}, v.Err()
	}
	asked, err := json.Marshal([]any{operation, target, spec})
	return request{
		caller: callerID(caller), idempotencyKey: idempotencyKey, fingerprint: a.keyring.retry.sum("request", string(asked)),
	}, err
}

// callerID names all credentials that a caller has proved.
func callerID(caller domain.Principal) string {
	var ids []string
	if user, ok := caller.User(); ok {
		ids = append(ids, string(user.User.ID))
	}
	if key, ok := caller.Key(); ok {
		ids = append(ids, string(key.Key.ID))
	}
	if caller.IsSystem() {
		ids = append(ids, "system")
	}
	return strings.Join(ids, "+")
}

// tagsSince is the first version that makes tokens with a tag.
const tagsSince = "0.2.0"

// Versions of how the secrets of an answer are derived. A token is derived again
// as it was the first time, also by a node that would now make another.
const (
	derivationUntagged = pepperVersion
	derivationTagged   = 2
)

func derivation(tagged bool) int {
	if tagged {
		return derivationTagged
	}
	return derivationUntagged
}

// source is what the secrets of one request are drawn from.
type source struct {
	io.Reader
	tag domain.Tagger // nil: tokens get no tag
}

func (a *App) source(random io.Reader, tagged bool) source {
	if tagged {
		return source{random, a.keyring.tag}
	}
	return source{random, nil}
}

// token draws a token of an API key.
func (s source) token(prefix string, env domain.Environment) (domain.Token, error) {
	if s.tag == nil {
		return domain.NewToken(prefix, env, s)
	}
	return domain.NewTaggedToken(prefix, env, s, s.tag)
}

// attempt creates something in a transaction, and draws its secrets from
// random. What it returns may be stored, so secrets belong into fields that are
// not exported.
type attempt[T any] func(ctx context.Context, tx *repository.Store, random source) (T, error)

// once runs create in a transaction. With an Idempotency-Key it does so once in
// 24 hours, whatever the number of nodes and of concurrent requests. All other
// requests for the same get that answer, after again has checked that it is
// still valid and has drawn its secrets anew from the same stream. Nothing is
// kept of a request that failed. Errors: idempotency_mismatch if something else
// was requested under the same Idempotency-Key, in_flight, and those of create
// and again.
func once[T any](
	ctx context.Context, a *App, r request, create attempt[T],
	again func(ctx context.Context, tx *repository.Store, answer *T, random source) error,
) (answer T, err error) {
	for range tokenTries {
		err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) (err error) {
			if r.idempotencyKey == "" {
				answer, err = create(ctx, tx, a.source(a.random, r.tagged))
				return err
			}
			answer, err = claim(ctx, a, tx, r, create, again)
			return err
		})
		if !errors.Is(err, errTaken) {
			break
		}
	}
	if err != nil {
		var none T
		return none, err
	}
	return answer, nil
}

func claim[T any](
	ctx context.Context, a *App, tx *repository.Store, r request, create attempt[T],
	again func(ctx context.Context, tx *repository.Store, answer *T, random source) error,
) (answer T, err error) {
	now := a.now()
	salt := make([]byte, sha256.Size)
	rand.Read(salt) // never fails
	row, first, err := tx.ClaimIdempotency(ctx, repository.Idempotency{
		Caller:        r.caller,
		Digest:        a.keyring.retry.sum("key", r.caller, r.idempotencyKey),
		Fingerprint:   r.fingerprint,
		Salt:          salt,
		PepperVersion: derivation(r.tagged),
		CreatedAt:     now,
	}, now.Add(-idempotencyLife))
	if err != nil {
		return answer, err
	}
	stream, err := a.keyring.secrets(row.Salt, r.caller, r.idempotencyKey)
	if err != nil {
		return answer, err
	}
	random := a.source(stream, row.PepperVersion == derivationTagged)
	if !first {
		if !bytes.Equal(row.Fingerprint, r.fingerprint) {
			return answer, domain.Errorf(domain.CodeIdempotencyMismatch,
				"This Idempotency-Key was used for another request. Use a fresh one for each thing you want done.")
		}
		if err := json.Unmarshal(row.Answer, &answer); err != nil {
			return answer, err
		}
		return answer, again(ctx, tx, &answer, random)
	}
	if answer, err = create(ctx, tx, random); err != nil {
		return answer, err
	}
	if row.Answer, err = json.Marshal(answer); err != nil {
		return answer, err
	}
	return answer, tx.AnswerIdempotency(ctx, row)
}

// errEnded says that what an Idempotency-Key once made cannot be handed out
// again.
func errEnded() error {
	return domain.Errorf(domain.CodeConflict,
		"What this Idempotency-Key created no longer exists. Use a new Idempotency-Key to create another.")
}

// ended turns the not_found of what a request made into errEnded.
func ended(err error) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return errEnded()
	}
	return err
}
