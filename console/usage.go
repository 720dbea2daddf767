package console

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// usagePeriod is one choice of how far back the page about usage looks.
type usagePeriod struct {
	Value, Name string
	interval    domain.UsageInterval
	bars        int
	format      string // of the start of an interval
}

var usagePeriods = []usagePeriod{
	{"24h", "24 hours", domain.PerHour, 24, "2 January, 15:04"},
	{"7d", "7 days", domain.PerHour, 7 * 24, "2 January, 15:04"},
	{"30d", "30 days", domain.PerDay, historyDays, "2 January"},
	{"12m", "12 months", domain.PerMonth, 12, "January 2006"},
}

// Places of periods.
const (
	lastDay       = 0
	defaultPeriod = 2 // 30 days
)

// start returns the start of the bar with a number, of which the last one has now.
func (p usagePeriod) start(now time.Time, bar int) time.Time {
	back := p.bars - 1 - bar
	switch now = now.UTC(); p.interval {
	case domain.PerMonth:
		return time.Date(now.Year(), now.Month()-time.Month(back), 1, 0, 0, 0, 0, time.UTC)
	case domain.PerDay:
		return today(now).AddDate(0, 0, -back)
	}
	return now.Truncate(time.Hour).Add(-time.Duration(back) * time.Hour)
}

// busiestRows is how many keys and customers a page names.
const busiestRows = 10

// usageRow is a row of a table of usage.
type usageRow struct {
	Name, URL               string
	Requests                int
	Valid, Limited, Refused int
	Share                   string // of all requests
}

type usagePage struct {
	Project   domain.Project
	Periods   []usagePeriod
	Period    usagePeriod
	KeyID     string // filters
	Customer  string
	Chart     chart
	Rows      []usageRow // by interval, those with use
	Keys      []usageRow // the busiest
	Customers []usageRow
	BusiestIn string // name of the period in which they are
	Busiest   string // URL of the page with those of the whole period; empty: this page has them
	Total     int
	Export    string // URL of the same numbers as CSV
	Complete  time.Time
	Lossy     bool
}

// usageQuestion reads the period and the filters in the address.
func (v *visit) usageQuestion() (usagePeriod, domain.UsageQuery, error) {
	period := usagePeriods[defaultPeriod]
	for _, p := range usagePeriods {
		if p.Value == v.QueryParam("period") {
			period = p
		}
	}
	q := domain.UsageQuery{
		Since: period.start(v.layout.Now, 0), Interval: period.interval, ExternalID: v.QueryParam("external_id"), Limit: domain.MaxPageSize,
	}
	if id := v.QueryParam("key"); id != "" {
		var err error
		if q.KeyID, err = domain.ParseID[domain.KeyID](id); err != nil {
			return period, q, err
		}
	}
	return period, q, nil
}

func showUsage(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	period, q, err := v.usageQuestion()
	if err != nil {
		return err
	}
	usage, err := p.Usage(v.ctx(), q)
	if err != nil {
		return err
	}
	page := usagePage{
		Project:  project,
		Periods:  usagePeriods,
		Period:   period,
		KeyID:    string(q.KeyID),
		Customer: q.ExternalID,
		Chart:    usageChart(usage.Items, period, v.layout.Now),
		Complete: usage.CompleteUntil,
		Lossy:    usage.Lossy,
		Export:   projectURL(project) + "/usage/export?" + usageParameters(period.Value, q).Encode(),
	}
	page.Rows, page.Total = usageRows(usage.Items, period), page.Chart.Total()
	whole := v.QueryParam("busiest") == "all" || period.Value == usagePeriods[lastDay].Value
	if page.BusiestIn = period.Name; !whole {
		page.BusiestIn, q.Since = usagePeriods[lastDay].Name, usagePeriods[lastDay].start(v.layout.Now, 0)
		page.Busiest = projectURL(project) + "/usage?busiest=all&" + usageParameters(period.Value, q).Encode()
	}
	if page.Keys, err = v.busiest(p, project, q, domain.ByKey, period); err != nil {
		return err
	}
	if page.Customers, err = v.busiest(p, project, q, domain.ByExternalID, period); err != nil {
		return err
	}
	return v.render(done, "usage", "Usage", page)
}

// usageParameters are those of an address of the page.
func usageParameters(period string, q domain.UsageQuery) url.Values {
	parameters := url.Values{"period": {period}}
	if q.KeyID != "" {
		parameters.Set("key", string(q.KeyID))
	}
	if q.ExternalID != "" {
		parameters.Set("external_id", q.ExternalID)
	}
	return parameters
}

// busiest returns the keys or customers with the most requests, each with an
// address that shows it alone. It reads a row for each key and day, so pages look at
// the last day, unless they are asked for more.
func (v *visit) busiest(
	p *service.Project, project domain.Project, q domain.UsageQuery, by domain.UsageGroup, period usagePeriod,
) ([]usageRow, error) {
	q.Interval, q.GroupBy, q.Busiest, q.Limit = domain.InTotal, []domain.UsageGroup{by}, true, busiestRows
	usage, err := p.Usage(v.ctx(), q)
	if err != nil {
		return nil, err
	}
	var rows []usageRow
	for _, i := range usage.Items {
		row, narrowed := newUsageRow(i), q
		switch id := i.Groups[0]; {
		case by == domain.ByKey:
			narrowed.KeyID, row.Name = domain.KeyID(id), i.Names[0]
			if row.Name == "" {
				row.Name = "deleted: " + id
			}
		case id == "":
			continue // keys without a customer
		default:
			narrowed.ExternalID, row.Name = id, id
		}
		row.URL = projectURL(project) + "/usage?" + usageParameters(period.Value, narrowed).Encode()
		rows = append(rows, row)
	}
	return shared(rows), nil
}

// shared adds to each row its part of all requests of the rows.
func shared(rows []usageRow) []usageRow {
	total := 0
	for _, r := range rows {
		total += r.Requests
	}
	for i := range rows {
		rows[i].Share = fmt.Sprintf("%.0f %%", 100*float64(rows[i].Requests)/float64(max(total, 1)))
	}
	return rows
}

// usageRows are the items of a period as a table.
func usageRows(items []domain.UsageItem, period usagePeriod) (rows []usageRow) {
	for _, i := range items {
		row := newUsageRow(i)
		row.Name = i.Start.Format(period.format)
		rows = append(rows, row)
	}
	return rows
}

func newUsageRow(i domain.UsageItem) usageRow {
	r := usageRow{Requests: int(i.Requests), Valid: int(i.Outcomes[domain.OutcomeValid])}
	for _, o := range []domain.Outcome{domain.OutcomeRateLimited, domain.OutcomeQuotaExceeded, domain.OutcomeCreditsExhausted} {
		r.Limited += int(i.Outcomes[o])
	}
	r.Refused = r.Requests - r.Valid - r.Limited
	return r
}

// usageChart stacks the outcomes of each interval: valid ones below, then those
// that a limit refused, then all others that were refused.
func usageChart(items []domain.UsageItem, period usagePeriod, now time.Time) chart {
	at := map[time.Time]usageRow{}
	highest := 1
	var sum usageRow
	for _, i := range items {
		r := newUsageRow(i)
		at[i.Start] = r
		highest = max(highest, r.Requests)
		sum.Requests, sum.Valid = sum.Requests+r.Requests, sum.Valid+r.Valid
		sum.Limited, sum.Refused = sum.Limited+r.Limited, sum.Refused+r.Refused
	}
	c := chart{
		Width:  2 * chartWidth,
		Height: chartHeight,
		Base:   chartHeight - 2,
		From:   period.Name + " ago",
		To:     "now",
		Label: fmt.Sprintf("Requests in the last %s: %d, of which %d were valid, %d were refused by a limit and %d for other reasons",
			period.Name, sum.Requests, sum.Valid, sum.Limited, sum.Refused),
		Legend: []legend{{"active", "valid", sum.Valid}, {"expired", "limited", sum.Limited}, {"revoked", "refused", sum.Refused}},
	}
	step := float64(c.Width) / float64(period.bars)
	gap := min(2, step/4)
	for n := range period.bars {
		start := period.start(now, n)
		r, y := at[start], float64(c.Base)
		for _, part := range []legend{{"active", "valid", r.Valid}, {"expired", "limited", r.Limited}, {"revoked", "refused", r.Refused}} {
			if part.Count == 0 {
				continue
			}
			h := max(float64(c.Base-2)*float64(part.Count)/float64(highest), 1)
			y -= h
			title := start.Format(period.format) + ": " + count(part.Count, part.Name, part.Name)
			c.Bars = append(c.Bars, bar{step*float64(n) + gap/2, y, step - gap, h, part.Class, title})
		}
	}
	return c
}

// exportUsage answers with the numbers that the page shows, as CSV.
func exportUsage(v *visit) error {
	p, _, err := v.project()
	if err != nil {
		return err
	}
	_, q, err := v.usageQuestion()
	if err != nil {
		return err
	}
	q.Limit = 0
	export, usage, err := p.ExportUsage(v.ctx(), q)
	if err != nil {
		return err
	}
	v.Response().Header().Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	v.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="usage.csv"`)
	row := func(i domain.UsageItem) ([]string, error) { return i.Row(usage.Query), nil }
	if err := export.All(domain.Table(v.Response(), usage.Query.Columns(), row)); err != nil {
		v.console.config.Log.WarnContext(v.ctx(), "an export of usage failed", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// sparks draws the last 30 days of keys, each to its own scale.
func (v *visit) sparks(p *service.Project, keys []domain.Key) (map[domain.KeyID]chart, error) {
	ids := make([]domain.KeyID, len(keys))
	for i, k := range keys {
		ids[i] = k.ID
	}
	period := usagePeriods[defaultPeriod]
	histories, err := p.UsageOfKeys(v.ctx(), ids, period.start(v.layout.Now, 0))
	return sparksOf(histories, v.layout.Now), err
}

// sparksOf draws histories of the last 30 days.
func sparksOf[ID comparable](histories map[ID][]domain.UsageItem, now time.Time) map[ID]chart {
	sparks := map[ID]chart{}
	for id, items := range histories {
		c := usageChart(items, usagePeriods[defaultPeriod], now)
		c.Label = count(c.Total(), "request", "requests") + " in 30 days"
		sparks[id] = c
	}
	return sparks
}
