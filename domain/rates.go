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

// Used returns how many units do not remain at now.
func (r Rate) Used(tat, now int64) int64 { return r.burst - r.Remaining(tat, now) }

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

// Share says which part of every rate one of several nodes admits, as long as they
// share no counters: all parts together are the rate. The zero value is all of it.
type Share struct {
	Nodes int // how many nodes there are
	Place int // the place of this one among them, from 0
}

// Of returns the share's part of a rate. The burst is divided without a remainder,
// and the rate as the burst is. So where nodes outnumber the burst, some admit
// nothing.
func (s Share) Of(r Rate) Rate {
	if s.Nodes < 2 || r.interval == 0 {
		return r
	}
	burst := r.burst / int64(s.Nodes)
	if int64(s.Place) < r.burst%int64(s.Nodes) {
		burst++
	}
	if burst == 0 {
		return Rate{}
	}
	return Rate{interval: (r.tolerance() + burst - 1) / burst, burst: burst}
}

// Bounded returns the TAT, or that of an empty burst if it is further ahead: it may
// be that of another rate, which the limit had before.
func (r Rate) Bounded(tat, now int64) int64 { return min(tat, now+r.tolerance()) }

// Ahead returns how far the TAT is ahead of the clock, in the steps of the rate: it
// is zero when nothing is used, and its tolerance when nothing remains.
func (r Rate) Ahead(tat, now int64) int64 { return max(0, r.Bounded(tat, now)-now) }

// Change returns the TAT of a rate after this share has become another one. As many
// units remain as before or fewer, so that a change of nodes admits no second burst.
func (s Share) Change(to Share, r Rate, tat, now int64) int64 {
	before, after := s.Of(r), to.Of(r)
	if after.burst <= before.burst {
		return tat // the same part of the burst remains, which is no more units
	}
	left := before.tolerance() - before.Ahead(tat, now)
	return now + after.tolerance() - left/after.burst*before.burst
}

// Change returns the TAT of a limit that has become another rate. What was used of the
// former one stays used, in units, however slow the new one is.
func (r Rate) Change(to Rate, tat, now int64) int64 {
	ahead := tat - now
	if ahead <= 0 || r.interval == 0 || to.interval == 0 || r == to {
		return tat
	}
	used := (r.Ahead(tat, now) + r.interval - 1) / r.interval
	return now + min(used, to.burst)*to.interval
}
