package repository

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// hourlyRow has what a key did in each hour of a day.
type hourlyRow struct {
	Subject    domain.KeyID
	ExternalID string

	H00, H01, H02, H03, H04, H05, H06, H07, H08, H09, H10, H11,
	H12, H13, H14, H15, H16, H17, H18, H19, H20, H21, H22, H23 int64
}

func (r hourlyRow) use() domain.HourlyUse {
	return domain.HourlyUse{KeyID: r.Subject, ExternalID: r.ExternalID, Hours: [hoursOfDay]int64{
		r.H00, r.H01, r.H02, r.H03, r.H04, r.H05, r.H06, r.H07, r.H08, r.H09, r.H10, r.H11,
		r.H12, r.H13, r.H14, r.H15, r.H16, r.H17, r.H18, r.H19, r.H20, r.H21, r.H22, r.H23,
	}}
}

// HourlyUses returns how many requests keys of the project made in each hour of a day
// (UTC) that limits admitted or refused, those of the plan and the customer that are
// named, in the order of the keys. It returns at most limit rows.
func (s *Store) HourlyUses(
	ctx context.Context, scope domain.ProjectScope, of domain.RehearsalSpec, day time.Time, limit int,
) ([]domain.HourlyUse, error) {
	q := selectIn(s, scope, (*usageDayRow)(nil)).Column("u.subject", "u.external_id").
		Where("u.day = ?", micros{dayOf(day)}).Where("u.subject <> u.project_id").Where("u.subject NOT LIKE ?", tagKind+"%").
		Where("u.measure IN (?)", bun.List([]domain.Outcome{
			domain.OutcomeValid, domain.OutcomeRateLimited, domain.OutcomeQuotaExceeded, domain.OutcomeCreditsExhausted,
		}))
	for hour := range hoursOfDay {
		q = q.ColumnExpr(fmt.Sprintf("SUM(COALESCE(u.h%02d, 0)) AS h%02d", hour, hour))
	}
	if of.PlanID != "" {
		q = q.Join("JOIN api_keys AS k ON k.project_id = u.project_id AND k.id = u.subject").Where("k.plan_id = ?", of.PlanID)
	}
	if of.ExternalID != "" {
		q = q.Where("u.external_id = ?", of.ExternalID).Where("u.external_id <> ''") // as the index says
	}
	var rows []hourlyRow
	err := q.GroupExpr("u.subject, u.external_id").OrderExpr("u.subject, u.external_id").Limit(int64(limit)).Scan(ctx, &rows)
	uses := make([]domain.HourlyUse, len(rows))
	for i, r := range rows {
		uses[i] = r.use()
	}
	return uses, s.error(err)
}
