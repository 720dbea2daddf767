package domain

import (
	_ "embed"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // every node knows the same zones, whatever its system has
)

// Period is a period of a limit. For rates it is a length, for quotas and refills a
// period of the calendar.
type Period string

// The periods.
const (
	PeriodSecond Period = "second"
	PeriodMinute Period = "minute"
	PeriodHour   Period = "hour"
	PeriodDay    Period = "day"
	PeriodWeek   Period = "week" // ISO 8601: from Monday
	PeriodMonth  Period = "month"
	PeriodYear   Period = "year"
)

var (
	ratePeriods     = []Period{PeriodSecond, PeriodMinute, PeriodHour, PeriodDay}
	calendarPeriods = []Period{PeriodHour, PeriodDay, PeriodWeek, PeriodMonth, PeriodYear}
)

// Each returns the period with its article: a minute, an hour.
func (p Period) Each() string {
	if p == PeriodHour {
		return "an " + string(p)
	}
	return "a " + string(p)
}

// seconds returns the length of a period of a rate, and of a year of 365 days. For
// periods whose lengths differ it returns 0.
func (p Period) seconds() int64 {
	switch p {
	case PeriodSecond:
		return 1
	case PeriodMinute:
		return 60
	case PeriodHour:
		return 60 * 60
	case PeriodDay:
		return 24 * 60 * 60
	case PeriodYear:
		return 365 * 24 * 60 * 60
	case PeriodWeek, PeriodMonth:
	}
	return 0
}

// about returns the length of a period in seconds, where its periods differ that of a
// common one.
func (p Period) about() int64 {
	switch day := PeriodDay.seconds(); p {
	case PeriodWeek:
		return 7 * day
	case PeriodMonth:
		return 30 * day
	case PeriodSecond, PeriodMinute, PeriodHour, PeriodDay, PeriodYear:
	}
	return p.seconds()
}

// Calendar returns the period of the calendar that t lies in, and when the next one
// begins, as the zone's clocks show it. Every moment lies in exactly one period,
// also on the days on which clocks are changed: those days are an hour longer or
// shorter, and an hour ends where clocks are changed within it.
func (p Period) Calendar(t time.Time, zone *time.Location) (begin, next time.Time) {
	t = t.In(zone)
	if p == PeriodHour {
		return calendarHour(t)
	}
	first := p.firstDay(t)
	begin, next = startOfDay(first, zone), startOfDay(p.after(first), zone)
	if !t.Before(next) {
		// Clocks that are put back over midnight show the last date again.
		first = p.after(first)
		begin, next = next, startOfDay(p.after(first), zone)
	}
	return begin, next
}

func calendarHour(t time.Time) (begin, next time.Time) {
	passed := time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	begin, next = t.Add(-passed), t.Add(time.Hour-passed)
	if changed, ok := clockChange(begin, t); ok {
		begin = changed
	}
	if changed, ok := clockChange(t, next); ok {
		next = changed
	}
	return begin, next
}

// firstDay returns the date of the first day of the period that t lies in, as
// midnight UTC.
func (p Period) firstDay(t time.Time) time.Time {
	year, month, day := t.Date()
	switch p {
	case PeriodWeek:
		day -= (int(t.Weekday()) + 6) % 7
	case PeriodMonth:
		day = 1
	case PeriodYear:
		month, day = time.January, 1
	case PeriodSecond, PeriodMinute, PeriodHour, PeriodDay:
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// after returns the first day of the period after the one that begins on day.
func (p Period) after(day time.Time) time.Time {
	switch p {
	case PeriodWeek:
		return day.AddDate(0, 0, 7)
	case PeriodMonth:
		return day.AddDate(0, 1, 0)
	case PeriodYear:
		return day.AddDate(1, 0, 0)
	case PeriodSecond, PeriodMinute, PeriodHour, PeriodDay:
	}
	return day.AddDate(0, 0, 1)
}

// startOfDay returns the first moment at which clocks of the zone show the date, or
// a later one where they skip it. time.Date does not say which moment it returns
// where midnight is skipped or shown twice.
func startOfDay(date time.Time, zone *time.Location) time.Time {
	const farthest = 26 * time.Hour // no zone is farther from UTC
	earlier, later := date.Add(-farthest).In(zone), date.Add(farthest).In(zone)
	start := date.Add(-offset(earlier)).In(zone)
	changed, ok := clockChange(earlier, later)
	if !ok || start.Before(changed) {
		return start
	}
	if start = date.Add(-offset(later)).In(zone); start.Before(changed) {
		return changed
	}
	return start
}

// clockChange returns the moment between two others, of which at most the second is
// included, at which the zone's clocks are changed, if they are. time.ZoneBounds is
// no help: in leap years it names the end of December as a change that is none.
func clockChange(from, to time.Time) (changed time.Time, ok bool) {
	if offset(from) == offset(to) {
		return time.Time{}, false
	}
	second := func(i int) time.Time { return from.Truncate(time.Second).Add(time.Duration(i) * time.Second) }
	after := sort.Search(int(to.Unix()-from.Unix()), func(i int) bool { return offset(second(i)) != offset(from) })
	return second(after), true
}

// offset is how far the zone's clocks are ahead of UTC.
func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// zoneList has the names of all zones of the IANA database of the Go release, one a
// line, without Factory. The system of a node may know others, and which name is
// good must not depend on the node.
//
//go:embed zones.txt
var zoneList string

var zoneNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.Lines(zoneList) {
		names[strings.TrimSpace(name)] = true
	}
	return names
})

var zones sync.Map // by name; there are only those of zoneNames

// Zone returns the time zone of a valid limit.
func (l Limit) Zone() (*time.Location, error) {
	if !zoneNames()[l.TimeZone] {
		return nil, fmt.Errorf("the limit %s has an unknown time zone", l.Name)
	}
	if zone, ok := zones.Load(l.TimeZone); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(l.TimeZone)
	if err == nil {
		zones.Store(l.TimeZone, zone)
	}
	return zone, err
}
