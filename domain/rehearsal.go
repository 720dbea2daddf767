package domain

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// Bounds of a rehearsal.
const (
	MaxRehearsal    = 92 * 24 * time.Hour // the longest period
	MaxRehearsed    = 50_000              // keys, and counters, that it keeps
	worstOfLimited  = 10                  // how many keys a result names
	HoursOfDay      = 24
	defaultRehearse = 30 * 24 * time.Hour
)

// RehearsalSpec asks what limits would have done to requests that were made.
type RehearsalSpec struct {
	Limits       []Limit
	PlanID       PlanID // only keys that have it now
	ExternalID   string // only keys that had it
	Since, Until time.Time
}

// Complete returns the question with its defaults and its period in whole hours, as
// usage is known; or validation_failed.
func (s RehearsalSpec) Complete(now time.Time) (RehearsalSpec, error) {
	var v Invalid
	v.limits(s.Limits)
	v.Text("/external_id", s.ExternalID, 0, MaxExternalIDLength)
	if s.Until.IsZero() {
		s.Until = now.Add(time.Microsecond) // the hour that has just begun, too
	}
	if s.Since.IsZero() {
		s.Since = s.Until.Add(-defaultRehearse)
	}
	switch {
	case !storable(s.Since) || !storable(s.Until):
		v.Add("/since", "must be a time (RFC 3339) of the years 1970 to 9999, as must until")
	case !s.Since.Before(s.Until):
		v.Add("/until", "must be later than since")
	case s.Until.Sub(s.Since) > MaxRehearsal:
		v.Add("/since", "must be at most 92 days before until")
	}
	s.Since = s.Since.UTC().Truncate(time.Hour)
	if until := s.Until.UTC().Truncate(time.Hour); until.Before(s.Until) {
		s.Until = until.Add(time.Hour)
	}
	s.Limits = LimitsWithDefaults(s.Limits)
	return s, v.Err()
}

// Rehearsal is what limits would have done in a period.
type Rehearsal struct {
	Since, Until time.Time
	Keys         int64 // that were used
	Requests     int64 // that they made, as far as limits are about them
	LimitedKeys  int64
	Limited      int64 // requests that would have been refused
	ByLimit      []RehearsedLimit
	Worst        []RehearsedKey // those with the most refused requests
}

// Share returns the part of the requests that would have been refused.
func (r Rehearsal) Share() float64 { return float64(r.Limited) / float64(max(r.Requests, 1)) }

// RehearsedLimit is what one limit would have refused. It is exact if the usage has
// all that the limit counts.
type RehearsedLimit struct {
	Name           string
	Type           LimitType
	Keys, Requests int64
	Exact          bool
}

// Precision returns what is to be said before the number of requests: nothing if it is
// exact, and that they are the fewest of a rate.
func (l RehearsedLimit) Precision() string {
	switch {
	case l.Exact:
		return ""
	case l.Type == RateLimit:
		return "at least "
	}
	return "about "
}

// RehearsedKey is a key of which requests would have been refused.
type RehearsedKey struct {
	ID         KeyID
	Name       string // that it has now; empty: it is gone
	ExternalID string
	Requests   int64
}

// HourlyUse is how many requests a key made in each hour of a day (UTC), those of which
// limits refused some or none.
type HourlyUse struct {
	KeyID      KeyID
	ExternalID string
	Hours      [HoursOfDay]int64
}

// Rehearser replays requests hour by hour against limits. A request that one limit
// refuses takes nothing from the others.
type Rehearser struct {
	spec     RehearsalSpec
	limits   []EffectiveLimit
	calendar []calendar
	counters []map[Subject]*rehearsed
	kept     int
	used     map[KeyID]bool
	refused  map[KeyID]*RehearsedKey
	by       []map[KeyID]int64
	requests int64
}

// calendar is the period of a quota, or of a refill, that is being replayed.
type calendar struct {
	period      Period
	zone        *time.Location
	number      int64 // of the period
	begin, next time.Time
	exact       bool // all periods so far begin with an hour of UTC
}

// rehearsed is the state of a limit for one subject.
type rehearsed struct {
	left   float64   // units that are there
	period int64     // quota, credits: the number of the period that it is of; 0: of none
	at     time.Time // rate: the hour that it is of
}

// NewRehearser returns a rehearser for a complete question.
func NewRehearser(spec RehearsalSpec) (*Rehearser, error) {
	r := &Rehearser{spec: spec, limits: Effective(nil, spec.Limits, nil), used: map[KeyID]bool{}, refused: map[KeyID]*RehearsedKey{}}
	for _, l := range r.limits {
		c := calendar{exact: l.Type == Quota && *l.Cost > 0}
		switch {
		case l.Type == Quota:
			c.period = l.Period
		case l.Refill != nil:
			c.period = l.Refill.Period
		}
		if c.period != "" {
			var err error
			if c.zone, err = l.Zone(); err != nil {
				return nil, err
			}
		}
		r.calendar = append(r.calendar, c)
		r.counters, r.by = append(r.counters, map[Subject]*rehearsed{}), append(r.by, map[KeyID]int64{})
	}
	return r, nil
}

// Begin returns from when on requests must be replayed: the begin of the earliest
// period of a quota that Since lies in.
func (r *Rehearser) Begin() time.Time {
	begin := r.spec.Since
	for i, l := range r.limits {
		if l.Type == Quota {
			first, _ := r.calendar[i].period.Calendar(r.spec.Since, r.calendar[i].zone)
			if first.Before(begin) {
				begin = first
			}
		}
	}
	return begin.UTC().Truncate(time.Hour)
}

// Day replays what keys did on a day. Days come in their order. It returns false when
// there are more counters than it keeps.
func (r *Rehearser) Day(day time.Time, keys []HourlyUse) bool {
	states := make([][]*rehearsed, len(keys))
	for n, k := range keys {
		for i := range r.limits {
			states[n] = append(states[n], r.state(i, k))
		}
	}
	if r.kept > MaxRehearsed || len(r.used) > MaxRehearsed {
		return false
	}
	begin := r.Begin()
	for hour := range HoursOfDay {
		at := day.Add(time.Duration(hour) * time.Hour)
		if at.Before(begin) || !at.Before(r.spec.Until) {
			continue
		}
		r.turn(at)
		for n, k := range keys {
			if k.Hours[hour] > 0 {
				r.use(at, k, k.Hours[hour], states[n])
			}
		}
	}
	return len(r.used) <= MaxRehearsed
}

// turn begins the periods that an hour is the first of.
func (r *Rehearser) turn(at time.Time) {
	for i := range r.calendar {
		if c := &r.calendar[i]; c.period != "" && !at.Before(c.next) {
			c.number++
			c.begin, c.next = c.period.Calendar(at, c.zone)
			c.exact = c.exact && c.next.Equal(c.next.Truncate(time.Hour)) && c.begin.Equal(c.begin.Truncate(time.Hour))
		}
	}
}

// state returns the state of a limit for a key.
func (r *Rehearser) state(i int, k HourlyUse) *rehearsed {
	of := Subject{Per: PerKey, ID: string(k.KeyID)}
	switch per := r.limits[i].Per; {
	case per == PerProject:
		of = Subject{Per: PerProject}
	case per == PerExternalID && k.ExternalID != "":
		of = Subject{Per: PerExternalID, ID: k.ExternalID}
	}
	s := r.counters[i][of]
	if s == nil {
		s = &rehearsed{}
		r.counters[i][of] = s
		r.kept++
	}
	return s
}

// use replays the requests of a key in an hour.
func (r *Rehearser) use(at time.Time, k HourlyUse, n int64, states []*rehearsed) {
	counted := !at.Before(r.spec.Since)
	admitted := n
	for i, l := range r.limits {
		fit := min(n, r.fits(i, states[i], at))
		if refused := n - fit; refused > 0 && counted {
			r.by[i][k.KeyID] += refused
		}
		if l.Mode != Observe {
			admitted = min(admitted, fit)
		}
	}
	for i, l := range r.limits {
		if l.Type != Credits || counted {
			states[i].left -= float64(min(admitted, r.fits(i, states[i], at))) * float64(*l.Cost)
		}
	}
	if !counted {
		return
	}
	r.used[k.KeyID] = true
	r.requests += n
	if admitted < n {
		if r.refused[k.KeyID] == nil {
			r.refused[k.KeyID] = &RehearsedKey{ID: k.KeyID, ExternalID: k.ExternalID}
		}
		r.refused[k.KeyID].Requests += n - admitted
	}
}

// unlimited is more requests than usage has.
const unlimited = math.MaxInt64

// fits returns how many requests a limit admits in an hour, after what it has admitted
// in that hour already.
func (r *Rehearser) fits(i int, s *rehearsed, at time.Time) int64 {
	l, c := r.limits[i], r.calendar[i]
	switch l.Type {
	case RateLimit:
		s.fill(l, at)
	case Quota:
		if units, _ := l.Limit.Limit.Units(); s.period != c.number {
			s.left, s.period = float64(units), c.number
		}
	case Credits:
		if at.Before(r.spec.Since) {
			return unlimited // the balance begins with Since
		}
		if s.period == 0 {
			s.left, s.period = float64(*l.Initial), c.number+1 // there may be no periods
		}
		if l.Refill != nil {
			s.left, s.period = l.Refill.add(s.left, c.number+1-s.period), c.number+1
		}
	}
	if *l.Cost == 0 {
		return unlimited
	}
	return int64(max(0, s.left)) / *l.Cost
}

// add returns the balance after so many refills.
func (r Refill) add(balance float64, times int64) float64 {
	full := balance + float64(r.Amount)*float64(times)
	if r.Maximum != nil {
		full = min(full, float64(*r.Maximum))
	}
	return max(balance, full)
}

// fill gives back what a rate gives until the end of an hour, and before it at most its
// burst. No rate admits more in an hour than was there at its begin and comes in it.
func (s *rehearsed) fill(l EffectiveLimit, at time.Time) {
	units, _ := l.Limit.Limit.Units()
	if units == 0 {
		return
	}
	each := float64(units) * time.Hour.Seconds() / float64(l.Period.seconds())
	burst := float64(*l.Burst)
	switch {
	case s.at.IsZero():
		s.left = burst + each
	case s.at.Before(at):
		// What is left at the end of an hour is at most the burst.
		s.left = min(burst, s.left)
		s.left = min(burst, s.left+each*(at.Sub(s.at).Hours()-1)) + each
	}
	s.at = at
}

// Result returns what the limits would have done.
func (r *Rehearser) Result() Rehearsal {
	result := Rehearsal{
		Since:       r.spec.Since,
		Until:       r.spec.Until,
		Keys:        int64(len(r.used)),
		Requests:    r.requests,
		LimitedKeys: int64(len(r.refused)),
	}
	for i, l := range r.limits {
		one := RehearsedLimit{Name: l.Name, Type: l.Type, Keys: int64(len(r.by[i])), Exact: r.calendar[i].exact}
		for _, n := range r.by[i] {
			one.Requests += n
		}
		result.ByLimit = append(result.ByLimit, one)
	}
	worst := slices.SortedFunc(maps.Values(r.refused), func(a, b *RehearsedKey) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.ID, b.ID))
	})
	for n, k := range worst {
		result.Limited += k.Requests
		if n < worstOfLimited {
			result.Worst = append(result.Worst, *k)
		}
	}
	return result
}
