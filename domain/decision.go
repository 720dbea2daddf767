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
	Code       Code          // empty: admitted; unavailable: it is not known which limits hold, or what is left of them
	RetryAfter time.Duration // for a refusal: after that time it is admitted, if nothing else is admitted before; 0: never by itself
	Share      Share         // what of each rate is this node's
	Held       []*Holding    // what this node holds of each quota and of credits, in their order; shared
	At         time.Time     // by the clock of limits, if there are such

	violated, exceeded uint64           // one bit for each limit
	beyond             uint64           // of rates: the request is more than the burst, so no time helps
	leases             [4]*Known        // quotas, credits: from which of them units were taken; nil: from none
	moreLeases         []*Known         // beyond these, which few keys have
	left               [MaxLimits]int64 // rate: how far the TAT is ahead of the clock; otherwise how many units remain
	rest               []int64          // the same for limits beyond these, which few keys have
}

// Admitted reports whether the request may be served.
func (d *Decision) Admitted() bool { return d.Code == "" }

// Note keeps the state of a rate, given its TAT.
func (d *Decision) Note(i int, tat, now int64) { *d.state(i) = d.rate(i).Ahead(tat, now) }

// NoteRemaining keeps how many units remain of a quota or of credits.
func (d *Decision) NoteRemaining(i int, units int64) { *d.state(i) = units }

// AddRemaining notes that units were given back.
func (d *Decision) AddRemaining(i int, units int64) { *d.state(i) += units }

// Take notes from which lease units of a quota or of credits were taken.
func (d *Decision) Take(i int, lease *Known) {
	i -= d.Limits.Rates()
	if i < len(d.leases) {
		d.leases[i] = lease
		return
	}
	if d.moreLeases == nil {
		d.moreLeases = make([]*Known, MaxHeld-len(d.leases))
	}
	d.moreLeases[i-len(d.leases)] = lease
}

// Taken returns from which lease units of a quota or of credits were taken; nil: from
// none.
func (d *Decision) Taken(i int) *Known {
	i -= d.Limits.Rates()
	switch {
	case i < 0:
		return nil
	case i < len(d.leases):
		return d.leases[i]
	case d.moreLeases == nil:
		return nil
	}
	return d.moreLeases[i-len(d.leases)]
}

// Remaining returns how many units remain of a limit.
func (d *Decision) Remaining(i int) int64 {
	if i < d.Limits.Rates() {
		return d.rate(i).Remaining(*d.state(i), 0)
	}
	return *d.state(i)
}

// state is where the state of a limit is kept.
func (d *Decision) state(i int) *int64 {
	if i < len(d.left) {
		return &d.left[i]
	}
	if d.rest == nil {
		d.rest = make([]int64, MaxHeld-MaxLimits)
	}
	return &d.rest[i-len(d.left)]
}

func (d *Decision) rate(i int) Rate { return d.Share.Of(d.Limits.Rate(i)) }

// known returns what this node knows of a quota or of credits; nil: nothing.
func (d *Decision) known(i int) *Known {
	if i -= d.Limits.Rates(); i < len(d.Held) {
		return d.Held[i].Known()
	}
	return nil
}

// refusals are the codes of refused requests, by the type of the limit.
var refusals = map[LimitType]Code{RateLimit: CodeRateLimited, Quota: CodeQuotaExceeded, Credits: CodeCreditsExhausted}

// Exceed notes that n units exceed a limit, whose state is noted. The limit refuses
// the request unless it only observes. The limit that comes last has the say: no wait
// for a rate brings back credits.
func (d *Decision) Exceed(i int, n int64) {
	d.exceeded |= 1 << i
	l := d.Limits.At(i)
	if l.Mode == Observe {
		return
	}
	wait := d.wait(i, n)
	switch refusal := refusals[l.Type]; {
	case d.violated == 0 || refusal != d.Code:
		d.Code, d.RetryAfter = refusal, wait
	case wait == 0 || d.RetryAfter == 0:
		d.RetryAfter = 0 // one of them never admits it
	default:
		d.RetryAfter = max(d.RetryAfter, wait)
	}
	if wait == 0 && l.Type == RateLimit {
		d.beyond |= 1 << i
	}
	d.violated |= 1 << i
}

// wait returns how long n units wait that exceed a limit; 0: no time helps.
func (d *Decision) wait(i int, n int64) time.Duration {
	if d.Limits.At(i).Type != RateLimit {
		return d.untilRenewal(i)
	}
	wait, ever := d.rate(i).Wait(*d.state(i), 0, n)
	switch whole := d.Limits.Rate(i); {
	case ever:
		return max(1, wait)
	case whole.interval > 0 && n <= whole.burst: // but not at this node
		return time.Duration(d.Limits.At(i).Period.seconds()) * time.Second
	}
	return 0
}

// untilRenewal is the time until a quota begins anew, or credits are refilled; 0: they
// never are.
func (d *Decision) untilRenewal(i int) time.Duration {
	known := d.known(i)
	if known == nil || known.Books.RenewsAt.IsZero() {
		return 0
	}
	return max(1, known.Books.RenewsAt.Sub(d.At))
}

// NotKnown refuses the request for now, because it is not known what is left, unless a
// limit refuses it anyway.
func (d *Decision) NotKnown() {
	if d.violated == 0 {
		d.Code, d.RetryAfter = CodeUnavailable, time.Second
	}
}

// Exceeded reports whether the request exceeds a limit.
func (d *Decision) Exceeded(i int) bool { return d.exceeded&(1<<i) != 0 }

// LimitState is how much of a limit is used.
type LimitState struct {
	*EffectiveLimit

	Burst           int64         // rate: units that may come together; 0: nothing is admitted
	Used, Remaining int64         // units; of a rate those of this node's share
	Leased          int64         // quota, credits: of those used, what other nodes may still spend
	Next            time.Duration // until one more unit remains; 0: nothing is used, or it never does by itself
	Full            time.Duration // rate: until nothing is used
	RenewsAt        time.Time     // quota, credits: when the next period begins, or the next refill is due; zero: never, or not known
	Exceeded        bool          // by this request
}

// Returns reports whether more units are left by themselves after some time.
func (s *LimitState) Returns() bool {
	switch s.Type {
	case RateLimit:
		return s.Burst > 0
	case Credits:
		return s.Refill != nil
	}
	return true
}

// ResetsAt returns when nothing is used any more, at the time now; zero: that is not
// known, or nothing is used.
func (s *LimitState) ResetsAt(now time.Time) time.Time {
	if s.Type == RateLimit && s.Full > 0 {
		return now.Add(s.Full).UTC()
	}
	return s.RenewsAt
}

// States are the states of all limits, by their place.
func (d *Decision) States() iter.Seq2[int, LimitState] {
	return func(yield func(int, LimitState) bool) {
		for i := range d.Limits.Len() {
			s := d.balanceState
			if i < d.Limits.Rates() {
				s = d.rateState
			}
			if !yield(i, s(i)) {
				return
			}
		}
	}
}

func (d *Decision) rateState(i int) LimitState {
	rate, ahead := d.rate(i), *d.state(i)
	remaining := rate.Remaining(ahead, 0)
	return LimitState{
		EffectiveLimit: d.Limits.At(i),
		Burst:          d.Limits.Rate(i).burst,
		Used:           rate.burst - remaining,
		Remaining:      remaining,
		Next:           rate.UntilNext(ahead, 0),
		Full:           time.Duration(ahead),
		Exceeded:       d.Exceeded(i),
	}
}

func (d *Decision) balanceState(i int) LimitState {
	l := d.Limits.At(i)
	s := LimitState{
		EffectiveLimit: l,
		Remaining:      *d.state(i),
		Next:           d.untilRenewal(i),
		Exceeded:       d.Exceeded(i),
	}
	if known := d.known(i); known != nil {
		s.Leased, s.RenewsAt = known.Elsewhere(), known.Books.RenewsAt
		s.Used = max(0, known.Books.Capacity-s.Remaining)
	}
	return s
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
		b = strconv.AppendInt(b, s.Remaining, 10)
		if s.Returns() {
			b = strconv.AppendInt(append(b, ";t="...), Seconds(s.Next), 10)
		}
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
	violated, wait := d.Violated(), d.RetryAfter
	if wait == 0 {
		wait = Never
	}
	first := -1
	for i := range d.Limits.Len() {
		if d.violated&(1<<i) == 0 || refusals[d.Limits.At(i).Type] != d.Code {
			continue
		}
		if d.beyond&(1<<i) != 0 {
			return &Error{Code: d.Code, Detail: d.Limits.At(i).beyond(), RetryAfter: wait, Violated: violated}
		}
		if first < 0 {
			first = i
		}
	}
	return &Error{Code: d.Code, Detail: d.Limits.sentences[first], RetryAfter: wait, Violated: violated}
}

// beyond says that a request costs more than the limit ever admits together.
func (l *EffectiveLimit) beyond() string {
	if units, _ := l.Limit.Limit.Units(); units == 0 {
		return fmt.Sprintf("The limit %s is 0, so it admits no request.", l.Name)
	}
	return fmt.Sprintf("This request costs more units of %s than the limit ever admits together: %d. Waiting does not help.",
		l.Name, *l.Burst)
}

// sentence says what a limit allows.
func (l *EffectiveLimit) sentence() string {
	who := "This key"
	if l.Per != PerKey {
		who = "The keys that share this limit"
	}
	units, _ := l.Limit.Limit.Units()
	plural := "s"
	if units == 1 {
		plural = ""
	}
	switch {
	case l.Type == Credits:
		return fmt.Sprintf("Not enough units of %s are left for this request.", l.Name)
	case *l.Cost != 1:
		return fmt.Sprintf("%s may use %d unit%s of %s %s.", who, units, plural, l.Name, l.Period.Each())
	}
	return fmt.Sprintf("%s may make %d request%s %s.", who, units, plural, l.Period.Each())
}
