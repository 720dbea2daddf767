package domain

import (
	"fmt"
	"iter"
	"strconv"
	"time"
)

// Decision is whether the limits of a key admit a request, and what remains of
// them then. The zero value admits, because no limit holds. It is a value without
// allocations, so that deciding costs little.
type Decision struct {
	Limits     *LimitSet     // those that hold; nil: none
	Code       Code          // empty: admitted; rate_limited; unavailable: it is not known which limits hold
	RetryAfter time.Duration // for a refusal: after that time it is admitted, if nothing else is admitted before
	Share      Share         // what of each rate is this node's

	violated, exceeded uint64           // one bit for each limit
	ahead              [MaxLimits]int64 // how far each TAT is ahead of the clock
	rest               []int64          // the same for limits beyond these, which few keys have
}

// Admitted reports whether the request may be served.
func (d *Decision) Admitted() bool { return d.Code == "" }

// Note keeps the state of a limit, given its TAT.
func (d *Decision) Note(i int, tat, now int64) { *d.state(i) = d.rate(i).Ahead(tat, now) }

// state is where the state of a limit is kept.
func (d *Decision) state(i int) *int64 {
	if i < len(d.ahead) {
		return &d.ahead[i]
	}
	if d.rest == nil {
		d.rest = make([]int64, MaxHeld-MaxLimits)
	}
	return &d.rest[i-len(d.ahead)]
}

func (d *Decision) rate(i int) Rate { return d.Share.Of(d.Limits.Rate(i)) }

// Exceed notes that n units exceed a limit, whose state is noted. The limit refuses
// the request unless it only observes.
func (d *Decision) Exceed(i int, n int64) {
	d.exceeded |= 1 << i
	if d.Limits.At(i).Mode == Observe {
		return
	}
	d.violated |= 1 << i
	d.Code = CodeRateLimited
	wait, ever := d.rate(i).Wait(*d.state(i), 0, n)
	if !ever { // not within the burst, or not at this node
		wait = time.Duration(d.Limits.At(i).Period.seconds()) * time.Second
	}
	d.RetryAfter = max(d.RetryAfter, wait)
}

// Exceeded reports whether the request exceeds a limit.
func (d *Decision) Exceeded(i int) bool { return d.exceeded&(1<<i) != 0 }

// LimitState is how much of a limit is used.
type LimitState struct {
	*EffectiveLimit

	Burst           int64         // units that may come together; 0: nothing is admitted
	Used, Remaining int64         // units; of this node's share
	Next            time.Duration // until one more unit remains; 0: nothing is used
	Full            time.Duration // until nothing is used
	Exceeded        bool          // by this request
}

// States are the states of all limits, by their place.
func (d *Decision) States() iter.Seq2[int, LimitState] {
	return func(yield func(int, LimitState) bool) {
		for i := range d.Limits.Len() {
			rate, ahead := d.rate(i), *d.state(i)
			remaining := rate.Remaining(ahead, 0)
			if !yield(i, LimitState{
				EffectiveLimit: d.Limits.At(i),
				Burst:          d.Limits.Rate(i).burst,
				Used:           rate.burst - remaining,
				Remaining:      remaining,
				Next:           rate.UntilNext(ahead, 0),
				Full:           time.Duration(ahead),
				Exceeded:       d.Exceeded(i),
			}) {
				return
			}
		}
	}
}

// Violated are the names of the limits that refuse the request.
func (d *Decision) Violated() (names []string) {
	for i := range d.Limits.Len() {
		if d.violated&(1<<i) != 0 {
			names = append(names, d.Limits.At(i).Name)
		}
	}
	return names
}

// Seconds rounds up a time to wait, to at least one second.
func Seconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }

// AppendHeader appends the value of the header RateLimit, as
// draft-ietf-httpapi-ratelimit-headers-10 defines it.
func (d *Decision) AppendHeader(b []byte) []byte {
	for _, s := range d.States() {
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, '"'), s.Name...), `";r=`...)
		b = append(strconv.AppendInt(b, s.Remaining, 10), ";t="...)
		b = strconv.AppendInt(b, Seconds(s.Next), 10)
	}
	return b
}

// Err returns the refusal as an error for the caller who made the request; nil if
// it is admitted.
func (d *Decision) Err() error {
	switch d.Code {
	case "":
		return nil
	case CodeUnavailable:
		return &Error{Code: CodeUnavailable, Detail: Unavailable(nil).Detail, RetryAfter: d.RetryAfter}
	}
	violated := d.Violated()
	for i := range d.Limits.Len() {
		if d.violated&(1<<i) != 0 {
			return &Error{Code: d.Code, Detail: d.Limits.sentences[i], RetryAfter: d.RetryAfter, Violated: violated}
		}
	}
	return nil
}

// sentence says what a rate allows.
func (l *EffectiveLimit) sentence() string {
	who := "This key"
	if l.Per != PerKey {
		who = "The keys that share this limit"
	}
	units, _ := l.Limit.Limit.Units()
	if *l.Cost != 1 {
		return fmt.Sprintf("%s may use %d units of %s a %s.", who, units, l.Name, l.Period)
	}
	return fmt.Sprintf("%s may make %d requests a %s.", who, units, l.Period)
}
