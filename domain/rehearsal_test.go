package domain_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// rehearse replays days of one key each hour, of which the first one is Sunday,
// 2026-03-01.
func rehearse(t *testing.T, spec domain.RehearsalSpec, days ...[]domain.HourlyUse) domain.Rehearsal {
	t.Helper()
	first := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if spec.Since.IsZero() {
		spec.Since = first
	}
	spec.Until = first.AddDate(0, 0, len(days))
	spec, err := spec.Complete(spec.Until)
	if err != nil {
		t.Fatal(err)
	}
	r, err := domain.NewRehearser(spec)
	if err != nil {
		t.Fatal(err)
	}
	for i, day := range days {
		if !r.Day(first.AddDate(0, 0, i), day) {
			t.Fatal("there are too many counters")
		}
	}
	return r.Result()
}

// hourly is a key that makes n requests in each hour.
func hourly(key domain.KeyID, customer string, n int64) domain.HourlyUse {
	u := domain.HourlyUse{KeyID: key, ExternalID: customer}
	for h := range u.Hours {
		u.Hours[h] = n
	}
	return u
}

func quota(name string, units int64, period domain.Period, per domain.Per) domain.Limit {
	return domain.Limit{Name: name, Type: domain.Quota, Limit: domain.Allow(units), Period: period, Per: per}
}

// A rehearsal refuses exactly what a quota leaves no room for, in each period, for each
// key, each customer or the project, and names the keys it hits the most.
func TestRehearsalOfQuotas(t *testing.T) {
	t.Parallel()
	day := []domain.HourlyUse{hourly("key_a", "c", 10), hourly("key_b", "c", 10), hourly("key_c", "", 1)}
	for name, c := range map[string]struct {
		limit         domain.Limit
		limited, keys int64
		worst         domain.KeyID
		exact         bool
		since         int64 // hours after the first day's begin
	}{
		"a day, each key":                 {quota("q", 200, domain.PeriodDay, domain.PerKey), 2 * 2 * 40, 2, "key_a", true, 0},
		"a day, as much as was used":      {quota("q", 240, domain.PeriodDay, domain.PerKey), 0, 0, "", true, 0},
		"an hour":                         {quota("q", 4, domain.PeriodHour, domain.PerKey), 2 * 2 * 24 * 6, 2, "key_a", true, 0},
		"a day, the customer":             {quota("q", 300, domain.PeriodDay, domain.PerExternalID), 2 * 180, 2, "key_a", true, 0},
		"a day, the project":              {quota("q", 500, domain.PeriodDay, domain.PerProject), 2 * 4, 3, "", true, 0},
		"a month":                         {quota("q", 470, domain.PeriodMonth, domain.PerKey), 2 * 10, 2, "key_a", true, 0},
		"a month, of which it is the end": {quota("q", 400, domain.PeriodMonth, domain.PerKey), 2 * 80, 2, "key_a", true, 24},
		"a week that begins on Monday":    {quota("q", 240, domain.PeriodWeek, domain.PerKey), 0, 0, "", true, 0},
	} {
		spec := domain.RehearsalSpec{Limits: []domain.Limit{c.limit}}
		if c.since > 0 {
			spec.Since = time.Date(2026, 3, 1, int(c.since), 0, 0, 0, time.UTC)
		}
		got := rehearse(t, spec, day, day)
		if got.Limited != c.limited || got.ByLimit[0].Requests != c.limited || got.ByLimit[0].Exact != c.exact {
			t.Errorf("%s: got %d refused, by limit %+v, want %d", name, got.Limited, got.ByLimit, c.limited)
		}
		if c.worst != "" && (got.LimitedKeys != c.keys || got.Worst[0].ID != c.worst) {
			t.Errorf("%s: got %d keys, the worst %v, want %d, %s", name, got.LimitedKeys, got.Worst, c.keys, c.worst)
		}
		if got.Keys != 3 {
			t.Errorf("%s: got %d keys, want 3", name, got.Keys)
		}
	}
}

// A rehearsal says where it cannot be exact: days that do not begin with an hour of UTC,
// rates, credits, and costs that only requests name.
func TestRehearsalIsHonest(t *testing.T) {
	t.Parallel()
	kathmandu := quota("a", 1, domain.PeriodDay, domain.PerKey)
	kathmandu.TimeZone = "Asia/Kathmandu"
	berlin := quota("b", 1, domain.PeriodDay, domain.PerKey)
	berlin.TimeZone = "Europe/Berlin"
	named := quota("c", 1, domain.PeriodDay, domain.PerKey)
	named.Cost = new(int64(0))
	got := rehearse(t, domain.RehearsalSpec{Limits: []domain.Limit{
		kathmandu, berlin, named,
		{Name: "d", Type: domain.RateLimit, Limit: domain.Allow(1), Period: domain.PeriodSecond},
		{Name: "e", Type: domain.Credits, Initial: new(int64(1))},
	}}, []domain.HourlyUse{hourly("key_a", "", 1)})
	exact, precision := map[string]bool{}, map[string]string{}
	for _, l := range got.ByLimit {
		exact[l.Name] = l.Exact
		precision[l.Name] = l.Precision()
	}
	want := map[string]bool{"a": false, "b": true, "c": false, "d": false, "e": false}
	if diff := cmp.Diff(want, exact); diff != "" {
		t.Error(diff)
	}
	words := map[string]string{"a": "about ", "b": "", "c": "about ", "d": "at least ", "e": "about "}
	if diff := cmp.Diff(words, precision); diff != "" {
		t.Error(diff)
	}
}

// A rate refuses no more than every balancing within the hours would have: at most the
// burst and what it gives. Credits begin, are spent and are refilled.
func TestRehearsalOfRatesAndCredits(t *testing.T) {
	t.Parallel()
	rate := domain.Limit{Name: "r", Type: domain.RateLimit, Limit: domain.Allow(1), Period: domain.PeriodMinute, Burst: new(int64(20))}
	day := []domain.HourlyUse{hourly("key_a", "", 100)}
	got := rehearse(t, domain.RehearsalSpec{Limits: []domain.Limit{rate}}, day)
	if want := int64(24*40 - 20); got.Limited != want {
		t.Errorf("rate: got %d refused, want %d", got.Limited, want)
	}
	credits := domain.Limit{
		Name: "c", Type: domain.Credits, Initial: new(int64(1000)),
		Refill: &domain.Refill{Amount: 400, Period: domain.PeriodDay, Maximum: new(int64(450))},
	}
	got = rehearse(t, domain.RehearsalSpec{Limits: []domain.Limit{credits}}, day, day)
	if want := int64(1400 + 2000); got.Limited != want {
		t.Errorf("credits: got %d refused, want %d", got.Limited, want)
	}
}

// A request that one limit refuses takes nothing from the others, and one that only
// observes refuses nothing.
func TestRehearsalTakesAllOrNone(t *testing.T) {
	t.Parallel()
	hour, whole := quota("hour", 4, domain.PeriodHour, domain.PerKey), quota("day", 96, domain.PeriodDay, domain.PerKey)
	day := []domain.HourlyUse{hourly("key_a", "", 10)}
	got := rehearse(t, domain.RehearsalSpec{Limits: []domain.Limit{hour, whole}}, day)
	if got.Limited != 24*6 {
		t.Errorf("got %d refused, want %d", got.Limited, 24*6)
	}
	hour.Mode = domain.Observe
	got = rehearse(t, domain.RehearsalSpec{Limits: []domain.Limit{hour}}, day)
	if got.Limited != 0 || got.ByLimit[0].Requests != 24*6 || got.Share() != 0 {
		t.Errorf("observed: got %+v, want none refused and %d noted", got, 24*6)
	}
}

// What cannot be rehearsed is refused at its field.
func TestRehearsalsThatAreRefused(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for field, spec := range map[string]domain.RehearsalSpec{
		"/since":           {Since: now.AddDate(0, 0, -93)},
		"/until":           {Since: now.Add(time.Hour)},
		"/limits/0/period": {Limits: []domain.Limit{quota("q", 1, domain.PeriodMinute, "")}},
		"/external_id":     {ExternalID: "\x00"},
	} {
		_, err := spec.Complete(now)
		if fields := domain.FieldErrors(err); len(fields) != 1 || fields[0].Pointer != field {
			t.Errorf("got %v, want one error at %s", err, field)
		}
	}
}
