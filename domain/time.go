package domain

import (
	"regexp"
	"strings"
	"time"
)

// internetTime is date-time of RFC 3339, section 5.6. time.Parse accepts more:
// a comma for the point, one digit for the hour, and offsets of a day.
var internetTime = regexp.MustCompile(
	`^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

// ParseTime reads a time in RFC 3339 and returns it in UTC. It reports false
// for other text, for leap seconds, which Go cannot represent, and for years
// outside of 1970 to 9999: there were no keys before that, and the zero time
// would mean never.
func ParseTime(s string) (time.Time, bool) {
	if !internetTime.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	if t = t.UTC(); err != nil || !storable(t) {
		return time.Time{}, false
	}
	return t, true
}

// storable reports whether t is in a year that every database and every JSON
// parser can represent.
func storable(t time.Time) bool { return t.UTC().Year() >= 1970 && t.UTC().Year() <= 9999 }
