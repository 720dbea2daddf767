package repository

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type usageRow struct {
	bun.BaseModel `bun:"table:api_key_usage,alias:u"`

	ProjectID  domain.ProjectID
	KeyID      domain.KeyID   `bun:",pk"`
	TokenID    domain.TokenID `bun:",pk"`
	LastUsedAt micros
}

// LastUse returns when a key of the project was last used, as far as it was
// recorded; the zero time for never.
func (s *Store) LastUse(ctx context.Context, scope domain.ProjectScope, key domain.KeyID) (time.Time, error) {
	var last micros
	err := selectIn(s, scope, (*usageRow)(nil)).ColumnExpr("MAX(u.last_used_at)").Where("u.key_id = ?", key).Scan(ctx, &last)
	return last.Time, s.error(err)
}

// RecordUses records when secrets were used. Uses of deleted secrets are
// dropped. It writes to a separate table, so it can never change a key.
func (s *Store) RecordUses(ctx context.Context, uses []domain.Use) error {
	if len(uses) == 0 {
		return nil
	}
	// In one order, so that two nodes do not wait for each other in a circle.
	slices.SortFunc(uses, func(a, b domain.Use) int {
		return strings.Compare(string(a.KeyID)+string(a.TokenID), string(b.KeyID)+string(b.TokenID))
	})
	args := make([]any, 0, 4*len(uses))
	for _, u := range uses {
		args = append(args, u.KeyID, u.TokenID, micros{u.First}, micros{u.Last})
	}
	// The join adds the project and leaves out deleted keys. For a key that is
	// being deleted it waits until the key is gone or stays.
	args = append(args, bun.Safe(s.engine.keepRows("k")))
	err := s.again(func() error {
		_, err := s.write.NewRaw(`INSERT INTO api_key_usage (project_id, key_id, token_id, first_used_at, last_used_at)
		SELECT k.project_id, k.id, v.column2, v.column3, v.column4
		FROM (VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(uses)), ", ")+`) AS v
		JOIN api_keys AS k ON k.id = v.column1
		WHERE TRUE ORDER BY k.id, v.column2 ?
		ON CONFLICT (key_id, token_id) DO UPDATE SET last_used_at = EXCLUDED.last_used_at
		WHERE api_key_usage.last_used_at < EXCLUDED.last_used_at`, args...).Exec(ctx)
		return err
	})
	return s.error(err)
}
