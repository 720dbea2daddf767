package domain_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// A time to wait is rounded up to whole seconds, and is one at least.
func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int64{
		0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, 2*time.Second - 1: 2, 2 * time.Second: 2, time.Hour: 3600, -time.Hour: 1,
	} {
		if got := domain.Seconds(d); got != want {
			t.Errorf("%s: got %d, want %d", d, got, want)
		}
	}
	if !(&domain.Decision{}).Admitted() || (&domain.Decision{Code: domain.CodeRateLimited}).Admitted() {
		t.Error("only a decision with a code refuses")
	}
}

// How far a TAT is ahead of the clock is never negative, and never more than the rate
// tolerates.
func TestAhead(t *testing.T) {
	t.Parallel()
	limit := domain.Limit{Name: "a", Type: domain.RateLimit, Limit: domain.Allow(5), Period: domain.PeriodSecond, Burst: new(int64(2))}
	const tolerance = int64(400 * time.Millisecond)
	for tat, want := range map[int64]int64{
		-1: 0, 0: 0, 1: 1, tolerance - 1: tolerance - 1, tolerance: tolerance, tolerance + 1: tolerance, 1 << 50: tolerance,
	} {
		const now = int64(1 << 55)
		if got := limit.Rate().Ahead(now+tat, now); got != want {
			t.Errorf("%d ahead: got %d, want %d", tat, got, want)
		}
	}
}

// A question is cut at midnight of a day, or of the first of a month, and only if
// something is left after it.
func TestCutAtMidnight(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 30, 7, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		interval  domain.UsageInterval
		until     time.Time
		intervals int
		end       time.Time // zero: it is not cut
	}{
		{domain.PerDay, since.AddDate(0, 1, 0), 2, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)},
		{domain.PerHour, since.AddDate(0, 1, 0), 1, time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
		{domain.PerMonth, since.AddDate(1, 0, 0), 2, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		{domain.PerDay, time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), 1, time.Time{}},
		{domain.PerDay, time.Date(2026, 1, 31, 1, 0, 0, 0, time.UTC), 1, time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
		{domain.InTotal, since.AddDate(0, 1, 0), 1, time.Time{}},
		{domain.PerMinute, since.AddDate(0, 0, 2), 1, time.Time{}},
	} {
		q := domain.UsageQuery{Since: since, Until: c.until, Interval: c.interval}
		first, rest := q.Cut(c.intervals)
		end, begin := c.end, c.end
		if c.end.IsZero() {
			end = c.until
		}
		whole := first.Since.Equal(since) && first.Until.Equal(end) && rest.Since.Equal(begin)
		if !whole || !c.end.IsZero() && !rest.Until.Equal(c.until) {
			t.Errorf("%+v: got %v to %v, and from %v to %v", c, first.Since, first.Until, rest.Since, rest.Until)
		}
	}
}
