package meter

import (
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/journal"
)

// Journal has this node keep what it spends of leases in a journal. It is called before
// anything is spent.
func (m *Meter) Journal(j *journal.File) { m.balances.journal = j }

// leaving is a record whose balance has been dropped. A request may still have it.
type leaving struct {
	record *domain.Record
	sweeps int
}

// sweep drops balances of which nothing is left to settle and that have rested.
func (b *balances) sweep() {
	b.letGo()
	b.dropIf(func(one *Balance) bool {
		switch {
		case one.holders > 0 || !one.settled():
		case one.rested < rest:
			one.rested++
		default:
			return true
		}
		return false
	})
}

// clear drops those of a project that nothing is left of and that were not visited for a
// moment, also where lines hold them.
func (b *balances) clear(a *account, now int64) {
	b.dropIf(func(one *Balance) bool { return one.account == a && one.visited() <= now-int64(emptyFor) })
}

// dropIf drops those that are to be dropped and can be: requests that still have them
// find that they are retired, so that there are never two balances of one counter that
// requests take from.
func (b *balances) dropIf(drops func(*Balance) bool) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for c, one := range s.of {
			if drops(one) && one.retire() {
				delete(s.of, c)
				b.count(c, -1)
				one.account.add(-balanceBytes)
				b.leave(one.Kept())
			}
		}
		s.mu.Unlock()
	}
}

// leave ends a record. It is given to another counter when no request can have it any
// more.
func (b *balances) leave(r *domain.Record) {
	if r != nil {
		r.Free()
		b.mu.Lock()
		b.leaving = append(b.leaving, leaving{record: r})
		b.mu.Unlock()
	}
}

// letGo gives back the records that have rested.
func (b *balances) letGo() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving = slices.DeleteFunc(b.leaving, func(l leaving) bool { return l.sweeps >= rest })
	for i := range b.leaving {
		if b.leaving[i].sweeps++; b.leaving[i].sweeps == rest {
			b.journal.Release(b.leaving[i].record)
		}
	}
}

// settled reports whether nothing of a lease is left, and everything is booked.
func (b *Balance) settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isSettled()
}

func (b *Balance) isSettled() bool {
	known := b.Known()
	return b.now == nil && b.next == nil && !b.listed.Load() &&
		(known == nil || known.Lease.Left() == 0 && b.Report(false).Spent == known.Lease.Spent)
}

// visited returns when the last visit began.
func (b *Balance) visited() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// retire has requests look for the counter again, if everything is settled.
func (b *Balance) retire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isSettled() {
		return false
	}
	b.retired.Store(true)
	b.unsure.Store(true)
	return true
}
