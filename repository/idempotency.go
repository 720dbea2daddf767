package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// sameValueWait is how long a request waits for another request with the same
// Idempotency-Key to finish.
const sameValueWait = 5 * time.Second

// Idempotency is the record of a request with an Idempotency-Key.
type Idempotency struct {
	Caller        string
	Digest        []byte // of the Idempotency-Key, with a secret key
	Fingerprint   []byte // of the request
	Salt          []byte // from which the secrets of the answer are derived
	PepperVersion int    // and with which derivation of the master key
	Answer        []byte // without secrets; empty until the request has succeeded
	CreatedAt     time.Time
}

type idempotencyRow struct {
	bun.BaseModel `bun:"table:idempotency_keys,alias:i"`

	Caller        string `bun:",pk"`
	Digest        []byte `bun:",pk"`
	Fingerprint   []byte
	Salt          []byte
	PepperVersion int
	Answer        []byte
	CreatedAt     micros
}

// ClaimIdempotency reserves an Idempotency-Key for its caller until the
// transaction ends. If a request has succeeded under it since notBefore, it
// returns the record of that request, and false. It waits for another request
// that is still running under the key; after 5 seconds it returns in_flight.
func (s *Store) ClaimIdempotency(ctx context.Context, v Idempotency, notBefore time.Time) (Idempotency, bool, error) {
	row := idempotencyRow{
		Caller:        v.Caller,
		Digest:        v.Digest,
		Fingerprint:   v.Fingerprint,
		Salt:          v.Salt,
		PepperVersion: v.PepperVersion,
		Answer:        []byte{},
		CreatedAt:     micros{v.CreatedAt},
	}
	if err := s.engine.boundWaits(ctx, s.write, sameValueWait); err != nil {
		return v, false, s.error(err)
	}
	// A row from before notBefore no longer counts: it is replaced.
	res, err := s.write.NewInsert().Model(&row).On("CONFLICT (caller, digest) DO UPDATE").
		Set("fingerprint = EXCLUDED.fingerprint, salt = EXCLUDED.salt, pepper_version = EXCLUDED.pepper_version").
		Set("answer = EXCLUDED.answer, created_at = EXCLUDED.created_at").
		Where("i.created_at < ?", micros{notBefore}).Exec(ctx)
	if s.engine.gaveUp(err) {
		return v, false, domain.Errorf(domain.CodeInFlight, "A request with this Idempotency-Key is still at work. Try again shortly.")
	}
	err = s.changed(res, err, conflict(nil))
	switch domain.CodeOf(err) {
	case "":
		return v, true, s.error(s.engine.boundWaits(ctx, s.write, 0))
	case domain.CodeConflict:
	default:
		return v, false, err
	}
	var known idempotencyRow
	err = s.read.NewSelect().Model(&known).Where("i.caller = ?", v.Caller).Where("i.digest = ?", v.Digest).Scan(ctx)
	return Idempotency{
		Caller:        known.Caller,
		Digest:        known.Digest,
		Fingerprint:   known.Fingerprint,
		Salt:          known.Salt,
		PepperVersion: known.PepperVersion,
		Answer:        known.Answer,
		CreatedAt:     known.CreatedAt.Time,
	}, false, s.error(err)
}

// AnswerIdempotency stores the answer to a request with a claimed
// Idempotency-Key.
func (s *Store) AnswerIdempotency(ctx context.Context, v Idempotency) error {
	res, err := s.write.NewUpdate().Model((*idempotencyRow)(nil)).Set("answer = ?", v.Answer).
		Where("i.caller = ?", v.Caller).Where("i.digest = ?", v.Digest).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// ForgetIdempotency removes records that are older than before.
func (s *Store) ForgetIdempotency(ctx context.Context, before time.Time) error {
	_, err := s.write.NewDelete().Model((*idempotencyRow)(nil)).Where("i.created_at < ?", micros{before}).Exec(ctx)
	return s.error(err)
}
