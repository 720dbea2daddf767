package meter

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a quota admits no more in any of its days than it allows, and that its
// period never goes back, when the clocks of three nodes differ by 30 seconds and one
// jumps by an hour, both ways.
func TestQuotasAtTheTurnOfADay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		r, b := rand.New(rand.NewPCG(seed, 7)), newBank(t)
		limit := quota("q", 100, domain.PerKey)
		limit.Period = domain.PeriodDay
		midnight := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
		var nodes []*Meter
		var keys []domain.ProvenKey
		for range 3 {
			m := New()
			m.SetShare(domain.Share{Nodes: 3}, 0)
			nodes, keys = append(nodes, m), append(keys, cached(m, limitedKey("a", "1", "", nil, []domain.Limit{limit})))
		}
		clocks := []time.Duration{-30 * time.Second, 0, 30 * time.Second}
		admitted, last := map[time.Time]int{}, time.Time{}
		for step := range 3000 {
			at := time.Duration(step-1500) * 100 * time.Millisecond
			if step%500 == 250 {
				clocks[1] = time.Duration(r.IntN(3)-1) * time.Hour
			}
			i, now := r.IntN(3), int64(at+time.Hour)
			nodes[i].SetClock(midnight.Add(at+clocks[i]), now)
			if d := b.spend(nodes[i], keys[i], nil, now); d.Admitted() {
				admitted[d.Held[0].Known().Lease.Period]++
			}
			for _, books := range b.books {
				if books.Period.Before(last) {
					t.Fatalf("seed %d: the period went back from %v to %v", seed, last, books.Period)
				}
				last = books.Period
			}
		}
		for day, n := range admitted {
			if n > 100 {
				t.Errorf("seed %d: got %d admitted of 100 on %v", seed, n, day)
			}
		}
		if len(admitted) < 2 {
			t.Errorf("seed %d: the day did not turn: %v", seed, admitted)
		}
	}
}

// Guarantees that a request which another one was faster than at a quota returns what it
// has taken from its rates.
func TestRatesAreGivenBackWhereAQuotaRefuses(t *testing.T) {
	t.Parallel()
	m, b := New(), newBank(t)
	key := cached(m, limitedKey("a", "1", "", nil,
		[]domain.Limit{rate("free", 10, domain.PeriodDay, 10, domain.PerKey), quota("q", 1, domain.PerKey)}))
	m.Await(key, nil, 0)
	b.visit(m, m.Visits(0, false))
	l, _ := m.limitsOf(key, 0)
	slow := domain.Decision{Limits: l.set, Held: l.held}
	if !m.judgeAll(l, &slow, nil, 0, false, false) || !slow.Admitted() {
		t.Fatalf("got %q", slow.Code)
	}
	if d := m.Spend(key, nil, 0); !d.Admitted() {
		t.Fatalf("got %q for the faster request", d.Code)
	}
	if !m.takeAll(l, &slow, nil, 0, false) || slow.Code != domain.CodeQuotaExceeded {
		t.Errorf("got %q for the slower request, want quota_exceeded", slow.Code)
	}
	after := m.Look(key, l.held, 0)
	for i, s := range after.States() {
		if want := []int64{9, 0}[i]; s.Remaining != want {
			t.Errorf("%d units of %s remain, want %d", s.Remaining, s.Name, want)
		}
	}
}

// Guarantees that nothing is taken from a lease while it is being returned, also not by a
// request that was judged before.
func TestNothingIsTakenWhileALeaseIsReturned(t *testing.T) {
	t.Parallel()
	m, b := New(), newBank(t)
	key := cached(m, limitedKey("a", "1", "", nil, []domain.Limit{quota("q", 100, domain.PerKey)}))
	b.spend(m, key, nil, 0)
	l, _ := m.limitsOf(key, 0)
	if l.held[0].Left() == 0 {
		t.Fatal("nothing is leased")
	}
	m.LookAround(1)
	later := int64(2 * idleAfter)
	m.LookAround(later)
	returning := m.Visits(later, true)
	if len(returning.All) != 1 || !returning.All[0].Report.Returns {
		t.Fatalf("got %+v, want a return", returning.All)
	}
	if _, taken := l.held[0].Take(1); taken {
		t.Error("a unit was taken after the node has said what it returns")
	}
	b.visit(m, returning)
}
