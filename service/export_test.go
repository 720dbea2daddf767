package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Prove and Used are the two halves of ProveKey, so that tests can have
// something happen between them.
func (a *App) Prove(ctx context.Context, token string, now time.Time) (domain.ProvenKey, error) {
	return a.prove(ctx, token, "", now)
}

func (a *App) Used(ctx context.Context, key domain.ProvenKey, token string, now time.Time) {
	a.used(ctx, key, token, now)
}
