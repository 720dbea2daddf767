package meter

import (
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Visits are the balances that are visited together.
type Visits struct {
	domain.Visits
	Reasons [visitReasons]int64 // how many of them have which reason

	balances []*Balance
}

// VisitReason is why a counter is visited.
type VisitReason int

// The reasons, of which a visit has the first that holds.
const (
	VisitRequest VisitReason = iota // requests wait for it
	VisitExit                       // this node ends and returns what it has left
	VisitIdle                       // it returns what it does not spend
	VisitAhead                      // it takes more before it has spent what it has
	VisitSettle                     // it reports what it has spent, or asks what is there
	visitReasons
)

// VisitReasons are all of them.
var VisitReasons = [visitReasons]VisitReason{VisitRequest, VisitExit, VisitIdle, VisitAhead, VisitSettle}

// String returns the reason as metrics have it.
func (r VisitReason) String() string {
	return [...]string{"request", "exit", "idle", "ahead", "settle"}[r]
}

// SetClock says what the clock of limits shows now.
func (m *Meter) SetClock(t time.Time, now int64) { m.balances.clock.Store(t.UnixNano() - now) }

// LimitTime returns what the clock of limits shows now.
func (m *Meter) LimitTime(now int64) time.Time { return m.balances.time(now) }

// Visits returns at most domain.MaxVisits visits that are to be made: first those that
// requests wait for, and in the background those that are due. Projects take turns. For
// each call that returns some, Visited must be called.
func (m *Meter) Visits(now int64, background bool) Visits {
	b := m.balances
	b.mu.Lock()
	var due, soon []*Balance
	due, b.asked = inTurn(b.asked, domain.MaxVisits)
	if background {
		soon, b.want = inTurn(b.want, domain.MaxVisits-len(due))
	}
	b.mu.Unlock()
	return m.begin(append(due, soon...), now, false)
}

// Returns returns at most domain.MaxVisits visits in which this node returns all that
// is left.
func (m *Meter) Returns(now int64) Visits {
	var held []*Balance
	for _, one := range m.balances.all() {
		if known := one.Known(); known != nil && (known.Lease.Left() != 0 || one.Report(false).Spent != known.Lease.Spent) {
			held = append(held, one)
		}
	}
	some, _ := inTurn(held, domain.MaxVisits)
	return m.begin(some, now, true)
}

// ReturnsOf returns visits in which this node settles what it has spent of the quotas and
// credits of a key, and returns the rest. None of them is visited at the same time.
func (m *Meter) ReturnsOf(key domain.ProvenKey, now int64) Visits {
	l, known := m.limitsOf(key, now)
	if !known {
		return Visits{}
	}
	var held []*Balance
	for _, one := range l.balances {
		if one.Known() != nil {
			held = append(held, one)
		}
	}
	v := m.begin(held, now, true)
	v.Reasons[VisitSettle], v.Reasons[VisitExit] = v.Reasons[VisitExit], 0
	return v
}

// inTurn divides balances into those whose turn it is and the rest. No project waits
// for more than as many balances of each other one.
func inTurn(all []*Balance, most int) (some, rest []*Balance) {
	if len(all) <= most {
		return all, nil
	}
	var projects []domain.ProjectID
	of := map[domain.ProjectID][]*Balance{}
	for _, one := range all {
		p := one.counter.Project
		if len(of[p]) == 0 {
			projects = append(projects, p)
		}
		of[p] = append(of[p], one)
	}
	for round := 0; len(some)+len(rest) < len(all); round++ {
		for _, p := range projects {
			switch {
			case round >= len(of[p]):
			case len(some) < most:
				some = append(some, of[p][round])
			default:
				rest = append(rest, of[p][round])
			}
		}
	}
	return some, rest
}

// begin begins visits of those balances that none is under way for.
func (m *Meter) begin(due []*Balance, now int64, returns bool) (v Visits) {
	v.Nodes, v.At = max(1, m.Share().Nodes), m.balances.time(now).Truncate(time.Microsecond)
	for _, one := range due {
		one.listed.Store(false)
		if visit, reason, ok := one.begin(now, returns); ok {
			if one.Kept() != nil {
				visit.Journal = m.balances.journal.ID()
			}
			v.All, v.balances = append(v.All, visit), append(v.balances, one)
			v.Reasons[reason]++
		}
	}
	return v
}

// begin begins a visit, unless there is one under way.
func (b *Balance) begin(now int64, exits bool) (domain.Visit, VisitReason, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil || b.retired.Load() {
		return domain.Visit{}, 0, false // the next one comes after it
	}
	reason := VisitRequest
	if b.now, b.next = b.next, nil; b.now == nil {
		b.now, reason = &Waiting{Done: make(chan struct{})}, VisitSettle
	}
	if spent := b.Report(false).Spent; spent != b.seen {
		b.seen, b.used = spent, now
	}
	idle := exits || time.Duration(now-b.used) >= idleAfter && b.need == 0 && b.Left() > 0
	returns := idle || b.unsure.Load()
	if returns {
		b.unsure.Store(true) // before Stop, so that no request takes it for an empty counter
		b.Stop()
	}
	r := b.Report(returns)
	took := max(time.Duration(now-b.at), quickest)
	b.rate = max(float64(r.Spent-b.spent)/took.Seconds(), b.rate/2)
	left := b.Left()
	if r.Need = b.need; r.Need > 0 || !idle { // otherwise it only returns
		r.Want = max(atLeast*r.Need, b.asks, int64(b.rate*b.lasts().Seconds())) - left
	}
	r.Need = max(0, r.Need-left)
	switch {
	case reason == VisitRequest:
	case exits:
		reason = VisitExit
	case idle:
		reason = VisitIdle
	case r.Want > 0 && left > 0:
		reason = VisitAhead
	}
	b.spent, b.at, b.need, b.asks = r.Spent, now, 0, 0
	return domain.Visit{Counter: b.counter, Limit: *b.limit.Load(), Report: r}, reason, true
}

// lasts is for how long a lease is asked for.
func (b *Balance) lasts() time.Duration {
	if b.Kept() != nil {
		return leaseKeptFor
	}
	return leaseFor
}

// Visited ends visits. Requests that wait for them continue.
func (m *Meter) Visited(v Visits, answers []domain.Visited, err error) {
	for i, one := range v.balances {
		if err != nil {
			one.end(nil, err)
			continue
		}
		if a := answers[i]; !a.Gone {
			one.end(&domain.Known{Books: a.Books, Lease: a.Lease, At: one.at}, nil)
			continue
		}
		one.end(&domain.Known{At: one.at}, domain.NotFound()) // the counter has been removed, and its leases with it
		one.unsure.Store(true)
	}
	m.again(v.balances)
}

// end ends a visit, with what it has brought or why it failed.
func (b *Balance) end(k *domain.Known, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k != nil {
		if before := b.Known(); before == nil || before.Lease.Number != k.Lease.Number {
			b.spent = k.Lease.Spent
		}
		b.Renew(*k)
		b.half.Store(b.Left() / 2)
		b.unsure.Store(false)
	} // otherwise requests spend what is left, unless it was being returned
	b.now.Err = err
	close(b.now.Done)
	b.now = nil
}

// again asks for a visit of those that requests wait for since theirs has begun.
func (m *Meter) again(all []*Balance) {
	var asked []*Balance
	for _, one := range all {
		one.mu.Lock()
		if one.next != nil {
			asked = append(asked, one)
		}
		one.mu.Unlock()
	}
	if len(asked) > 0 {
		m.balances.mu.Lock()
		m.balances.asked = append(m.balances.asked, asked...)
		m.balances.mu.Unlock()
	}
}

// Await returns what a request waits for that a decision has left open.
func (m *Meter) Await(key domain.ProvenKey, cost domain.Cost, now int64) (all []*Waiting) {
	l, known := m.limitsOf(key, now)
	if !known {
		return nil
	}
	at := m.balances.time(now)
	for i, one := range l.balances {
		n := cost.Of(l.set.At(l.set.Rates() + i).Limit)
		if v, _ := one.judge(n, now, at); v != waits {
			continue
		}
		if w := m.balances.ask(one, n); w != nil {
			all = append(all, w)
		} else {
			m.outdated(key) // the next attempt finds the balance that is there now
		}
	}
	return all
}

// LookAround lists what is due: what was spent and is not settled, and what is idle.
func (m *Meter) LookAround(now int64) {
	for _, one := range m.balances.all() {
		if one.due(now) {
			m.balances.list(one)
		}
	}
}

func (b *Balance) due(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.Known()
	if known == nil || b.now != nil {
		return false
	}
	spent := b.Report(false).Spent
	if spent != b.seen {
		b.seen, b.used = spent, now
	}
	idle := time.Duration(now-b.used) >= idleAfter && known.Lease.Left() > 0
	return idle || spent != known.Lease.Spent && time.Duration(now-b.at) >= settleAfter
}
