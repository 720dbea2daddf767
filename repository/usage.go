package repository

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/latchkey-dev/latchkey/domain"
)

type usageRow struct {
	bun.BaseModel `bun:"table:api_key_usage,alias:u"`

	ProjectID  domain.ProjectID
	KeyID      domain.KeyID   `bun:",pk"`
	TokenID    domain.TokenID `bun:",pk"`
	LastUsedAt micros
}

// LastUse returns when a key of the project was last used, as far as that has
// been recorded; the zero time for never.
func (s *Store) LastUse(ctx context.Context, scope domain.ProjectScope, key domain.KeyID) (time.Time, error) {
	var last micros
	err := selectIn(s, scope, (*usageRow)(nil)).ColumnExpr("MAX(u.last_used_at)").Where("u.key_id = ?", key).Scan(ctx, &last)
	return last.Time, s.error(err)
}

// RecordUses notes when secrets were used. Uses of what is gone by now are
// dropped. It changes nothing of a key, and nothing of what a secret proves.
func (s *Store) RecordUses(ctx context.Context, uses []domain.Use) error {
	// In one order, so that two nodes do not wait for each other in a circle.
	slices.SortFunc(uses, func(a, b domain.Use) int {
		return strings.Compare(string(a.KeyID)+string(a.TokenID), string(b.KeyID)+string(b.TokenID))
	})
	first := slices.DeleteFunc(slices.Clone(uses), func(u domain.Use) bool { return u.First.IsZero() })
	if len(first) > 0 {
		_, err := s.write.NewRaw(`UPDATE api_key_secrets SET first_used_at = u.at FROM ? AS u
			WHERE api_key_secrets.token_id = u.token_id AND api_key_secrets.first_used_at IS NULL`,
			s.usesAt(first, func(u domain.Use) time.Time { return u.First })).Exec(ctx)
		if err != nil {
			return s.error(err)
		}
	}
	if len(uses) == 0 {
		return nil
	}
	_, err := s.write.NewRaw(`INSERT INTO api_key_usage (project_id, key_id, token_id, last_used_at)
		SELECT u.project_id, u.key_id, u.token_id, u.at FROM ? AS u WHERE TRUE
		ON CONFLICT (key_id, token_id) DO UPDATE SET last_used_at = EXCLUDED.last_used_at
		WHERE api_key_usage.last_used_at < EXCLUDED.last_used_at`,
		s.usesAt(uses, func(u domain.Use) time.Time { return u.Last })).Exec(ctx)
	return s.error(err)
}

// usesAt is a subquery with a row for each use: project_id, key_id, token_id, at.
// The join brings the project, and leaves out keys that have been deleted, also
// those that are just being: it waits until they are gone or stay.
func (s *Store) usesAt(uses []domain.Use, at func(domain.Use) time.Time) schema.QueryAppender {
	args := make([]any, 0, 3*len(uses)+1)
	for _, u := range uses {
		args = append(args, u.KeyID, u.TokenID, micros{at(u)})
	}
	args = append(args, bun.Safe(s.engine.keepRows("k")))
	return bun.SafeQuery(`(SELECT k.project_id, k.id AS key_id, v.column2 AS token_id, v.column3 AS at
		FROM (VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?, ?), ", len(uses)), ", ")+`) AS v
		JOIN api_keys AS k ON k.id = v.column1
		WHERE TRUE ORDER BY k.id, v.column2 ?)`, args...)
}
