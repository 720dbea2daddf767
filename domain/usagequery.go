package domain

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// UsageInterval is how much time one item of usage is about.
type UsageInterval string

// The intervals. Days and months are those of UTC.
const (
	PerMinute UsageInterval = "minute" // of a whole project, for the last 48 hours
	PerHour   UsageInterval = "hour"
	PerDay    UsageInterval = "day"
	PerMonth  UsageInterval = "month"
	InTotal   UsageInterval = "total" // the whole period
)

// UsageGroup is what one item of usage is about, besides its time.
type UsageGroup string

// The groups.
const (
	ByOutcome     UsageGroup = "outcome"
	ByKey         UsageGroup = "key"
	ByExternalID  UsageGroup = "external_id"
	ByEnvironment UsageGroup = "environment"
	ByPlan        UsageGroup = "plan"    // that the key has now; empty: none, or the key is gone
	ByTag         UsageGroup = "tag"     // of the questions that had one
	ByProject     UsageGroup = "project" // for the usage of an organization only
)

// Bounds of a question about usage.
const (
	MaxUsageGroups  = 2
	MinutesKept     = 48 * time.Hour
	MaxUsagePeriod  = 5 * 366 * 24 * time.Hour
	defaultUsage    = 30 * 24 * time.Hour
	maxCursorLength = 2000
)

// UsageQuery is a question about usage. A zero filter does not narrow.
type UsageQuery struct {
	Since, Until time.Time // Until is exclusive
	Interval     UsageInterval
	GroupBy      []UsageGroup

	KeyID       KeyID
	Keys        []KeyID // only uses of these
	ExternalID  string
	Customers   []string // only uses of keys with these external ids
	Environment Environment
	PlanID      PlanID // only uses of keys that have it now
	Tag         string // only questions with it
	Outcome     Outcome

	Busiest bool // the most requests first; otherwise by time, then by group
	Limit   int
	After   UsageCursor
}

// Complete returns the question with its defaults, and its period in whole hours,
// or minutes: usage is not known more finely. A page after the first one has the
// period of the first one. largest bounds a page.
func (q UsageQuery) Complete(now time.Time, largest int) (UsageQuery, error) {
	var v Invalid
	if q.Limit == 0 {
		q.Limit = DefaultPageSize
	}
	if q.Limit < 1 || q.Limit > largest {
		v.Add("limit", "must be 1 to %d", largest)
	}
	if q.Interval == "" {
		q.Interval = PerDay
	}
	q.setPeriod(now, &v)
	q.checkChoices(&v)
	if len(q.GroupBy) > MaxUsageGroups {
		v.Add("group_by", "must be at most %d groups", MaxUsageGroups)
	}
	if len(q.GroupBy) == MaxUsageGroups && q.GroupBy[0] == q.GroupBy[1] {
		v.Add("group_by", "must name a group once")
	}
	v.findable("external_id", q.ExternalID)
	q.checkTags(&v)
	return q, v.Err()
}

// setPeriod completes the period and checks it.
func (q *UsageQuery) setPeriod(now time.Time, v *Invalid) {
	step, longest, words := time.Hour, MaxUsagePeriod, "must be at most five years before until"
	byDefault := defaultUsage
	if q.Interval == PerMinute {
		step, longest, words = time.Minute, MinutesKept, "must be at most 48 hours before until for the interval minute"
		byDefault = MinutesKept
		q.checkMinutes(v)
	}
	if !q.After.IsZero() {
		q.Since, q.Until = q.After.Since, q.After.Until
		longest += step // it is in whole steps already
	}
	if q.Until.IsZero() {
		q.Until = now.Add(time.Microsecond) // the interval that has just begun, too
	}
	if q.Since.IsZero() {
		q.Since = q.Until.Add(-byDefault)
	}
	switch {
	case !storable(q.Since) || !storable(q.Until):
		v.Add("since", "must be a time (RFC 3339) of the years 1970 to 9999, as must until")
	case !q.Since.Before(q.Until):
		v.Add("until", "must be later than since")
	case q.Until.Sub(q.Since) > longest:
		v.Add("since", "%s", words)
	}
	q.Since = q.Since.UTC().Truncate(step)
	if until := q.Until.UTC().Truncate(step); until.Before(q.Until) {
		q.Until = until.Add(step)
	}
}

// Unread returns the complete question without the part of its period that is before
// the position, for the database to leave out.
func (q UsageQuery) Unread() UsageQuery {
	if !q.Busiest && q.After.Start.After(q.Since) {
		q.Since = q.After.Start
	}
	return q
}

// Cut returns a complete question in two: about so many days of its period, or
// months, and about what is after them. The items of both are those of the question,
// in its order. One that is about the whole period, or with the most requests first,
// cannot be cut: then rest has no period.
func (q UsageQuery) Cut(intervals int) (first, rest UsageQuery) {
	if q.Busiest || q.Interval == InTotal || q.Interval == PerMinute {
		return q, UsageQuery{}
	}
	first, rest = q.Unread(), q
	year, month, day := first.Since.UTC().Date()
	end := time.Date(year, month, day+intervals, 0, 0, 0, 0, time.UTC)
	if q.Interval == PerMonth {
		end = time.Date(year, month+time.Month(intervals), 1, 0, 0, 0, 0, time.UTC)
	}
	if !end.Before(q.Until) {
		return first, UsageQuery{}
	}
	first.Until, rest.Since, rest.After = end, end, UsageCursor{}
	return first, rest
}

// checkChoices refuses texts that name none of what there is to choose.
func (q UsageQuery) checkChoices(v *Invalid) {
	if !slices.Contains([]UsageInterval{PerMinute, PerHour, PerDay, PerMonth, InTotal}, q.Interval) {
		v.Add("interval", "must be minute, hour, day, month or total")
	}
	for _, g := range q.GroupBy {
		if !slices.Contains([]UsageGroup{ByOutcome, ByKey, ByExternalID, ByEnvironment, ByPlan, ByTag, ByProject}, g) {
			v.Add("group_by", "must be outcome, key, external_id, environment, plan, tag or project")
		}
	}
	if q.Environment != "" && q.Environment != Live && q.Environment != Test {
		v.Add("environment", "must be live or test")
	}
	if q.Outcome != "" && !slices.Contains(Outcomes, q.Outcome) {
		v.Add("outcome", "must be the code of a verification, or other")
	}
}

func (q UsageQuery) checkMinutes(v *Invalid) {
	if slices.ContainsFunc(q.GroupBy, func(g UsageGroup) bool { return g != ByOutcome }) {
		v.Add("group_by", "must be outcome or nothing for the interval minute")
	}
	if q.KeyID != "" || q.ExternalID != "" || q.Environment != "" || q.PlanID != "" || q.Tag != "" {
		v.Add("interval", "must be hour or longer for a part of the project")
	}
}

// checkTags refuses what nothing is known about: which keys a tag was used for.
func (q UsageQuery) checkTags(v *Invalid) {
	const words = "must not be combined with key, external_id, environment or plan: tags are counted for the whole project"
	v.Tag("tag", q.Tag)
	switch {
	case !q.OfTags() || !q.OfKeys():
	case q.Tag != "":
		v.Add("tag", words)
	default:
		v.Add("group_by", words)
	}
}

// OfKeys reports whether the answer is about keys, and not about whole projects.
func (q UsageQuery) OfKeys() bool {
	return q.KeyID != "" || len(q.Keys)+len(q.Customers) > 0 || q.ExternalID != "" || q.Environment != "" || q.PlanID != "" ||
		slices.ContainsFunc(q.GroupBy, func(g UsageGroup) bool {
			return g == ByKey || g == ByExternalID || g == ByEnvironment || g == ByPlan
		})
}

// OfPlans reports whether the answer needs the plans of keys.
func (q UsageQuery) OfPlans() bool { return q.PlanID != "" || slices.Contains(q.GroupBy, ByPlan) }

// OfTags reports whether the answer is about tags, and not about whole projects.
func (q UsageQuery) OfTags() bool { return q.Tag != "" || slices.Contains(q.GroupBy, ByTag) }

// UsageItem is how often keys were used in one interval, by one group.
type UsageItem struct {
	Start    time.Time
	Groups   []string               // the values of UsageQuery.GroupBy
	Names    [MaxUsageGroups]string // that they have now; empty: there is none, or what it is of is gone
	Requests int64
	Outcomes map[Outcome]int64 // those that there were
}

// Group returns the value of a group of the query, and whether it has that group.
func (i UsageItem) Group(q UsageQuery, g UsageGroup) (string, bool) {
	at := slices.Index(q.GroupBy, g)
	if at < 0 {
		return "", false
	}
	return i.Groups[at], true
}

// Name returns the name that the value of a group of the query has now, or "" for
// none.
func (i UsageItem) Name(q UsageQuery, g UsageGroup) string {
	at := slices.Index(q.GroupBy, g)
	if at < 0 {
		return ""
	}
	return i.Names[at]
}

// named reports whether what a group is about has an id and a name.
func (g UsageGroup) named() bool { return g == ByKey || g == ByPlan || g == ByProject }

// Columns name the cells of UsageItem.Row for items of the query.
func (q UsageQuery) Columns() []string {
	columns := []string{"start"}
	for _, g := range q.GroupBy {
		if g.named() {
			columns = append(columns, string(g)+"_id", string(g)+"_name")
		} else {
			columns = append(columns, string(g))
		}
	}
	columns = append(columns, "requests")
	for _, o := range Outcomes {
		columns = append(columns, string(o))
	}
	return columns
}

// Row returns the item as a row of a table that a spreadsheet can open: the time
// is in RFC 3339, and no cell is a formula.
func (i UsageItem) Row(q UsageQuery) []string {
	row := []string{i.Start.UTC().Format(time.RFC3339)}
	for n, g := range q.GroupBy {
		row = append(row, inert(i.Groups[n]))
		if g.named() {
			row = append(row, inert(i.Names[n]))
		}
	}
	row = append(row, strconv.FormatInt(i.Requests, 10))
	for _, o := range Outcomes {
		row = append(row, strconv.FormatInt(i.Outcomes[o], 10))
	}
	return row
}

// UsageCursor is the position of an item in a list, and the period that the list is
// about.
type UsageCursor struct {
	Start        time.Time
	Groups       [MaxUsageGroups]string
	Requests     int64
	Since, Until time.Time
}

// IsZero reports whether c is no position.
func (c UsageCursor) IsZero() bool { return c.Start.IsZero() }

// Cursor returns the position of the item in the answer to a complete question.
func (i UsageItem) Cursor(q UsageQuery) (c UsageCursor) {
	c = UsageCursor{Start: i.Start, Requests: i.Requests, Since: q.Since, Until: q.Until}
	copy(c.Groups[:], i.Groups)
	return c
}

// String returns the opaque form that clients send back, or "" for the zero
// cursor.
func (c UsageCursor) String() string {
	if c.IsZero() {
		return ""
	}
	text, _ := json.Marshal([]any{ //nolint:errchkjson // numbers and texts are never refused
		c.Start.UnixMicro(), c.Requests, c.Groups[0], c.Groups[1], c.Since.UnixMicro(), c.Until.UnixMicro(),
	})
	return base64.RawURLEncoding.EncodeToString(text)
}

// ParseUsageCursor reads what UsageCursor.String returned; empty text is the zero
// cursor. Other text gives validation_failed.
func ParseUsageCursor(s string) (UsageCursor, error) {
	var c UsageCursor
	if s == "" {
		return c, nil
	}
	var start, since, until int64
	text, _ := base64.RawURLEncoding.DecodeString(s) // what cannot be read does not come back as it was
	_ = json.Unmarshal(text, &[]any{&start, &c.Requests, &c.Groups[0], &c.Groups[1], &since, &until})
	c.Start, c.Since, c.Until = time.UnixMicro(start).UTC(), time.UnixMicro(since).UTC(), time.UnixMicro(until).UTC()
	if len(s) > maxCursorLength || c.String() != s || !printable(c.Groups[0]+c.Groups[1]) {
		var v Invalid
		v.Add("cursor", "is not a cursor of this list; start again without one")
		return UsageCursor{}, v.Err()
	}
	return c, nil
}

// Usage is a page of the answer.
type Usage struct {
	Query UsageQuery // with its defaults
	Items []UsageItem
	Next  UsageCursor // zero: this was the last page

	// An hour that ended before CompleteUntil does not change any more. Lossy means
	// that a node was killed in the period, so that what it counted in its last
	// seconds may be missing.
	CompleteUntil time.Time
	Lossy         bool
}
