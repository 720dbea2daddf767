package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// Each reason for which a verification refuses a key is an outcome of its own.
func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	for code, want := range map[domain.Code]domain.Outcome{
		domain.CodeKeyRevoked:      domain.OutcomeRevoked,
		domain.CodeKeyExpired:      domain.OutcomeExpired,
		domain.CodeProjectDisabled: domain.OutcomeProjectDisabled,
		domain.CodeInvalidAPIKey:   domain.OutcomeOther,
		"":                         domain.OutcomeOther,
	} {
		if got := domain.OutcomeOf(code); got != want {
			t.Errorf("%q: got %s, want %s", code, got, want)
		}
	}
}

// Counts are ordered by project and then by key, so that nodes write rows in one order.
func TestCompareUsageCounts(t *testing.T) {
	t.Parallel()
	ordered := []domain.UsageCount{
		{ProjectID: "prj_1", KeyID: "key_1"}, {ProjectID: "prj_1", KeyID: "key_2"}, {ProjectID: "prj_2"},
		{ProjectID: "prj_2", KeyID: "key_1"},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			want := map[bool]int{true: -1, false: 1}[i < j]
			if i == j {
				want = 0
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%+v and %+v: got %d, want %d", a, b, got, want)
			}
		}
	}
}

// Guarantees that a choice that is mistyped is refused at its name, and that each good
// one is taken.
func TestChoicesOfUsage(t *testing.T) {
	t.Parallel()
	for want, bad := range map[string]domain.UsageQuery{
		"interval":    {Interval: "week"},
		"group_by":    {GroupBy: []domain.UsageGroup{"name"}},
		"environment": {Environment: "prod"},
		"outcome":     {Outcome: "good"},
	} {
		_, err := bad.Complete(now, 100)
		if diff := cmp.Diff([]string{want}, fields(t, err)); diff != "" {
			t.Errorf("%+v: %s", bad, diff)
		}
	}
	var good []domain.UsageQuery
	for _, interval := range []domain.UsageInterval{"minute", "hour", "day", "month", "total"} {
		good = append(good, domain.UsageQuery{Interval: interval})
	}
	for _, group := range []domain.UsageGroup{"outcome", "key", "external_id", "environment", "plan", "tag", "project"} {
		good = append(good, domain.UsageQuery{GroupBy: []domain.UsageGroup{group}})
	}
	for _, outcome := range domain.Outcomes {
		good = append(good, domain.UsageQuery{Outcome: outcome})
	}
	good = append(good, domain.UsageQuery{Tag: strings.Repeat("~", 64)}, domain.UsageQuery{PlanID: "pln_1"},
		domain.UsageQuery{Tag: " ", GroupBy: []domain.UsageGroup{domain.ByTag, domain.ByOutcome}, Outcome: domain.OutcomeValid},
		domain.UsageQuery{Environment: domain.Live}, domain.UsageQuery{Environment: domain.Test},
		domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByKey, domain.ByOutcome}},
		domain.UsageQuery{Limit: 1}, domain.UsageQuery{Limit: 100})
	for _, q := range good {
		if _, err := q.Complete(now, 100); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// A question is about keys if it asks for some of them or tells them apart.
func TestOfKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		query domain.UsageQuery
		want  bool
	}{
		"nothing":        {domain.UsageQuery{}, false},
		"an outcome":     {domain.UsageQuery{Outcome: domain.OutcomeValid}, false},
		"by outcome":     {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByOutcome, domain.ByProject}}, false},
		"a key":          {domain.UsageQuery{KeyID: "key_1"}, true},
		"keys":           {domain.UsageQuery{Keys: []domain.KeyID{"key_1"}}, true},
		"no keys":        {domain.UsageQuery{Keys: []domain.KeyID{}}, false},
		"a customer":     {domain.UsageQuery{ExternalID: "x"}, true},
		"an environment": {domain.UsageQuery{Environment: domain.Live}, true},
		"by key":         {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByKey}}, true},
		"by customer":    {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByOutcome, domain.ByExternalID}}, true},
		"by environment": {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByEnvironment}}, true},
		"a plan":         {domain.UsageQuery{PlanID: "pln_1"}, true},
		"by plan":        {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByOutcome, domain.ByPlan}}, true},
		"a tag":          {domain.UsageQuery{Tag: "x"}, false},
		"by tag":         {domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByTag}}, false},
	} {
		if got := test.query.OfKeys(); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// Guarantees that a question about tags is refused if it also asks for some keys or
// tells keys apart: tags are counted for the whole project.
func TestTagsAreOfNoKey(t *testing.T) {
	t.Parallel()
	for want, tags := range map[string]domain.UsageQuery{"tag": {Tag: "x"}, "group_by": {GroupBy: []domain.UsageGroup{domain.ByTag}}} {
		for name, narrow := range map[string]func(*domain.UsageQuery){
			"a key":          func(q *domain.UsageQuery) { q.KeyID = "key_1" },
			"a customer":     func(q *domain.UsageQuery) { q.ExternalID = "c" },
			"an environment": func(q *domain.UsageQuery) { q.Environment = domain.Live },
			"a plan":         func(q *domain.UsageQuery) { q.PlanID = "pln_1" },
			"by key":         func(q *domain.UsageQuery) { q.GroupBy = append(q.GroupBy, domain.ByKey) },
			"by customer":    func(q *domain.UsageQuery) { q.GroupBy = append(q.GroupBy, domain.ByExternalID) },
			"by environment": func(q *domain.UsageQuery) { q.GroupBy = append(q.GroupBy, domain.ByEnvironment) },
			"by plan":        func(q *domain.UsageQuery) { q.GroupBy = append(q.GroupBy, domain.ByPlan) },
		} {
			q := tags
			narrow(&q)
			_, err := q.Complete(now, 100)
			if diff := cmp.Diff([]string{want}, fields(t, err)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	for want, minutes := range map[string]domain.UsageQuery{
		"interval": {Interval: domain.PerMinute, Tag: "x"},
		"group_by": {Interval: domain.PerMinute, GroupBy: []domain.UsageGroup{domain.ByTag}},
	} {
		_, err := minutes.Complete(now, 100)
		if diff := cmp.Diff([]string{want}, fields(t, err)); diff != "" {
			t.Error(diff)
		}
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a\nb", "é", "\x7f", "\x00"} {
		_, err := domain.UsageQuery{Tag: bad}.Complete(now, 100)
		if diff := cmp.Diff([]string{"tag"}, fields(t, err)); diff != "" {
			t.Errorf("%q: %s", bad, diff)
		}
	}
}

// A period is rounded to whole intervals, outward, and one that is in whole intervals
// already stays as it is.
func TestPeriodOfUsage(t *testing.T) {
	t.Parallel()
	hour := now.Truncate(time.Hour)
	for name, test := range map[string]struct {
		query        domain.UsageQuery
		since, until time.Time
	}{
		"whole hours":   {domain.UsageQuery{Since: hour, Until: hour.Add(time.Hour)}, hour, hour.Add(time.Hour)},
		"parts of them": {domain.UsageQuery{Since: hour.Add(1), Until: hour.Add(time.Hour + 1)}, hour, hour.Add(2 * time.Hour)},
		"one moment":    {domain.UsageQuery{Since: hour, Until: hour.Add(1)}, hour, hour.Add(time.Hour)},
		"elsewhere": {
			domain.UsageQuery{Since: hour.In(time.FixedZone("", 1800)), Until: hour.Add(time.Hour).In(time.FixedZone("", 1800))},
			hour, hour.Add(time.Hour),
		},
		"an hour that has just begun": {domain.UsageQuery{Since: hour.Add(-time.Hour)}, hour.Add(-time.Hour), hour.Add(time.Hour)},
		"up to 9999": {
			domain.UsageQuery{Since: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
			time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		},
	} {
		got, err := test.query.Complete(hour, 100)
		if err != nil || !got.Since.Equal(test.since) || !got.Until.Equal(test.until) || got.Since.Location() != time.UTC {
			t.Errorf("%s: got %v to %v, %v, want %v to %v", name, got.Since, got.Until, err, test.since, test.until)
		}
	}
	for name, bad := range map[string]domain.UsageQuery{
		"since": {Since: hour.Add(-time.Hour), Until: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"until": {Since: hour.Add(1), Until: hour},
	} {
		_, err := bad.Complete(now, 100)
		if diff := cmp.Diff([]string{name}, fields(t, err)); diff != "" {
			t.Errorf("%+v: %s", bad, diff)
		}
	}
}

// A cursor is taken up to its longest, and a group's value may be any text.
func TestLongestUsageCursor(t *testing.T) {
	t.Parallel()
	cursor := domain.UsageCursor{Start: now, Groups: [2]string{"", "key_1"}}
	for len(cursor.String()) < 2000 {
		cursor.Groups[0] += "x"
	}
	if got := len(cursor.String()); got != 2000 {
		t.Fatalf("got %d characters, want 2000", got)
	}
	if _, err := domain.ParseUsageCursor(cursor.String()); err != nil {
		t.Errorf("the longest cursor: %v", err)
	}
	cursor.Groups[0] += "x"
	if _, err := domain.ParseUsageCursor(cursor.String()); err == nil {
		t.Error("a longer cursor is taken")
	}
	longest := domain.Cursor{At: now, ID: "x"}
	for len(longest.String()) < 200 {
		longest.ID += "x"
	}
	if got, err := domain.NewPage(0, longest.String()); err != nil || got.After.ID != longest.ID || len(longest.String()) != 200 {
		t.Errorf("a cursor of %d characters: %v", len(longest.String()), err)
	}
}

// A row names the key or the project that it is about, in a cell that is no formula.
func TestUsageRowOfAProject(t *testing.T) {
	t.Parallel()
	q := domain.UsageQuery{GroupBy: []domain.UsageGroup{domain.ByOutcome, domain.ByProject}}
	item := domain.UsageItem{Start: now.In(time.FixedZone("", 3600)), Groups: []string{"valid", "prj_1"}, Names: [2]string{"", "=API"}}
	if got, want := strings.Join(item.Row(q)[:4], " "), "2026-03-04T05:06:07Z valid prj_1 '=API"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := strings.Join(q.Columns()[:4], " "), "start outcome project_id project_name"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
