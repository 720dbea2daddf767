package repository

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	oneDay     = 24 * time.Hour
	hoursOfDay = 24
)

type usageDayRow struct {
	bun.BaseModel `bun:"table:usage_days,alias:u"`

	ProjectID domain.ProjectID
}

type usageMinuteRow struct {
	bun.BaseModel `bun:"table:usage_minutes,alias:u"`

	ProjectID domain.ProjectID
}

// usageRow is an item as the database sums it up.
type usageRow struct {
	Start    micros
	A, B     string // the groups
	Requests int64

	Valid, RateLimited, QuotaExceeded, CreditsExhausted, InsufficientScope, WrongEnvironment, AddressNotAllowed,
	Expired, Revoked, ProjectDisabled, NotFound, Reported, Other int64
}

func (r usageRow) item(groups int) domain.UsageItem {
	i := domain.UsageItem{
		Start: r.Start.Time, Groups: []string{r.A, r.B}[:groups], Requests: r.Requests, Outcomes: map[domain.Outcome]int64{},
	}
	for n, count := range []int64{
		r.Valid, r.RateLimited, r.QuotaExceeded, r.CreditsExhausted, r.InsufficientScope, r.WrongEnvironment, r.AddressNotAllowed,
		r.Expired, r.Revoked, r.ProjectDisabled, r.NotFound, r.Reported, r.Other,
	} {
		if count > 0 {
			i.Outcomes[domain.Outcomes[n]] = count
		}
	}
	return i
}

// ProjectUsage answers a question about a project, which must be complete. It reads
// one item more than the page has.
func (s *Store) ProjectUsage(ctx context.Context, scope domain.ProjectScope, q domain.UsageQuery) ([]domain.UsageItem, error) {
	if q.Interval == domain.PerMinute {
		return s.sumUsage(ctx, minutesOf(s, scope, q), q)
	}
	of := hoursIn(selectIn(s, scope, (*usageDayRow)(nil)), q.Unread())
	switch {
	case q.Tag != "":
		of = of.Where("u.subject = ?", tagKind+q.Tag)
	case q.OfTags():
		of = of.Where("u.subject LIKE ?", tagKind+"%")
	case q.OfKeys():
		of = of.Where("u.subject <> u.project_id").Where("u.subject NOT LIKE ?", tagKind+"%")
	default:
		of = of.Where("u.subject = ?", scope.Project())
	}
	if q.OfPlans() {
		of = of.Join("LEFT JOIN api_keys AS k ON k.project_id = u.project_id AND k.id = u.subject")
	}
	if q.PlanID != "" {
		of = of.Where("k.plan_id = ?", q.PlanID)
	}
	if q.KeyID != "" {
		of = of.Where("u.subject = ?", q.KeyID)
	}
	if len(q.Keys) > 0 {
		of = of.Where("u.subject IN (?)", bun.List(q.Keys))
	}
	if q.ExternalID != "" {
		of = of.Where("u.external_id = ?", q.ExternalID).Where("u.external_id <> ''") // as the index says
	}
	if len(q.Customers) > 0 {
		of = of.Where("u.external_id IN (?)", bun.List(q.Customers)).Where("u.external_id <> ''")
	}
	if q.Environment != "" {
		of = of.Where("u.environment = ?", q.Environment)
	}
	return s.sumUsage(ctx, of, q)
}

// OrganizationUsage is like ProjectUsage, for all projects of an organization.
func (s *Store) OrganizationUsage(ctx context.Context, scope domain.OrganizationScope, q domain.UsageQuery) ([]domain.UsageItem, error) {
	of := hoursIn(selectIn(s, scope, (*usageDayRow)(nil)), q.Unread()).Where("u.subject = u.project_id").
		Where("u.project_id IN (?)", selectIn(s, scope, (*projectRow)(nil)).Column("id").Where(projectStanding))
	return s.sumUsage(ctx, of, q)
}

// sumUsage sums up rows of start, a, b, measure and n.
func (s *Store) sumUsage(ctx context.Context, of *bun.SelectQuery, q domain.UsageQuery) ([]domain.UsageItem, error) {
	sums := s.read.NewSelect().TableExpr("(?) AS c", of).Column("start", "a", "b").
		ColumnExpr("SUM(CASE WHEN measure = ? THEN 0 ELSE n END) AS requests", domain.OutcomeReported).
		Where("n > 0").GroupExpr("start, a, b")
	for _, o := range domain.Outcomes {
		sums = sums.ColumnExpr("SUM(CASE WHEN measure = ? THEN n ELSE 0 END) AS ?", o, bun.Ident(string(o)))
	}
	page := s.read.NewSelect().TableExpr("(?) AS s", sums).ColumnExpr("s.*").Limit(int64(q.Limit) + 1)
	after := q.After
	position := []any{micros{after.Start}, after.Groups[0], after.Groups[1]}
	switch {
	case q.Busiest && !after.IsZero():
		page = page.Where("(requests < ? OR requests = ? AND (start, a, b) > (?, ?, ?))",
			append([]any{after.Requests, after.Requests}, position...)...)
	case !after.IsZero():
		page = page.Where("(start, a, b) > (?, ?, ?)", position...)
	}
	if q.Busiest {
		page = page.OrderExpr("requests DESC")
	}
	var rows []usageRow
	if err := page.OrderExpr("start, a, b").Scan(ctx, &rows); err != nil {
		return nil, s.error(err)
	}
	items := make([]domain.UsageItem, len(rows))
	for i, r := range rows {
		items[i] = r.item(len(q.GroupBy))
	}
	return items, nil
}

// minutesOf returns the counts of a project by minute.
func minutesOf(s *Store, scope domain.ProjectScope, q domain.UsageQuery) *bun.SelectQuery {
	a, b := groupsOf(q)
	of := selectIn(s, scope, (*usageMinuteRow)(nil)).ColumnExpr("u.minute AS start").ColumnExpr("? AS a", a).ColumnExpr("? AS b", b).
		Column("measure").ColumnExpr("u.total AS n").
		Where("u.minute >= ?", micros{q.Since}).Where("u.minute < ?", micros{q.Until})
	return measured(of, q)
}

// hoursIn narrows a query of days to what counts in the period, by interval.
func hoursIn(of *bun.SelectQuery, q domain.UsageQuery) *bun.SelectQuery {
	a, b := groupsOf(q)
	of = of.ColumnExpr("? AS start", startOf(q)).ColumnExpr("? AS a", a).ColumnExpr("? AS b", b).Column("measure")
	if q.Interval == domain.PerHour {
		of = of.ColumnExpr("? AS n", hourOfRow()).
			Join("CROSS JOIN (VALUES "+numbered(0, hoursOfDay, "(%d)", ", ")+") AS h").
			Where("u.day + h.column1 * ? >= ?", time.Hour.Microseconds(), micros{q.Since}).
			Where("u.day + h.column1 * ? < ?", time.Hour.Microseconds(), micros{q.Until})
	} else {
		of = of.ColumnExpr("? AS n", countOfDay(q))
	}
	return measured(of.Where("u.day >= ?", micros{dayOf(q.Since)}).Where("u.day < ?", micros{q.Until}), q)
}

// measured narrows a query to the outcomes that are asked for: there are measures
// of other kinds.
func measured(of *bun.SelectQuery, q domain.UsageQuery) *bun.SelectQuery {
	if q.Outcome != "" {
		return of.Where("u.measure = ?", q.Outcome)
	}
	return of.Where("u.measure IN (?)", bun.List(domain.Outcomes))
}

// groupsOf returns the columns of the groups.
func groupsOf(q domain.UsageQuery) (a, b bun.Safe) {
	columns := [domain.MaxUsageGroups]bun.Safe{"''", "''"}
	for i, g := range q.GroupBy {
		switch g {
		case domain.ByOutcome:
			columns[i] = "u.measure"
		case domain.ByKey:
			columns[i] = "u.subject"
		case domain.ByExternalID:
			columns[i] = "u.external_id"
		case domain.ByEnvironment:
			columns[i] = "u.environment"
		case domain.ByPlan:
			columns[i] = "COALESCE(k.plan_id, '')"
		case domain.ByTag:
			columns[i] = bun.Safe(fmt.Sprintf("substr(u.subject, %d)", len(tagKind)+1))
		case domain.ByProject:
			columns[i] = "u.project_id"
		}
	}
	return columns[0], columns[1]
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(oneDay) }

// startOf returns when the interval of a row begins, in microseconds.
func startOf(q domain.UsageQuery) bun.Safe {
	switch q.Interval {
	case domain.PerHour:
		return bun.Safe(fmt.Sprintf("u.day + h.column1 * %d", time.Hour.Microseconds()))
	case domain.InTotal:
		return bun.Safe(strconv.FormatInt(q.Since.UnixMicro(), 10))
	case domain.PerMonth:
		var cases strings.Builder
		month := dayOf(q.Since).AddDate(0, 0, 1-q.Since.Day())
		for ; month.Before(q.Until); month = month.AddDate(0, 1, 0) {
			fmt.Fprintf(&cases, " WHEN u.day < %d THEN %d", month.AddDate(0, 1, 0).UnixMicro(), month.UnixMicro())
		}
		return bun.Safe("CASE" + cases.String() + " END")
	}
	return "u.day"
}

// countOfDay returns what counts of a day: all of it, or on the first and the last
// day of the period the hours that belong to it.
func countOfDay(q domain.UsageQuery) bun.Safe {
	first, last := dayOf(q.Since), dayOf(q.Until.Add(-time.Hour))
	var cases strings.Builder
	for _, day := range []time.Time{first, last} {
		from, to := max(0, hoursFrom(day, q.Since)), min(hoursOfDay, hoursFrom(day, q.Until))
		if from > 0 || to < hoursOfDay {
			fmt.Fprintf(&cases, " WHEN u.day = %d THEN %s", day.UnixMicro(), numbered(from, to, "COALESCE(u.h%02d, 0)", " + "))
		}
	}
	if cases.Len() == 0 {
		return "u.total"
	}
	return bun.Safe("CASE" + cases.String() + " ELSE u.total END")
}

func hoursFrom(day, t time.Time) int { return int(t.Sub(day) / time.Hour) }

// hourOfRow returns the count of the hour that a row of hours names.
func hourOfRow() bun.Safe {
	cases := make([]string, hoursOfDay)
	for hour := range cases {
		cases[hour] = fmt.Sprintf("WHEN %d THEN u.h%02d", hour, hour)
	}
	return bun.Safe("CASE h.column1 " + strings.Join(cases, " ") + " END")
}

// numbered formats the numbers from first to below end.
func numbered(first, end int, format, separator string) string {
	var all []string
	for n := first; n < end; n++ {
		all = append(all, fmt.Sprintf(format, n))
	}
	return strings.Join(all, separator)
}

// KeyNames returns the names of keys of the project, those that there are.
func (s *Store) KeyNames(ctx context.Context, scope domain.ProjectScope, ids []string) (map[string]string, error) {
	return s.names(ctx, selectIn(s, scope, (*keyRow)(nil)).Column("id", "name"), ids)
}

// PlanNames returns the names of plans of the project, those that there are.
func (s *Store) PlanNames(ctx context.Context, scope domain.ProjectScope, ids []string) (map[string]string, error) {
	return s.names(ctx, selectIn(s, scope, (*planRow)(nil)).Column("id", "name"), ids)
}

// ProjectNames returns the names of projects of the organization, those that there
// are.
func (s *Store) ProjectNames(ctx context.Context, scope domain.OrganizationScope, ids []string) (map[string]string, error) {
	return s.names(ctx, selectIn(s, scope, (*projectRow)(nil)).Column("id", "name"), ids)
}

func (s *Store) names(ctx context.Context, of *bun.SelectQuery, ids []string) (map[string]string, error) {
	names := map[string]string{}
	if len(ids) == 0 {
		return names, nil
	}
	var rows []struct{ ID, Name string }
	if err := of.Where("?TableAlias.id IN (?)", bun.List(ids)).Scan(ctx, &rows); err != nil {
		return nil, s.error(err)
	}
	for _, r := range rows {
		names[r.ID] = r.Name
	}
	return names, nil
}

// UsageComplete returns the moment up to which all nodes but the one named here that
// have reported since alive have written what they counted, the zero time if there
// are none; and whether a node was killed whose last batch is of the period.
func (s *Store) UsageComplete(
	ctx context.Context, here string, alive, since, until time.Time,
) (complete time.Time, lossy bool, err error) {
	var found struct {
		Complete micros
		Lossy    int
	}
	err = s.read.NewRaw(`SELECT
		(SELECT MIN(flushed_at) FROM nodes WHERE flushed_at > 0 AND seen_at >= ? AND id <> ?) AS complete,
		(SELECT COUNT(*) FROM flushes WHERE at >= ? AND at < ?
			AND node_id NOT IN (SELECT id FROM nodes WHERE seen_at >= ?) AND node_id <> ?) AS lossy`,
		micros{alive}, here, micros{since}, micros{until}, micros{alive}, here).Scan(ctx, &found)
	return found.Complete.Time, found.Lossy > 0, s.error(err)
}
