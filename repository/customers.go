package repository

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// ListCustomers returns the external ids of the project's keys, in the order of the
// database, with what there is of their keys. It reads one row more than the page
// holds.
func (s *Store) ListCustomers(
	ctx context.Context, scope domain.ProjectScope, p domain.CustomerPage, now time.Time,
) ([]domain.Customer, error) {
	var rows []struct {
		ExternalID       string
		Keys, ActiveKeys int64
		LastUsedAt       micros
	}
	const named = "k.external_id <> ''" // as the index says
	ids := selectIn(s, scope, (*keyRow)(nil)).Column("external_id").Where(named).Where("k.external_id > ?", string(p.After)).
		Group("external_id").Order("external_id").Limit(int64(p.Limit) + 1)
	err := selectIn(s, scope, (*keyRow)(nil)).Column("external_id").ColumnExpr("COUNT(*) AS keys").
		ColumnExpr("SUM(CASE WHEN k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?) THEN 1 ELSE 0 END) AS active_keys",
			micros{now}).
		ColumnExpr("MAX((SELECT MAX(u.last_used_at) FROM api_key_usage AS u WHERE u.key_id = k.id)) AS last_used_at").
		Where(named).Where("k.external_id IN (?)", ids).
		Group("external_id").Order("external_id").Scan(ctx, &rows)
	customers := make([]domain.Customer, len(rows))
	for i, r := range rows {
		customers[i] = domain.Customer{ExternalID: r.ExternalID, Keys: r.Keys, ActiveKeys: r.ActiveKeys, LastUsedAt: r.LastUsedAt.Time}
	}
	return customers, s.error(err)
}
