package domain_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestCalendar(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ zone, period, at, begin, next string }{
		{"UTC", "hour", "2026-11-27T23:59:59Z", "2026-11-27T23:00:00Z", "2026-11-28T00:00:00Z"},
		{"UTC", "day", "2024-02-28T23:59:59Z", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"UTC", "week", "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"}, // a Sunday
		{"UTC", "week", "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"}, // a Monday
		{"UTC", "week", "2027-01-01T12:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"}, // week 53 of 2026
		{"UTC", "month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"UTC", "year", "2026-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"Europe/Berlin", "day", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},  // 23 hours
		{"Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},  // 25 hours
		{"Europe/Berlin", "hour", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"}, // 02:30, the first time
		{"Europe/Berlin", "hour", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}, // and the second
		{"Europe/Berlin", "month", "2026-11-30T23:30:00Z", "2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z"},
		{"Asia/Kolkata", "hour", "2026-11-27T12:45:00Z", "2026-11-27T12:30:00Z", "2026-11-27T13:30:00Z"},
		{"Australia/Lord_Howe", "hour", "2026-04-04T14:40:00Z", "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z"},
		{"Australia/Lord_Howe", "hour", "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"}, // 01:40 again
		{"America/Havana", "day", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"},       // midnight is skipped
		{"America/Havana", "day", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},       // midnight comes twice
		{"America/St_Johns", "day", "2009-11-01T02:30:30Z", "2009-11-01T02:30:00Z", "2009-11-02T03:30:00Z"},     // back, at 00:01
		{"America/St_Johns", "day", "2009-11-01T02:40:00Z", "2009-11-01T02:30:00Z", "2009-11-02T03:30:00Z"},     // 23:10 of the day before
		{"America/St_Johns", "month", "2009-11-01T02:40:00Z", "2009-11-01T02:30:00Z", "2009-12-01T03:30:00Z"},
		{"America/St_Johns", "day", "2009-11-01T02:29:59Z", "2009-10-31T02:30:00Z", "2009-11-01T02:30:00Z"},
		{"Africa/Cairo", "day", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"},
		{"Pacific/Apia", "day", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"}, // the 30th is skipped
		{"Pacific/Apia", "day", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
	} {
		zone, err := domain.Limit{TimeZone: test.zone}.Zone()
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		begin, next := domain.Period(test.period).Calendar(at, zone)
		got := []string{begin.UTC().Format(time.RFC3339), next.UTC().Format(time.RFC3339)}
		if got[0] != test.begin || got[1] != test.next {
			t.Errorf("%s, %s of %s: got %v, want [%s %s]", test.zone, test.period, test.at, got, test.begin, test.next)
		}
	}
}

// Guarantees that periods follow each other without gap or overlap in every zone,
// also on days on which clocks are changed: each moment of a period gives that
// period, and where it ends the next one begins.
func TestCalendarPeriodsFollowEachOther(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	for _, name := range zoneNames(t) {
		zone, err := domain.Limit{TimeZone: name}.Zone()
		if err != nil {
			t.Fatal(err)
		}
		for _, period := range []domain.Period{
			domain.PeriodHour, domain.PeriodDay, domain.PeriodWeek, domain.PeriodMonth, domain.PeriodYear,
		} {
			at := time.Date(1975+r.IntN(80), 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(365 * 24 * time.Hour))))
			if _, changes := at.In(zone).ZoneBounds(); r.IntN(2) == 0 && !changes.IsZero() {
				at = changes.Add(time.Duration(r.Int64N(int64(4*time.Hour))) - 2*time.Hour)
			}
			begin, next := period.Calendar(at, zone)
			if at.Before(begin) || !at.Before(next) {
				t.Errorf("%s: the %s of %s is %s to %s", name, period, at, begin, next)
			}
			for _, moment := range []time.Time{begin, next.Add(-1), begin.Add(next.Sub(begin) / 2)} {
				if b, n := period.Calendar(moment, zone); !b.Equal(begin) || !n.Equal(next) {
					t.Errorf("%s: the %s of %s is %s to %s, of %s it is %s to %s", name, period, at, begin, next, moment, b, n)
				}
			}
			if b, _ := period.Calendar(next, zone); !b.Equal(next) {
				t.Errorf("%s: the %s after %s begins at %s, want %s", name, period, at, b, next)
			}
		}
	}
}

func zoneNames(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// Guarantees that which zones are good does not depend on the system of a node: no
// name reaches a file that only some systems have.
func TestZonesAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "Local", "localtime", "posixrules", "posix/Europe/Berlin", "right/UTC", "europe/berlin", "../UTC", "/etc/localtime", "Factory",
	} {
		if _, err := (domain.Limit{TimeZone: name}).Zone(); err == nil {
			t.Errorf("%q is a zone", name)
		}
	}
}
