package domain

import "sync/atomic"

// Holding is the lease of a node in its memory. Take and GiveBack may be called at any
// time. Everything else is for visits, of which there is one at a time for a holding.
//
// A visit stops takers by making granted zero. Then it raises the sequence number, so
// that a taker that has read the former number of granted units takes nothing.
type Holding struct {
	granted atomic.Int64 // units
	own     Record       // unless there is one that outlives the process
	record  *Record
	known   atomic.Pointer[Known]
}

// Record is what a holding has spent, in a form that may outlive the process: every
// store to it is to be seen by the next process, in this order.
type Record struct {
	state   atomic.Int64
	number  atomic.Int64  // of the lease
	period  atomic.Int64  // of the lease, in Unix microseconds
	settled atomic.Int64  // units of the lease that are in neither word any more
	spent   atomic.Uint64 // units, and above them the sequence number
}

// States of a record.
const (
	recordFree   int64 = iota
	recordStable       // it says what was spent of its lease
	recordTurns        // it gets another lease, of which nothing is spent yet
	recordMoves        // units go from one number to another, so that the sum is not known
)

// Open begins a record that is free.
func (r *Record) Open() {
	r.number.Store(0)
	r.period.Store(0)
	r.settled.Store(0)
	r.spent.Store(0)
	r.state.Store(recordStable)
}

// Free ends a record.
func (r *Record) Free() { r.state.Store(recordFree) }

// IsFree reports whether a record is free.
func (r *Record) IsFree() bool { return r.state.Load() == recordFree }

// Spent returns what a record says was spent of a lease, of which so much is settled. It
// reports false if it cannot say.
func (r *Record) Spent(l Lease) (units int64, known bool) {
	switch r.state.Load() {
	case recordTurns:
		return l.Spent, true // the lease that it was turning from is over
	case recordStable:
	default:
		return 0, false
	}
	if r.number.Load() != l.Number || r.period.Load() != l.Period.UnixMicro() {
		return l.Spent, true // the node was killed before it knew of the lease
	}
	units = r.settled.Load() + int64(r.spent.Load()&holdingUnits)
	return units, units >= l.Spent && units <= l.Granted
}

// Keep has the holding spend in a record, before it has spent anything.
func (h *Holding) Keep(r *Record) { h.record = r }

// Kept returns the record of Keep; nil: what is spent is lost with the process.
func (h *Holding) Kept() *Record { return h.record }

func (h *Holding) words() *Record {
	if h.record != nil {
		return h.record
	}
	return &h.own
}

const (
	holdingBits  = 48
	holdingUnits = 1<<holdingBits - 1
	holdingNext  = 1 << holdingBits

	// holdingKeeps is how many units that were spent stay in the words, so that as many
	// can be given back.
	holdingKeeps = 1 << 44
	holdingMost  = 1 << 46 // from here on the others leave
)

// Known is what a node knows of a counter from its last visit. It never changes.
type Known struct {
	Books Books
	Lease Lease
	At    int64 // the visit, by the clock of the node
}

// Elsewhere returns what other nodes may still spend.
func (k *Known) Elsewhere() int64 { return k.Books.Leased - k.Lease.Left() }

// Known returns what the last visit has brought; nil: there was none.
func (h *Holding) Known() *Known { return h.known.Load() }

// Take takes n units of the lease and returns how many are left. It reports false, and
// takes nothing, if there are fewer.
func (h *Holding) Take(n int64) (left int64, ok bool) {
	for spent := &h.words().spent; ; {
		word := spent.Load()
		granted := h.granted.Load()
		left = granted - int64(word&holdingUnits)
		if n > left {
			return max(0, left), false
		}
		if spent.CompareAndSwap(word, word+uint64(n)) { //nolint:gosec // no cost is negative
			return left - n, true
		}
	}
}

// GiveBack returns units that were taken while known was current. If their lease is
// over, they are lost with it.
func (h *Holding) GiveBack(n int64, known *Known) {
	for spent := &h.words().spent; ; {
		word := spent.Load()
		if now := h.known.Load(); now == nil || known == nil || !now.Lease.same(known.Lease) ||
			n > int64(word&holdingUnits) {
			return
		}
		if spent.CompareAndSwap(word, word-uint64(n)) { //nolint:gosec // the same
			return
		}
	}
}

// Left returns how many units can be taken.
func (h *Holding) Left() int64 {
	left, _ := h.Take(holdingUnits)
	return left
}

// Remaining returns how many units can be taken, and how many more were available at
// the last visit.
func (h *Holding) Remaining() int64 { return h.Left() + max(0, h.Known().Books.Available()) }

// Stop ends taking until the next Renew, so that what is left can be returned.
func (h *Holding) Stop() {
	h.granted.Store(0)
	h.words().spent.Add(holdingNext)
}

// Report returns what the node has spent of its lease. After Stop it returns the rest.
func (h *Holding) Report(returns bool) Report {
	w := h.words()
	r := Report{Spent: w.settled.Load() + int64(w.spent.Load()&holdingUnits), Returns: returns}
	if known := h.known.Load(); known != nil {
		r.Lease = known.Lease
	}
	return r
}

// Renew lets takers spend from a lease that a visit has committed.
func (h *Holding) Renew(k Known) {
	before, w := h.known.Load(), h.words()
	if before == nil || !before.Lease.same(k.Lease) {
		h.granted.Store(0)
		w.state.Store(recordTurns)
		h.known.Store(&k) // before units of it can be taken, so that they are given back to it
		w.restart(0)
		w.settled.Store(k.Lease.Spent) // which this node has settled before, if it is not zero
		w.number.Store(k.Lease.Number)
		w.period.Store(k.Lease.Period.UnixMicro())
		w.state.Store(recordStable)
	} else {
		h.known.Store(&k)
	}
	if spent := int64(w.spent.Load() & holdingUnits); spent > holdingMost {
		leave := min(spent, k.Lease.Spent-w.settled.Load()) - holdingKeeps
		h.granted.Store(0)
		w.state.Store(recordMoves)
		w.leave(leave)
		w.settled.Add(leave)
		w.state.Store(recordStable)
	}
	h.granted.Store(k.Lease.Granted - w.settled.Load())
}

// restart sets the spent units and raises the sequence number.
func (r *Record) restart(spent uint64) {
	for {
		word := r.spent.Load()
		if r.spent.CompareAndSwap(word, (word&^holdingUnits+holdingNext)|spent) {
			return
		}
	}
}

// leave removes units from the spent ones and raises the sequence number.
func (r *Record) leave(units int64) {
	for {
		word := r.spent.Load()
		if r.spent.CompareAndSwap(word, word-uint64(units)+holdingNext) { //nolint:gosec // it is less than what is spent
			return
		}
	}
}
