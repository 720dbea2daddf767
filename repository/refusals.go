package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// RefusalCount counts the refused sign-ins of a subject in one hour.
type RefusalCount struct {
	Hour     time.Time // the start of the hour
	Subject  string    // the id of an account or an organization, or "instance"
	Recorded int       // how many became audit events
	Omitted  int
}

type refusalRow struct {
	bun.BaseModel `bun:"table:refusals,alias:r"`

	Hour     micros `bun:",pk"`
	Subject  string `bun:",pk"`
	Recorded int
	Omitted  int
}

func (r refusalRow) count() RefusalCount {
	return RefusalCount{r.Hour.Time, r.Subject, r.Recorded, r.Omitted}
}

// CountRefusals adds to the count of a subject in an hour, and returns the sum.
// It locks the count until the transaction ends.
func (s *Store) CountRefusals(ctx context.Context, add RefusalCount) (RefusalCount, error) {
	row := refusalRow{Hour: micros{add.Hour}, Subject: add.Subject, Recorded: add.Recorded, Omitted: add.Omitted}
	err := s.write.NewInsert().Model(&row).On("CONFLICT (hour, subject) DO UPDATE").
		Set("recorded = r.recorded + EXCLUDED.recorded").Set("omitted = r.omitted + EXCLUDED.omitted").Returning("*").Scan(ctx)
	return row.count(), s.error(err)
}

// EndRefusals removes and returns the counts of earlier hours.
func (s *Store) EndRefusals(ctx context.Context, before time.Time) ([]RefusalCount, error) {
	var rows []refusalRow
	err := s.write.NewDelete().Model(&rows).Where("r.hour < ?", micros{before}).Returning("*").Scan(ctx)
	counts := make([]RefusalCount, len(rows))
	for i, row := range rows {
		counts[i] = row.count()
	}
	return counts, s.error(err)
}
