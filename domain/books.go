package domain

import "time"

// Quotas and credits are shared by nodes through leases. The database has the books of
// each counter. A node takes a lease of some units, and then spends them from memory.
// Units are taken from the books before they are spent, in one transaction, so that all
// nodes together never spend more than there is: whatever nodes, connections or clocks
// do. Both totals of a lease, what was granted and what is spent of it, are absolute
// and only its node reports them, so that every message may be lost or repeated.

// Books are the running state of a quota or of credits. What is available is never
// stored. The zero value is of a counter that nothing was taken from yet.
type Books struct {
	Period    time.Time // quota: when its period began, or was reset; credits: when they were first used
	Capacity  int64     // quota: the limit as it was last applied; credits: all that was granted and refilled
	Spent     int64     // what nodes have reported
	Leased    int64     // what nodes may still spend: of all leases of this period, what was granted and is not spent
	Forfeited int64     // what nodes could still spend that are gone
	RenewedAt time.Time // credits: up to when refills are booked
	RenewsAt  time.Time // when the next period begins, or the next refill is due; zero: never
	ReachedAt time.Time // when all was spent for the first time in this period; zero: it was not
	Leases    int64     // the number of the last lease
	Owed      int64     // was given back before a node has reported it as spent
}

// Lease is what one node may spend of a counter.
type Lease struct {
	Number  int64     // distinguishes the leases of a counter, of all nodes; 0: none
	Period  time.Time // that of the books from which it was taken
	Granted int64     // in all
	Spent   int64     // of that, in all
}

// same reports whether two leases are the same one, as it was at different times.
func (l Lease) same(m Lease) bool { return l.Number == m.Number && l.Period.Equal(m.Period) }

// Left returns how much of a lease is not spent.
func (l Lease) Left() int64 { return l.Granted - l.Spent }

// Report is what a node says of its lease, and what it asks for.
type Report struct {
	Lease   Lease // that it spends from, as it was granted
	Spent   int64 // of that lease, in all
	Returns bool  // it does not spend from the lease any more and returns what is left
	Want    int64 // units, besides those that it has
	Need    int64 // how many of them it cannot do without
}

// Terms are what holds at a visit.
type Terms struct {
	Limit Limit     // of the type quota or credits, WithDefaults
	At    time.Time // by the clock of limits, to the microsecond
	Nodes int       // that share the counter
}

// Entry is a change of credits other than spending.
type Entry struct {
	Kind   EntryKind
	Amount int64
}

// EntryKind is why credits have changed.
type EntryKind string

// The kinds of entries.
const (
	EntryInitial EntryKind = "initial" // what a new counter begins with
	EntryGrant   EntryKind = "grant"   // by a person or a key; negative: taken back
	EntryRefill  EntryKind = "refill"
	EntryForfeit EntryKind = "forfeit" // what a node could still spend that is gone
	EntryRefund  EntryKind = "refund"  // of what was forfeited
)

// EntryKinds are all of them.
var EntryKinds = []EntryKind{EntryInitial, EntryGrant, EntryRefill, EntryForfeit, EntryRefund}

// MaxCapacity bounds what is granted and refilled in all, so that sums do not overflow.
const MaxCapacity = 1 << 62

// Available returns how many units are neither spent nor promised to a node. It is
// negative after a limit was lowered below that.
func (b Books) Available() int64 { return b.Capacity - b.Spent - b.Leased - b.Forfeited }

// Visit settles what a node reports of its lease, begins a period or refills if that
// is due, applies a changed limit, and grants what the node asks for as far as it is
// there. It returns what else has changed the credits.
func (b *Books) Visit(l *Lease, r Report, t Terms) ([]Entry, error) {
	b.settle(l, r)
	b.repay()
	var entries []Entry
	var err error
	if t.Limit.Type == Credits {
		entries, err = b.refill(t)
	} else {
		err = b.turn(l, t)
	}
	if err != nil {
		return nil, err
	}
	if granted := Grant(b.Available(), r.Want, r.Need, t.Nodes); granted > 0 {
		if l.Number == 0 {
			b.Leases++
			*l = Lease{Number: b.Leases, Period: b.Period}
		}
		l.Granted += granted
		b.Leased += granted
	}
	b.reached(t.At)
	return entries, nil
}

// End settles a lease of a node that does not spend from it any more: units of it are
// spent, and the rest is returned.
func (b *Books) End(l Lease, spent int64) {
	b.settle(&l, Report{Lease: l, Spent: spent, Returns: true})
}

// settle books what a node has spent. Of a lease that it does not know, because the
// answer was lost, it has spent nothing.
func (b *Books) settle(l *Lease, r Report) {
	if !l.Period.Equal(b.Period) {
		*l = Lease{} // the period is over, and so are its leases
		return
	}
	if l.same(r.Lease) {
		spent := min(max(r.Spent, 0), l.Granted) // it is more where the database was set back to a former state
		b.Spent += spent - l.Spent
		b.Leased -= spent - l.Spent
		l.Spent = spent
	}
	if r.Returns {
		b.Leased -= l.Left()
		l.Granted = l.Spent
	}
}

// turn begins the period that a quota is in, unless the books are of that one or, by a
// clock that was set back, of a later one.
func (b *Books) turn(l *Lease, t Terms) error {
	zone, err := t.Limit.Zone()
	if err != nil {
		return err
	}
	begin, next := t.Limit.Period.Calendar(later(t.At, b.Period), zone)
	if begin.After(b.Period) {
		*b, *l = Books{Period: begin.UTC(), Leases: b.Leases}, Lease{}
	}
	b.Capacity, _ = t.Limit.Limit.Units()
	b.RenewsAt = next.UTC()
	return nil
}

// refillsAtOnce bounds how many periods a visit refills for. The next visit continues.
const refillsAtOnce = 500

// refill opens the books of credits, and adds what was due since the last visit. A
// clock that was set back makes nothing due again.
func (b *Books) refill(t Terms) (entries []Entry, err error) {
	if b.Period.IsZero() {
		b.Period, b.Capacity, b.RenewedAt = t.At, *t.Limit.Initial, t.At
		if b.Capacity > 0 {
			entries = append(entries, Entry{EntryInitial, b.Capacity})
		}
	}
	b.RenewsAt = time.Time{}
	if t.Limit.Refill == nil {
		b.RenewedAt = later(b.RenewedAt, t.At)
		return entries, nil
	}
	zone, err := t.Limit.Zone()
	if err != nil {
		return nil, err
	}
	periods := int64(0)
	_, b.RenewsAt = t.Limit.Refill.Period.Calendar(b.RenewedAt, zone)
	for ; periods < refillsAtOnce && !b.RenewsAt.After(t.At); periods++ {
		b.RenewedAt = b.RenewsAt
		_, b.RenewsAt = t.Limit.Refill.Period.Calendar(b.RenewedAt, zone)
	}
	b.RenewedAt, b.RenewsAt = b.RenewedAt.UTC(), b.RenewsAt.UTC()
	if b.RenewsAt.After(t.At) {
		b.RenewedAt = later(b.RenewedAt, t.At)
	}
	if added := b.due(*t.Limit.Refill, periods); added > 0 {
		b.Capacity += added
		b.replenished()
		entries = append(entries, Entry{EntryRefill, added})
	}
	return entries, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// due returns what refills for so many periods add. What nodes may still spend counts
// as there.
func (b *Books) due(r Refill, periods int64) int64 {
	most := MaxCapacity - b.Capacity
	if r.Maximum != nil {
		most = min(most, *r.Maximum-(b.Capacity-b.Spent-b.Forfeited))
	}
	return max(0, min(periods*r.Amount, most))
}

// Grant adds units to credits, or takes back as many of them as are available where
// amount is negative. It returns the amount that was added.
func (b *Books) Grant(amount int64) int64 {
	if amount < 0 {
		amount = -min(-amount, max(0, b.Available()))
	}
	amount = min(amount, MaxCapacity-b.Capacity)
	b.Capacity += amount
	b.replenished()
	return amount
}

// Spend takes up to n units that are available, and returns how many.
func (b *Books) Spend(n int64, at time.Time) int64 {
	n = min(n, max(0, b.Available()))
	b.Spent += n
	b.repay()
	b.reached(at)
	return n
}

// GiveBack makes up to n units available again that were spent, and returns how many. Of
// units that a node may not have reported yet, reported is false: they are taken off what
// is reported next, and so n must not be more than was spent in this period.
func (b *Books) GiveBack(n int64, reported bool) int64 {
	if reported {
		n = min(n, b.Spent)
	}
	b.Owed += n
	b.repay()
	return n
}

// repay takes what is owed off what is spent, which is never below zero.
func (b *Books) repay() {
	n := min(b.Owed, b.Spent)
	b.Owed -= n
	b.Spent -= n
}

// Forfeit ends the lease of a node that is gone and returns what is lost with it: the
// node may have spent it.
func (b *Books) Forfeit(l Lease) int64 {
	if !l.Period.Equal(b.Period) {
		return 0
	}
	b.Leased -= l.Left()
	b.Forfeited += l.Left()
	return l.Left()
}

// Refund makes up to amount units available again that were forfeited, and returns how
// many.
func (b *Books) Refund(amount int64) int64 {
	amount = min(amount, b.Forfeited)
	b.Forfeited -= amount
	b.replenished()
	return amount
}

// reached notes when everything is spent that there was. Units that a node may still spend
// are not.
func (b *Books) reached(at time.Time) {
	if b.Available() <= 0 && b.Leased == 0 && b.ReachedAt.IsZero() {
		b.ReachedAt = at
	}
}

// replenished notes that there may be some again of credits that were used up.
func (b *Books) replenished() {
	if b.Available() > 0 {
		b.ReachedAt = time.Time{}
	}
}

// Reset begins the period of a quota anew, in the middle. All leases of it are over.
func (b *Books) Reset(t Terms) error {
	zone, err := t.Limit.Zone()
	if err != nil {
		return err
	}
	begun := later(t.At, b.Period.Add(time.Microsecond))
	*b = Books{Period: begun, Leases: b.Leases}
	b.Capacity, _ = t.Limit.Limit.Units()
	_, next := t.Limit.Period.Calendar(begun, zone)
	b.RenewsAt = next.UTC()
	return nil
}

// Grant returns how many units of a counter one of some nodes gets to spend from
// memory, of which available ones are not promised to any node: all it wants while
// there is plenty, half of its even share as the end comes, and what one request
// needs while that is there. So the last units are shared out one by one, and the
// end is exact. A need that exceeds what is available gets nothing.
func Grant(available, want, need int64, nodes int) int64 {
	if need > available {
		return 0
	}
	shares := 2 * int64(max(nodes, 1))
	share := (available + shares - 1) / shares
	return min(max(want, need), max(share, need))
}
