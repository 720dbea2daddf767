package domain

import "time"

// Rate is a rate limit in the form in which it is enforced: the generic cell rate
// algorithm (GCRA, ITU-T I.371) as a virtual scheduler. All that it remembers of
// the past is one number, the theoretical arrival time (TAT), in nanoseconds of a
// clock that only moves forward. The zero value admits nothing.
//
// In every interval it admits at most the burst and what the rate allows in that
// time; so it admits up to burst + limit units within one period.
type Rate struct {
	interval int64 // the emission interval: nanoseconds for each unit; 0: nothing is admitted
	burst    int64 // units
}

// Rate returns the rate of a valid limit of that type. The emission interval is
// rounded up, so that rounding never admits more.
func (l Limit) Rate() Rate {
	limit, limited := l.Limit.Units()
	if !limited || limit == 0 {
		return Rate{}
	}
	burst := limit
	if l.Burst != nil {
		burst = *l.Burst
	}
	period := l.Period.seconds() * int64(time.Second)
	return Rate{interval: (period + limit - 1) / limit, burst: burst}
}

// Take admits n units at now, or refuses them. It returns the new TAT, which is the
// old one for a refusal: what is refused costs nothing.
func (r Rate) Take(tat, now, n int64) (next int64, admitted bool) {
	if n == 0 {
		return tat, true
	}
	if n > r.burst || r.interval == 0 {
		return tat, false
	}
	next = max(tat, now) + n*r.interval
	if next-now > r.tolerance() {
		return tat, false
	}
	return next, true
}

// tolerance is how far the TAT may be ahead of the clock. It is at most a year, so
// that nothing overflows.
func (r Rate) tolerance() int64 { return r.burst * r.interval }

// GiveBack returns the TAT after n units that were admitted are returned unused.
func (r Rate) GiveBack(tat, n int64) int64 { return tat - n*r.interval }

// Wait returns how long it takes until n units are admitted, if nothing else is
// admitted before. It reports false if they never are.
func (r Rate) Wait(tat, now, n int64) (time.Duration, bool) {
	if n == 0 {
		return 0, true
	}
	if n > r.burst || r.interval == 0 {
		return 0, false
	}
	return time.Duration(max(0, max(tat, now)+n*r.interval-now-r.tolerance())), true
}

// Remaining returns how many units would be admitted at now.
func (r Rate) Remaining(tat, now int64) int64 {
	if r.interval == 0 {
		return 0
	}
	return max(0, (r.tolerance()-max(0, tat-now))/r.interval)
}

// UntilNext returns how long it takes until one unit more remains than at now, and
// zero if none will: there is never more than the burst.
func (r Rate) UntilNext(tat, now int64) time.Duration {
	ahead := tat - now
	if r.interval == 0 || ahead <= 0 {
		return 0
	}
	next := ahead % r.interval
	if next == 0 {
		next = r.interval
	}
	return time.Duration(next)
}
