package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// FindKeys returns where the keys are that a name fits, newest first, in all
// organizations of a user.
func (s *Store) FindKeys(ctx context.Context, user domain.UserID, name domain.KeyName, limit int) ([]domain.KeyPlace, error) {
	q := s.read.NewSelect().Model((*keyRow)(nil)).ColumnExpr("k.id, k.project_id").
		Join("JOIN projects AS p ON p.id = k.project_id AND p.deleted_at IS NULL").
		Join("JOIN memberships AS m ON m.organization_id = p.organization_id AND m.user_id = ?", user)
	if len(name.Tokens) > 0 {
		q = q.Where("k.id IN (SELECT s.key_id FROM api_key_secrets AS s WHERE s.token_id IN (?))", bun.List(name.Tokens))
	} else {
		q = q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("k.id = ?", name.Text).WhereOr("k.external_id = ? AND k.external_id <> ''", name.Text)
		})
	}
	var rows []keyRow
	if err := q.OrderExpr("k.created_at DESC, k.id DESC").Limit(int64(limit)).Scan(ctx, &rows); err != nil {
		return nil, s.error(err)
	}
	places := make([]domain.KeyPlace, len(rows))
	for i, row := range rows {
		places[i] = domain.KeyPlace{Key: row.ID, Project: row.ProjectID}
	}
	return places, nil
}
