package repository

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// KeyStatistics counts the project's keys by their status at now, and by the
// days, starting with since, of their creation, revocation and expiry.
func (s *Store) KeyStatistics(ctx context.Context, scope domain.ProjectScope, since, now time.Time) (domain.KeyStatistics, error) {
	var counts struct{ Total, Expired, Revoked int }
	err := selectIn(s, scope, (*keyRow)(nil)).ColumnExpr("COUNT(*) AS total").
		ColumnExpr("COUNT(CASE WHEN k.revoked_at IS NULL AND k.expires_at <= ? THEN 1 END) AS expired", micros{now}).
		ColumnExpr("COUNT(k.revoked_at) AS revoked").Scan(ctx, &counts)
	if err != nil {
		return domain.KeyStatistics{}, s.error(err)
	}
	days := map[int64]domain.KeyDay{}
	for _, counted := range []struct {
		column string
		field  func(*domain.KeyDay) *int
	}{
		{"created_at", func(d *domain.KeyDay) *int { return &d.Created }},
		{"revoked_at", func(d *domain.KeyDay) *int { return &d.Revoked }},
		{"expires_at", func(d *domain.KeyDay) *int { return &d.Expiring }},
	} {
		var rows []struct {
			Day  int64 // since 1970; both databases truncate integer division
			Keys int
		}
		q := selectIn(s, scope, (*keyRow)(nil)).ColumnExpr("k.? / ? AS day", bun.Ident(counted.column), (24*time.Hour).Microseconds()).
			ColumnExpr("COUNT(*) AS keys").Where("k.? >= ?", bun.Ident(counted.column), micros{since}).GroupExpr("1")
		if counted.column == "expires_at" {
			q = q.Where("k.revoked_at IS NULL")
		}
		if err := q.Scan(ctx, &rows); err != nil {
			return domain.KeyStatistics{}, s.error(err)
		}
		for _, row := range rows {
			day := days[row.Day]
			day.Day = time.Unix(row.Day*int64((24*time.Hour).Seconds()), 0).UTC()
			*counted.field(&day) = row.Keys
			days[row.Day] = day
		}
	}
	return domain.KeyStatistics{
		Active: counts.Total - counts.Expired - counts.Revoked, Expired: counts.Expired, Revoked: counts.Revoked,
		Days: slices.SortedFunc(maps.Values(days), func(a, b domain.KeyDay) int { return a.Day.Compare(b.Day) }),
	}, nil
}
