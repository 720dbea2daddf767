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
