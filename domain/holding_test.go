package domain_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that requests at the same time as visits take each unit of a lease once,
// also while leases are returned, are over, and leave the words because totals are
// large.
func TestTakersAndVisitsAtTheSameTime(t *testing.T) {
	t.Parallel()
	const there, costly = 1 << 30, 1 << 15
	limit := domain.Limit{Name: "c", Type: domain.Credits, Initial: new(int64(there * costly))}.WithDefaults()
	var h domain.Holding
	var b domain.Books
	var l domain.Lease
	var taken atomic.Int64
	var working sync.WaitGroup
	done := make(chan struct{})
	for i := range 3 {
		working.Go(func() {
			for n := int64(1); ; n++ {
				known := h.Known()
				switch _, ok := h.Take(costly); {
				case ok && n%5 == int64(i):
					h.GiveBack(costly, known)
				case ok:
					taken.Add(costly)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 3000 {
		returns := i%7 == 0
		if returns {
			h.Stop()
		}
		r := h.Report(returns)
		r.Want = 100 * costly
		if _, err := b.Visit(&l, r, domain.Terms{Limit: limit, At: time.Unix(1, 0), Nodes: 1}); err != nil {
			t.Fatal(err)
		}
		h.Renew(domain.Known{Books: b, Lease: l})
	}
	close(done)
	working.Wait()
	h.Stop()
	if _, err := b.Visit(&l, h.Report(true), domain.Terms{Limit: limit, Nodes: 1}); err != nil {
		t.Fatal(err)
	}
	if got := taken.Load(); got != b.Spent || b.Leased != 0 || got == 0 {
		t.Errorf("got %d taken, and %d spent and %d leased in the books", got, b.Spent, b.Leased)
	}
}

// Guarantees that a node can spend from one lease for ever: its total grows beyond the
// bits of a word, and what was spent last can still be given back.
func TestLargeTotals(t *testing.T) {
	t.Parallel()
	limit := domain.Limit{Name: "c", Type: domain.Credits, Initial: new(int64(0))}.WithDefaults()
	var h domain.Holding
	b := domain.Books{Period: time.Unix(1, 0), Capacity: 1 << 60}
	var l domain.Lease
	for i := range 3000 {
		r := h.Report(false)
		r.Want, r.Need = domain.MaxUnits, domain.MaxUnits
		if _, err := b.Visit(&l, r, domain.Terms{Limit: limit, Nodes: 1}); err != nil {
			t.Fatal(err)
		}
		h.Renew(domain.Known{Books: b, Lease: l})
		if _, ok := h.Take(domain.MaxUnits); !ok {
			t.Fatalf("round %d: %d left of %+v", i, h.Left(), l)
		}
		h.GiveBack(domain.MaxUnits/2, h.Known())
		if got := h.Report(false).Spent; got != int64(i+1)*domain.MaxUnits/2 {
			t.Fatalf("round %d: got %d spent", i, got)
		}
	}
}
