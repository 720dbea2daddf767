package meter

import (
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Spend takes what a request costs from all limits of the key, or from none of them
// if one refuses it. now is a time that only moves forward, the same for all calls.
// For a key from the cache it allocates nothing. If only a visit can tell whether the
// request is admitted, the decision says that it is not known: see Await.
func (m *Meter) Spend(key domain.ProvenKey, cost domain.Cost, now int64) domain.Decision {
	return m.spend(key, cost, now, false)
}

// SpendAnyway is like Spend, for a request for which there is no visit: what only
// observes it, or costs it nothing, does not refuse it.
func (m *Meter) SpendAnyway(key domain.ProvenKey, cost domain.Cost, now int64) domain.Decision {
	return m.spend(key, cost, now, true)
}

func (m *Meter) spend(key domain.ProvenKey, cost domain.Cost, now int64, anyway bool) domain.Decision {
	for {
		d, current := m.trySpend(key, cost, now, anyway)
		if current {
			return d
		}
		m.outdated(key)
	}
}

// trySpend is like spend. It reports false, and has taken nothing, if a state that the
// key's line knows is gone.
func (m *Meter) trySpend(key domain.ProvenKey, cost domain.Cost, now int64, anyway bool) (d domain.Decision, current bool) {
	l, known := m.limitsOf(key, now)
	switch {
	case !known:
		d.Code, d.RetryAfter = domain.CodeUnavailable, time.Second
		return d, true
	case l.set.Len() == 0:
		return d, true
	}
	shares := m.buckets.shares.Load()
	d.Limits, d.Share, d.Held = l.set, shares.now, l.held
	if !m.judgeAll(l, &d, cost, now, anyway, shares.unknown) {
		return d, false
	}
	return d, m.takeAll(l, &d, cost, now, anyway)
}

// judgeAll notes what the limits say of the request. It reports false if a state is gone.
func (m *Meter) judgeAll(l *limited, d *domain.Decision, cost domain.Cost, now int64, anyway, unknown bool) bool {
	for i, b := range l.buckets { // what is known to refuse takes nothing from the others
		limit := l.set.At(i)
		rate, n := d.Share.Of(l.set.Rate(i)), cost.Of(limit.Limit)
		at := b.tat.Load()
		if at == gone {
			return false
		}
		tat := rate.Bounded(at, now)
		d.Note(i, tat, now)
		if unknown && n > 0 && limit.Mode == domain.Enforce {
			d.NotKnown()
		} else if _, fits := rate.Take(tat, now, n); !fits {
			d.Exceed(i, n)
		}
	}
	if len(l.balances) > 0 {
		d.At = m.balances.time(now)
		for i, b := range l.balances {
			m.judge(b, d, len(l.buckets)+i, cost, now, anyway)
		}
	}
	return true
}

// takeAll takes from all limits if they have admitted the request, or from none of them
// if another request was faster. It reports false if a state is gone.
func (m *Meter) takeAll(l *limited, d *domain.Decision, cost domain.Cost, now int64, anyway bool) bool {
	for i := range l.buckets {
		if !d.Admitted() || d.Exceeded(i) {
			continue
		}
		switch l.take(i, d, cost, now) {
		case outrun:
			if !d.Admitted() { // it does not only observe
				l.giveBack(i, d, cost, now)
			}
		case isGone:
			l.giveBack(i, d, cost, now)
			return false
		case hasTaken:
		}
	}
	if len(l.balances) > 0 && d.Admitted() && !m.takeBalances(l, d, cost, now, anyway) {
		l.giveBack(len(l.buckets), d, cost, now)
	}
	return true
}

// taking is what became of an attempt to take from a rate.
type taking int

const (
	hasTaken taking = iota
	outrun          // another request was faster
	isGone          // the state has given up its place
)

// take takes from one rate.
func (l *limited) take(i int, d *domain.Decision, cost domain.Cost, now int64) taking {
	b, rate, n := l.buckets[i], d.Share.Of(l.set.Rate(i)), cost.Of(l.set.At(i).Limit)
	for n > 0 {
		before := b.tat.Load()
		if before == gone {
			return isGone
		}
		tat := rate.Bounded(before, now)
		next, fits := rate.Take(tat, now, n)
		if !fits {
			d.Note(i, tat, now)
			d.Exceed(i, n)
			return outrun
		}
		if b.tat.CompareAndSwap(before, next) {
			d.Note(i, next, now)
			return hasTaken
		}
	}
	return hasTaken
}

// giveBack returns what was taken from the rates before the one that refused.
func (l *limited) giveBack(refused int, d *domain.Decision, cost domain.Cost, now int64) {
	for i := range refused {
		if d.Exceeded(i) {
			continue
		}
		rate, n := d.Share.Of(l.set.Rate(i)), cost.Of(l.set.At(i).Limit)
		l.buckets[i].change(func(tat int64) int64 {
			tat = rate.GiveBack(tat, n)
			d.Note(i, tat, now)
			return tat
		})
	}
}

// judge notes what a balance says of the request.
func (m *Meter) judge(b *Balance, d *domain.Decision, i int, cost domain.Cost, now int64, anyway bool) verdict {
	limit := d.Limits.At(i)
	n := cost.Of(limit.Limit)
	v, remaining := b.judge(n, now, d.At)
	d.NoteRemaining(i, remaining)
	switch {
	case v == exceeds:
		d.Exceed(i, n)
		m.balances.list(b)
	case v == waits && !(anyway && (n == 0 || limit.Mode == domain.Observe)):
		d.NotKnown()
	}
	return v
}

// takeBalances takes from all quotas and credits, or from none. It reports false if
// another request was faster.
func (m *Meter) takeBalances(l *limited, d *domain.Decision, cost domain.Cost, now int64, anyway bool) bool {
	for i, b := range l.balances {
		at := len(l.buckets) + i
		known, v := b.Known(), fits
		if known == nil || d.Exceeded(at) {
			v = exceeds // but it is not enforced
		}
		for n := cost.Of(l.set.At(at).Limit); v == fits; {
			left, ok := b.Take(n)
			if !ok {
				v = m.judge(b, d, at, cost, now, anyway)
				continue
			}
			d.NoteRemaining(at, left+max(0, known.Books.Available()))
			if left < b.half.Load() {
				m.balances.list(b)
			}
			break
		}
		if !d.Admitted() {
			l.giveBackBalances(d, cost)
			return false
		}
		if v == fits {
			d.Take(at, known) // so that nothing is given back to another lease
		}
	}
	return true
}

// giveBackBalances returns what was taken from balances.
func (l *limited) giveBackBalances(d *domain.Decision, cost domain.Cost) {
	for i, b := range l.balances {
		at := len(l.buckets) + i
		if known := d.Taken(at); known != nil {
			n := cost.Of(l.set.At(at).Limit)
			b.GiveBack(n, known)
			d.AddRemaining(at, n)
			d.Take(at, nil)
		}
	}
}

// GiveBack returns all that a decision has taken.
func (m *Meter) GiveBack(key domain.ProvenKey, d *domain.Decision, cost domain.Cost, now int64) {
	if l, known := m.limitsOf(key, now); known && l.set.Len() == d.Limits.Len() {
		l.giveBack(len(l.buckets), d, cost, now)
		l.giveBackBalances(d, cost)
	}
}

// GiveBackRate returns units of a rate, as far as they are used, and how many.
func (m *Meter) GiveBackRate(key domain.ProvenKey, i int, n, now int64) int64 {
	return m.changeRate(key, i, func(r domain.Rate, tat int64) (int64, int64) {
		given := min(n, r.Used(tat, now))
		return r.GiveBack(tat, given), given
	}, now)
}

// TakeRate takes units from a rate, as far as they are there, and returns how many.
func (m *Meter) TakeRate(key domain.ProvenKey, i int, n, now int64) int64 {
	return m.changeRate(key, i, func(r domain.Rate, tat int64) (int64, int64) {
		taken := min(n, r.Remaining(tat, now))
		next, _ := r.Take(tat, now, taken)
		return next, taken
	}, now)
}

// changeRate changes the TAT of a rate. change returns the new one and the units.
func (m *Meter) changeRate(key domain.ProvenKey, i int, change func(r domain.Rate, tat int64) (next, units int64), now int64) int64 {
	for l, known := m.limitsOf(key, now); known; l, known = m.limitsOf(key, now) {
		rate := m.buckets.shares.Load().now.Of(l.set.Rate(i))
		before := l.buckets[i].tat.Load()
		if before == gone {
			m.outdated(key)
			continue
		}
		next, units := change(rate, rate.Bounded(before, now))
		if l.buckets[i].tat.CompareAndSwap(before, next) {
			return units
		}
	}
	return 0
}
