package domain

import "sync/atomic"

// Holding is the lease of a node in its memory. Take and GiveBack may be called at any
// time. Everything else is for visits, of which there is one at a time for a holding.
//
// A visit stops takers by making granted zero. Then it raises the sequence number, so
// that a taker that has read the former number of granted units takes nothing.
type Holding struct {
	granted atomic.Int64  // units
	spent   atomic.Uint64 // units, and above them the sequence number
	known   atomic.Pointer[Known]

	settled int64 // units of the lease that are in neither word any more
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
	for {
		word := h.spent.Load()
		granted := h.granted.Load()
		left = granted - int64(word&holdingUnits)
		if n > left {
			return max(0, left), false
		}
		if h.spent.CompareAndSwap(word, word+uint64(n)) { //nolint:gosec // no cost is negative
			return left - n, true
		}
	}
}

// GiveBack returns units that were taken while known was current. If their lease is
// over, they are lost with it.
func (h *Holding) GiveBack(n int64, known *Known) {
	for {
		word := h.spent.Load()
		if now := h.known.Load(); now == nil || known == nil || !now.Lease.same(known.Lease) ||
			n > int64(word&holdingUnits) {
			return
		}
		if h.spent.CompareAndSwap(word, word-uint64(n)) { //nolint:gosec // the same
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
	h.spent.Add(holdingNext)
}

// Report returns what the node has spent of its lease. After Stop it returns the rest.
func (h *Holding) Report(returns bool) Report {
	r := Report{Spent: h.settled + int64(h.spent.Load()&holdingUnits), Returns: returns}
	if known := h.known.Load(); known != nil {
		r.Lease = known.Lease
	}
	return r
}

// Renew lets takers spend from a lease that a visit has committed.
func (h *Holding) Renew(k Known) {
	before := h.known.Load()
	if before == nil || !before.Lease.same(k.Lease) {
		h.granted.Store(0)
		h.known.Store(&k) // before units of it can be taken, so that they are given back to it
		h.restart(0)
		h.settled = k.Lease.Spent // which this node has settled before, if it is not zero
	} else {
		h.known.Store(&k)
	}
	if spent := int64(h.spent.Load() & holdingUnits); spent > holdingMost {
		leave := min(spent, k.Lease.Spent-h.settled) - holdingKeeps
		h.granted.Store(0)
		h.leave(leave)
		h.settled += leave
	}
	h.granted.Store(k.Lease.Granted - h.settled)
}

// restart sets the spent units and raises the sequence number.
func (h *Holding) restart(spent uint64) {
	for {
		word := h.spent.Load()
		if h.spent.CompareAndSwap(word, (word&^holdingUnits+holdingNext)|spent) {
			return
		}
	}
}

// leave removes units from the spent ones and raises the sequence number.
func (h *Holding) leave(units int64) {
	for {
		word := h.spent.Load()
		if h.spent.CompareAndSwap(word, word-uint64(units)+holdingNext) { //nolint:gosec // it is less than what is spent
			return
		}
	}
}
