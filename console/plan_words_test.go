package console

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestLimitWords(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]domain.Limit{
		"no limit":                  {Type: domain.RateLimit, Limit: domain.Unlimited(), Per: domain.PerKey},
		"100 a minute, 20 together": {Type: domain.RateLimit, Limit: domain.Allow(100), Period: domain.PeriodMinute, Burst: new(int64(20))},
		"7 an hour":                 {Type: domain.Quota, Limit: domain.Allow(7), Period: domain.PeriodHour, Per: domain.PerKey},
		"100,000 a month, for each external id": {
			Type: domain.Quota, Limit: domain.Allow(100_000), Period: domain.PeriodMonth, Per: domain.PerExternalID,
		},
		"5 a day, for the project, only observed": {
			Type: domain.Quota, Limit: domain.Allow(5), Period: domain.PeriodDay, Per: domain.PerProject, Mode: domain.Observe,
		},
		"credits, 1,000 to begin with, 500 more each month, up to 2,000": {
			Type: domain.Credits, Initial: new(int64(1000)),
			Refill: &domain.Refill{Amount: 500, Period: domain.PeriodMonth, Maximum: new(int64(2000))},
		},
	} {
		if got := limitWords(l); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
