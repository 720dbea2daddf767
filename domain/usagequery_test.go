package domain_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// A question about usage is answered for whole intervals, up to its bounds, and a
// mistake in it is named.
func TestUsageQuery(t *testing.T) {
	t.Parallel()
	hour := now.Truncate(time.Hour)
	for name, test := range map[string]struct {
		query, want domain.UsageQuery
	}{
		"nothing asked": {
			domain.UsageQuery{},
			domain.UsageQuery{Since: hour.Add(-720 * time.Hour), Until: hour.Add(time.Hour), Interval: domain.PerDay, Limit: 50},
		},
		"minutes": {
			domain.UsageQuery{Interval: domain.PerMinute, Limit: 1, GroupBy: []domain.UsageGroup{domain.ByOutcome}},
			domain.UsageQuery{
				Since:    now.Truncate(time.Minute).Add(-48 * time.Hour),
				Until:    now.Truncate(time.Minute).Add(time.Minute),
				Interval: domain.PerMinute,
				Limit:    1,
				GroupBy:  []domain.UsageGroup{domain.ByOutcome},
			},
		},
		"five years": {
			domain.UsageQuery{Since: hour.Add(-domain.MaxUsagePeriod), Until: hour, Interval: domain.PerMonth, Limit: 100},
			domain.UsageQuery{Since: hour.Add(-domain.MaxUsagePeriod), Until: hour, Interval: domain.PerMonth, Limit: 100},
		},
	} {
		got, err := test.query.Complete(now, 100)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	for name, test := range map[string]struct {
		query domain.UsageQuery
		want  []string
	}{
		"too many":          {domain.UsageQuery{Limit: 101}, []string{"limit"}},
		"fewer than none":   {domain.UsageQuery{Limit: -1}, []string{"limit"}},
		"before 1970":       {domain.UsageQuery{Since: time.Unix(-1, 0)}, []string{"since"}},
		"no time":           {domain.UsageQuery{Since: now, Until: now}, []string{"until"}},
		"over five years":   {domain.UsageQuery{Since: hour.Add(-domain.MaxUsagePeriod - 1), Until: hour}, []string{"since"}},
		"three groups":      {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByKey, domain.ByOutcome, domain.ByProject}}, []string{"group_by"}},
		"a group twice":     {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByKey, domain.ByKey}}, []string{"group_by"}},
		"NUL":               {domain.UsageQuery{ExternalID: "a\x00"}, []string{"external_id"}},
		"minutes of keys":   {domain.UsageQuery{Interval: domain.PerMinute, GroupBy: []domain.UsageGroup{domain.ByKey}}, []string{"group_by"}},
		"minutes of a key":  {domain.UsageQuery{Interval: domain.PerMinute, KeyID: "key_1"}, []string{"interval"}},
		"minutes, test":     {domain.UsageQuery{Interval: domain.PerMinute, Environment: domain.Test}, []string{"interval"}},
		"minutes, external": {domain.UsageQuery{Interval: domain.PerMinute, ExternalID: "x"}, []string{"interval"}},
		"older minutes":     {domain.UsageQuery{Interval: domain.PerMinute, Since: now.Add(-48 * time.Hour)}, []string{"since"}},
	} {
		_, err := test.query.Complete(now, 100)
		if diff := cmp.Diff(test.want, fields(t, err)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Guarantees that the period of a later page is that of the first one, also the
// longest that there is, and no longer one than can be asked for.
func TestPeriodOfAPage(t *testing.T) {
	t.Parallel()
	for _, first := range []domain.UsageQuery{
		{Interval: domain.InTotal},
		{Interval: domain.PerMinute},
		{Interval: domain.PerMonth, Since: now.Add(-domain.MaxUsagePeriod), Until: now},
	} {
		want, err := first.Complete(now, 100)
		if err != nil {
			t.Fatal(err)
		}
		later := first
		later.After = domain.UsageItem{Start: now}.Cursor(want)
		got, err := later.Complete(now.Add(time.Hour), 100)
		if err != nil || !got.Since.Equal(want.Since) || !got.Until.Equal(want.Until) {
			t.Errorf("%s: got %v to %v, %v, want %v to %v", first.Interval, got.Since, got.Until, err, want.Since, want.Until)
		}
		later.After.Since = want.Since.Add(-time.Hour)
		if _, err := later.Complete(now, 100); first.Interval != domain.InTotal && err == nil {
			t.Errorf("%s: a forged cursor has a longer period", first.Interval)
		}
	}
}

// A row has a cell for each column, and no cell is a formula.
func TestUsageRow(t *testing.T) {
	t.Parallel()
	q := domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByKey, domain.ByExternalID}}
	item := domain.UsageItem{
		Start: now, Groups: []string{"key_1", "=1"}, Names: [2]string{"+ci"}, Requests: 7,
		Outcomes: map[domain.Outcome]int64{domain.Outcomes[0]: 5},
	}
	want := []string{"2026-03-04T05:06:07Z", "key_1", "'+ci", "'=1", "7", "5"}
	columns := []string{"start", "key_id", "key_name", "external_id", "requests", string(domain.Outcomes[0])}
	for _, o := range domain.Outcomes[1:] {
		want, columns = append(want, "0"), append(columns, string(o))
	}
	if diff := cmp.Diff(want, item.Row(q)) + cmp.Diff(columns, q.Columns()); diff != "" {
		t.Error(diff)
	}
	for group, value := range map[domain.UsageGroup]string{domain.ByKey: "key_1", domain.ByExternalID: "=1", domain.ByOutcome: ""} {
		if got, ok := item.Group(q, group); got != value || ok != (value != "") {
			t.Errorf("%s: got %q, %v, want %q", group, got, ok, value)
		}
	}
	for group, want := range map[domain.UsageGroup]string{domain.ByKey: "+ci", domain.ByExternalID: "", domain.ByPlan: ""} {
		if got := item.Name(q, group); got != want {
			t.Errorf("%s: got the name %q, want %q", group, got, want)
		}
	}
}

// Guarantees that a cursor comes back as the place it was made for, and that other
// text is refused.
func TestUsageCursor(t *testing.T) {
	t.Parallel()
	item := domain.UsageItem{Start: now.Truncate(time.Microsecond), Groups: []string{"key_1", "é"}, Requests: 7}
	want := item.Cursor(domain.UsageQuery{Since: now.Truncate(time.Hour), Until: now.Truncate(time.Hour).Add(time.Hour)})
	if groups := [2]string{"key_1", "é"}; want.Groups != groups || want.Requests != 7 || !want.Start.Equal(item.Start) {
		t.Errorf("got %+v, want the place of %+v", want, item)
	}
	got, err := domain.ParseUsageCursor(want.String())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if got, err := domain.ParseUsageCursor(""); err != nil || !got.IsZero() || got.String() != "" {
		t.Errorf("got %+v, %v, want no position", got, err)
	}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	nul, long := want, want
	nul.Groups[0], long.Groups[0] = "a\x00", strings.Repeat("x", 2000)
	for _, bad := range []string{
		"!", want.String() + "=", encode("{}"), encode("[1]"), encode(`[1, 2, "", "", 3, 4]`),
		encode(`["1",2,"","",3,4]`), encode(`[1,2,"","",3,4,5]`),
		encode(`[1,2,"","",3]`), encode(`[1,2,"",""]`),
		nul.String(), long.String(),
	} {
		got, err := domain.ParseUsageCursor(bad)
		if diff := cmp.Diff([]string{"cursor"}, fields(t, err)); diff != "" || got != (domain.UsageCursor{}) {
			t.Errorf("%q: got %+v %s", bad, got, diff)
		}
	}
}

// An export begins with the names of its columns, and ends with the first failure.
func TestTable(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	row := func(n int) ([]string, error) {
		if n < 0 {
			return nil, refused
		}
		return []string{strings.Repeat("x", n), "a,b"}, nil
	}
	var out bytes.Buffer
	write := domain.Table(&out, []string{"one", "two"}, row)
	if err := write([]int{1, 2}); err != nil || out.String() != "one,two\r\nx,\"a,b\"\r\nxx,\"a,b\"\r\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if err := write([]int{-1}); !errors.Is(err, refused) {
		t.Errorf("got %v, want the row's failure", err)
	}
	if err := domain.Table(broken{}, []string{"one"}, row)([]int{1}); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the writer's failure", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// Guarantees that a question that is cut asks about the whole period once, in whole
// intervals, from any position.
func TestCutUsageQuery(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		t.Helper()
		got, err := time.Parse("2006-01-02T15", text)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	period := domain.UsageQuery{Since: at("2026-01-31T15"), Until: at("2026-04-01T07"), Limit: 5}
	for name, test := range map[string]struct {
		interval domain.UsageInterval
		busiest  bool
		after    string
		cut      int
		want     []string // where the parts end
	}{
		"hours":       {domain.PerHour, false, "", 40, []string{"2026-03-12T00", "2026-04-01T07"}},
		"days":        {domain.PerDay, false, "", 31, []string{"2026-03-03T00", "2026-04-01T07"}},
		"rest of day": {domain.PerDay, false, "2026-03-30T00", 1, []string{"2026-03-31T00", "2026-04-01T00", "2026-04-01T07"}},
		"months":      {domain.PerMonth, false, "", 1, []string{"2026-02-01T00", "2026-03-01T00", "2026-04-01T00", "2026-04-01T07"}},
		"two months":  {domain.PerMonth, false, "2026-02-01T00", 2, []string{"2026-04-01T00", "2026-04-01T07"}},
		"long enough": {domain.PerMonth, false, "", 4, []string{"2026-04-01T07"}},
		"total":       {domain.InTotal, false, "", 1, []string{"2026-04-01T07"}},
		"minutes":     {domain.PerMinute, false, "", 1, []string{"2026-04-01T07"}},
		"busiest":     {domain.PerDay, true, "2026-03-30T00", 1, []string{"2026-04-01T07"}},
	} {
		q, since := period, period.Since
		q.Interval, q.Busiest = test.interval, test.busiest
		if test.after != "" {
			q.After.Start = at(test.after)
			if !test.busiest {
				since = q.After.Start
			}
		}
		var got []string
		for rest := q; !rest.Until.IsZero(); {
			var first domain.UsageQuery
			after := rest.After
			first, rest = rest.Cut(test.cut)
			if !first.Since.Equal(since) || first.After != after || first.Limit != 5 || !rest.After.IsZero() {
				t.Errorf("%s: got %+v, want a part that begins at %v", name, first, since)
			}
			got, since = append(got, first.Until.Format("2006-01-02T15")), first.Until
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
