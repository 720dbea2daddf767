package service

import (
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// LimitStats is what this node does about limits, counted since it began.
type LimitStats struct {
	Nodes       int                         // that share every rate
	Counters    map[domain.LimitType]int    // whose state this node knows
	Visits      map[meter.VisitReason]int64 // of counters of quotas and credits
	Failed      int64                       // of these
	Took        Durations                   // transactions in which counters are visited
	Granted     int64                       // units that this node has leased
	Returned    int64                       // of these, what it has returned
	Forfeited   int64                       // units that nodes had which are gone, as far as this node has found them
	ClockOffset time.Duration               // how far the clock of limits is ahead of the one of this node
	Journal     int64                       // size of the journal, in bytes; 0: there is none
}

// LimitDecisions is how often the limits of a type have said something of a request.
type LimitDecisions struct {
	Type    domain.LimitType // empty: it was not known which limits the key has
	Verdict domain.Verdict
	Count   int64
}

// LimitStats returns what this node does about limits.
func (a *App) LimitStats() LimitStats {
	m, l := a.usage.meter, a.leases
	rates, quotas, credits := m.Counters()
	s := LimitStats{
		Nodes:       max(1, m.Share().Nodes),
		Counters:    map[domain.LimitType]int{domain.RateLimit: rates, domain.Quota: quotas, domain.Credits: credits},
		Visits:      map[meter.VisitReason]int64{},
		Failed:      l.failed.Load(),
		Took:        l.took.read(),
		Granted:     l.granted.Load(),
		Returned:    l.returned.Load(),
		Forfeited:   l.forfeited.Load(),
		ClockOffset: a.limitTime().Sub(a.now()),
	}
	if a.journal != nil {
		s.Journal = a.journal.Bytes()
	}
	for _, r := range meter.VisitReasons {
		s.Visits[r] = l.visits[r].Load()
	}
	return s
}

// LimitDecisions returns what limits have said of requests at this node. The list has
// always the same types and verdicts.
func (a *App) LimitDecisions() (all []LimitDecisions) {
	sums := a.usage.meter.Decisions()
	for _, v := range domain.Verdicts {
		for _, t := range domain.LimitTypes {
			d := LimitDecisions{Type: t, Verdict: v}
			for types, n := range sums[v] {
				if domain.TypeSet(types).Has(t) {
					d.Count += n
				}
			}
			all = append(all, d)
		}
	}
	return append(all, LimitDecisions{Verdict: domain.VerdictUnknown, Count: sums[domain.VerdictUnknown][0]})
}

// noteUnits counts what a visit has leased and returned.
func (l *leases) noteUnits(v domain.Visit, after domain.Visited) {
	r := v.Report
	had := r.Lease.Granted
	if r.Returns {
		returned := max(0, r.Lease.Granted-r.Spent)
		l.returned.Add(returned)
		had -= returned
	}
	if after.Lease.Number != r.Lease.Number {
		had = 0
	}
	l.granted.Add(max(0, after.Lease.Granted-had))
}

// UsageStats is what this node has counted of uses of keys.
type UsageStats struct {
	Pending int64         // uses that are not written yet: what a node that is killed loses
	Rows    int64         // counts that were written
	Lag     time.Duration // since everything before was written
}

// UsageStats returns what this node has counted of uses of keys. It reads every line of
// the meter.
func (a *App) UsageStats() UsageStats {
	u := a.usage
	return UsageStats{
		Pending: u.meter.Pending() + u.waiting.Load(),
		Rows:    u.rows.Load(),
		Lag:     max(0, a.now().Sub(u.complete())),
	}
}

// durationBuckets are the upper bounds of what durations tell apart.
var durationBuckets = [...]time.Duration{
	time.Millisecond / 4, time.Millisecond / 2, time.Millisecond, 5 * time.Millisecond / 2, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 5 * time.Second / 2,
}

// durations count how long something took.
type durations struct {
	counts [len(durationBuckets) + 1]atomic.Uint64 // the last one is of what took longer
	sum    atomic.Int64
}

// Durations is how long something took.
type Durations struct {
	Count uint64
	Sum   time.Duration
	Up    map[time.Duration]uint64 // how many took at most so long
}

func (d *durations) note(took time.Duration) {
	i := 0
	for i < len(durationBuckets) && took > durationBuckets[i] {
		i++
	}
	d.counts[i].Add(1)
	d.sum.Add(int64(took))
}

func (d *durations) read() Durations {
	all := Durations{Sum: time.Duration(d.sum.Load()), Up: map[time.Duration]uint64{}}
	for i, bound := range durationBuckets {
		all.Count += d.counts[i].Load()
		all.Up[bound] = all.Count
	}
	all.Count += d.counts[len(durationBuckets)].Load()
	return all
}
