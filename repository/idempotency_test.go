package repository_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// TestInFlight guarantees that a second request with the same Idempotency-Key
// gets in_flight when the first one takes longer than five seconds, and that
// the key is free when the first one fails. Only on PostgreSQL can two
// transactions run at the same time.
func TestInFlight(t *testing.T) {
	t.Parallel()
	store := storetest.New(t, storetest.Postgres(t))
	claim := func(ctx context.Context, tx *repository.Store) error {
		_, first, err := tx.ClaimIdempotency(ctx, repository.Idempotency{
			Caller: "usr_1", Digest: []byte{1}, Fingerprint: []byte{2}, Salt: []byte{3}, CreatedAt: time.Now(),
		}, time.Time{})
		if err == nil && !first {
			t.Error("got the answer of a request that has none yet")
		}
		return err
	}
	gaveUp := errors.New("gave up")
	err := store.InTx(t.Context(), func(ctx context.Context, tx *repository.Store) error {
		if err := claim(ctx, tx); err != nil {
			t.Error(err)
		}
		began := time.Now()
		err := store.InTx(t.Context(), claim)
		if waited := time.Since(began); domain.CodeOf(err) != domain.CodeInFlight || waited < 4*time.Second || waited > 8*time.Second {
			t.Errorf("got %v after %v, want in_flight after 5 s", err, waited)
		}
		return gaveUp
	})
	if !errors.Is(err, gaveUp) {
		t.Fatal(err)
	}
	if err := store.InTx(t.Context(), claim); err != nil {
		t.Error(err)
	}
}
