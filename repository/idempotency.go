package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// rivalWait is how long a request waits for another with the same
// Idempotency-Key to finish.
const rivalWait = 5 * time.Second

// Idempotency is what is kept of a request that named itself by an
// Idempotency-Key.
type Idempotency struct {
	Caller        string
	Digest        []byte // of the Idempotency-Key, keyed
	Fingerprint   []byte // of what was asked
	Salt          []byte // what the secrets of the answer are derived with
	PepperVersion int    // and from which derivation of the master key
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

// ClaimIdempotency makes an Idempotency-Key its caller's for the rest of the
// transaction. When a request has succeeded under it since notBefore, it returns
// what is kept of that one, and false. A rival that is still at work is waited
// for; when it takes over 5 seconds the answer is in_flight.
func (s *Store) ClaimIdempotency(ctx context.Context, v Idempotency, notBefore time.Time) (Idempotency, bool, error) {
	row := idempotencyRow{
		Caller: v.Caller, Digest: v.Digest, Fingerprint: v.Fingerprint, Salt: v.Salt, PepperVersion: v.PepperVersion,
		Answer: []byte{}, CreatedAt: micros{v.CreatedAt},
	}
	if err := s.engine.boundWaits(ctx, s.write, rivalWait); err != nil {
		return v, false, s.error(err)
	}
	// A row from before notBefore is as good as none: it is taken over.
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
		Caller: known.Caller, Digest: known.Digest, Fingerprint: known.Fingerprint, Salt: known.Salt,
		PepperVersion: known.PepperVersion, Answer: known.Answer, CreatedAt: known.CreatedAt.Time,
	}, false, s.error(err)
}

// AnswerIdempotency stores what a claimed Idempotency-Key was answered with.
func (s *Store) AnswerIdempotency(ctx context.Context, v Idempotency) error {
	res, err := s.write.NewUpdate().Model((*idempotencyRow)(nil)).Set("answer = ?", v.Answer).
		Where("i.caller = ?", v.Caller).Where("i.digest = ?", v.Digest).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// ForgetIdempotency removes what is older than before.
func (s *Store) ForgetIdempotency(ctx context.Context, before time.Time) error {
	_, err := s.write.NewDelete().Model((*idempotencyRow)(nil)).Where("i.created_at < ?", micros{before}).Exec(ctx)
	return s.error(err)
}
