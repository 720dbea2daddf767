package domain

import (
	"regexp"
	"slices"
	"strings"
)

// Bounds of limits.
const (
	MaxLimits         = 16                // that hold for one key when they are written, and that one place defines
	MaxHeld           = 3 * MaxLimits     // that hold for one key: those of all places
	MaxUnits          = 1_000_000_000_000 // of a limit, a burst, a balance, a refill or a cost
	MaxRatePerSecond  = 1_000_000         // up to here, rounding the emission interval costs 0.1 % at most
	MaxTimeZoneLength = 64                // characters
)

var limitName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// ValidateLimits returns validation_failed, naming every field that is wrong, for
// limits that one place defines, which may be counted over some things only; over
// all if none is named.
func ValidateLimits(limits []Limit, counted ...Per) error {
	var v Invalid
	v.limits(limits, counted...)
	return v.Err()
}

// limits is ValidateLimits for limits that are part of something else.
func (v *Invalid) limits(limits []Limit, counted ...Per) {
	if len(counted) == 0 {
		counted = []Per{PerKey, PerExternalID, PerProject}
	}
	if len(limits) > MaxLimits {
		v.Add("/limits", "must have at most %d entries", MaxLimits)
		return
	}
	names := map[string]bool{}
	for i, l := range limits {
		at := limitErrors{v, pointer("limits", i)}
		if names[l.Name] {
			at.add("name", "is the name of another limit in this list")
		}
		names[l.Name] = true
		at.check(l, counted)
	}
}

// limitErrors notes what is wrong with one limit.
type limitErrors struct {
	v  *Invalid
	at string // the limit
}

func (e limitErrors) add(field, format string, args ...any) { e.v.Add(e.at+"/"+field, format, args...) }

func (e limitErrors) check(l Limit, counted []Per) {
	if !limitName.MatchString(l.Name) {
		e.add("name", "must begin with a lower-case letter and have at most 32 lower-case letters, digits, '_' and '-'")
	}
	switch l.Type {
	case RateLimit:
		e.rate(l)
	case Quota:
		e.quota(l)
	case Credits:
		e.credits(l)
	default:
		e.add("type", "must be one of rate, quota, credits")
		return
	}
	if !slices.Contains(counted, l.Per) && l.Per != "" {
		e.add("per", "must be %s", joined(counted))
	}
	e.units("cost", l.Cost, 0)
	if l.Mode != "" && l.Mode != Enforce && l.Mode != Observe {
		e.add("mode", "must be enforce or observe")
	}
}

func (e limitErrors) rate(l Limit) {
	e.absent(l.Type, map[string]bool{"initial": l.Initial != nil, "refill": l.Refill != nil, "time_zone": l.TimeZone != ""})
	if l.Limit.IsUnlimited() && l.Burst != nil {
		e.add("burst", "needs a limit")
	}
	limit, limited := e.allowance(l, ratePeriods)
	if !limited {
		return
	}
	if limit > MaxRatePerSecond*l.Period.seconds() {
		e.add("limit", "must be at most %d a second", MaxRatePerSecond)
		return
	}
	most := limit * (PeriodYear.seconds() / l.Period.seconds())
	if l.Burst != nil && (*l.Burst < 1 || *l.Burst > min(most, MaxUnits)) {
		e.add("burst", "must be 1 to what the rate allows in a year, and at most %d", MaxUnits)
	}
}

func (e limitErrors) quota(l Limit) {
	e.absent(l.Type, map[string]bool{"burst": l.Burst != nil, "initial": l.Initial != nil, "refill": l.Refill != nil})
	e.allowance(l, calendarPeriods)
	e.timeZone(l.TimeZone)
}

// allowance checks how many units are allowed in which period. It reports whether
// there is a good limit.
func (e limitErrors) allowance(l Limit, periods []Period) (limit int64, limited bool) {
	if l.Period == "" && !l.Limit.IsUnlimited() || l.Period != "" && !slices.Contains(periods, l.Period) {
		e.add("period", "must be one of %s", joined(periods))
		return 0, false
	}
	limit, limited = l.Limit.Units()
	switch {
	case l.Limit.IsZero():
		e.add("limit", "is required: a number, or null for no limit")
	case limited && (limit < 0 || limit > MaxUnits):
		e.add("limit", "must be 0 to %d, or null for no limit", MaxUnits)
		return 0, false
	}
	return limit, limited
}

func (e limitErrors) credits(l Limit) {
	e.absent(l.Type, map[string]bool{"limit": !l.Limit.IsZero(), "period": l.Period != "", "burst": l.Burst != nil})
	e.units("initial", l.Initial, 0)
	if l.Refill == nil {
		if l.TimeZone != "" {
			e.add("time_zone", "needs a refill")
		}
		return
	}
	e.timeZone(l.TimeZone)
	e.units("refill/amount", &l.Refill.Amount, 1)
	e.units("refill/maximum", l.Refill.Maximum, 1)
	if l.Refill.Maximum != nil && l.Refill.Amount > *l.Refill.Maximum {
		e.add("refill/amount", "must be at most the maximum")
	}
	if !slices.Contains(calendarPeriods, l.Refill.Period) {
		e.add("refill/period", "must be one of %s", joined(calendarPeriods))
	}
}

// absent refuses fields that do not apply to a type of limit.
func (e limitErrors) absent(t LimitType, given map[string]bool) {
	for _, field := range []string{"limit", "period", "burst", "initial", "refill", "time_zone"} {
		if given[field] {
			e.add(field, "does not apply to limits of the type %s", t)
		}
	}
}

func (e limitErrors) units(field string, n *int64, least int64) {
	if n != nil && (*n < least || *n > MaxUnits) {
		e.add(field, "must be %d to %d", least, MaxUnits)
	}
}

func (e limitErrors) timeZone(name string) {
	if name != "" && !zoneNames()[name] {
		e.add("time_zone", "must be the name of a time zone (IANA), such as Europe/Berlin")
	}
}

func joined[T ~string](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	return strings.Join(texts, ", ")
}
