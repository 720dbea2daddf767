package domain_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// aRate returns the rate of a random limit that is valid, and that limit.
func aRate(t *testing.T, r *rand.Rand) (domain.Rate, domain.Limit) {
	t.Helper()
	period := []domain.Period{domain.PeriodSecond, domain.PeriodMinute, domain.PeriodHour, domain.PeriodDay}[r.IntN(4)]
	limit := 1 + r.Int64N([]int64{10, 1000, domain.MaxRatePerSecond * seconds(period)}[r.IntN(3)])
	burst := 1 + r.Int64N([]int64{3, 2 * limit}[r.IntN(2)])
	l := domain.Limit{Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(limit), Period: period, Burst: &burst}
	if err := limitsOfPlan(l); err != nil {
		t.Fatalf("%d a %s, burst %d: %v", limit, period, burst, err)
	}
	return l.Rate(), l
}

// Guarantees that no interval of time, wherever it begins, admits more than the
// burst and what the rate allows in it.
func TestRateNeverAdmitsMore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rate, limit := aRate(t, r)
		units, _ := limit.Limit.Units()
		perUnit := float64(seconds(limit.Period)) * 1e9 / float64(units)
		type admission struct{ at, n int64 }
		var admitted []admission
		tat, now := int64(0), r.Int64N(1<<60)
		for range 200 {
			now += int64(r.ExpFloat64() * perUnit * []float64{0.01, 1, 30}[r.IntN(3)])
			n := r.Int64N(*limit.Burst + 2)
			next, ok := rate.Take(tat, now, n)
			if !ok && next != tat {
				t.Fatalf("a refusal of %d units moved the TAT", n)
			}
			if ok {
				admitted = append(admitted, admission{now, n})
			}
			tat = next
		}
		for i := range admitted {
			sum := int64(0)
			for _, a := range admitted[i:] {
				sum += a.n
				most := float64(*limit.Burst) + float64(a.at-admitted[i].at)/perUnit
				if float64(sum) > most*(1+1e-9) {
					t.Fatalf("%d a %s, burst %d: got %d units in %d ns, want at most %f",
						units, limit.Period, *limit.Burst, sum, a.at-admitted[i].at, most)
				}
			}
		}
	}
}

func seconds(p domain.Period) int64 {
	return map[domain.Period]int64{
		domain.PeriodSecond: 1, domain.PeriodMinute: 60, domain.PeriodHour: 3600, domain.PeriodDay: 86400,
	}[p]
}

// Guarantees that units that are given back are there again, to the unit.
func TestRateGivesBack(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		rate, limit := aRate(t, r)
		now := r.Int64N(1 << 60)
		tat, _ := rate.Take(0, now, r.Int64N(*limit.Burst+1))
		now += r.Int64N(1e9)
		before := rate.Remaining(tat, now)
		n := r.Int64N(before + 1)
		taken, ok := rate.Take(tat, now, n)
		if !ok {
			t.Fatalf("%d of the %d units that remain are refused", n, before)
		}
		if got, want := rate.Remaining(taken, now), before-n; got != want {
			t.Fatalf("after taking %d: got %d remaining, want %d", n, got, want)
		}
		if got := rate.Remaining(rate.GiveBack(taken, n), now); got != before {
			t.Fatalf("after giving back: got %d remaining, want %d", got, before)
		}
	}
}

// Guarantees that a caller who waits as long as Wait says is admitted, and that a
// nanosecond earlier is too early.
func TestRateWait(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		rate, limit := aRate(t, r)
		now := r.Int64N(1 << 60)
		tat, _ := rate.Take(0, now, r.Int64N(*limit.Burst+1))
		n := 1 + r.Int64N(*limit.Burst)
		wait, ever := rate.Wait(tat, now, n)
		if !ever {
			t.Fatalf("%d of a burst of %d units are said to be never admitted", n, *limit.Burst)
		}
		if _, ok := rate.Take(tat, now+int64(wait), n); !ok {
			t.Fatalf("after waiting %s, %d units are refused", wait, n)
		}
		if _, ok := rate.Take(tat, now+int64(wait)-1, n); ok && wait > 0 {
			t.Fatalf("before %s have passed, %d units are admitted", wait, n)
		}
		if next := rate.UntilNext(tat, now); next > 0 {
			if got, want := rate.Remaining(tat, now+int64(next)), rate.Remaining(tat, now)+1; got < want {
				t.Fatalf("after %s, when one more should remain: got %d, want %d", next, got, want)
			}
		}
	}
}

func TestRateOfNothing(t *testing.T) {
	t.Parallel()
	none := domain.Limit{Name: "a", Type: domain.RateLimit, Limit: domain.Allow(0), Period: domain.PeriodDay}.Rate()
	if _, ok := none.Take(0, 1, 1); ok {
		t.Error("a limit of 0 admits a unit")
	}
	if _, ok := none.Take(0, 1, 0); !ok {
		t.Error("a limit of 0 refuses what costs nothing")
	}
	if _, ever := none.Wait(0, 1, 1); ever {
		t.Error("a limit of 0 says that waiting helps")
	}
	if wait, ever := none.Wait(0, 1, 0); wait != 0 || !ever {
		t.Errorf("what costs nothing waits for %s, %v", wait, ever)
	}
	if got, next := none.Remaining(0, 1), none.UntilNext(1<<40, 1); got != 0 || next != 0 {
		t.Errorf("of a limit of 0 remain %d, one more after %s", got, next)
	}
	noPeriod := domain.Limit{Type: domain.RateLimit, Limit: domain.Allow(5), Period: domain.PeriodWeek}.Rate()
	if _, ok := noPeriod.Take(0, 1, 1); ok {
		t.Error("a rate over a period without a fixed length admits a unit")
	}
	small := domain.Limit{Name: "a", Type: domain.RateLimit, Limit: domain.Allow(5), Period: domain.PeriodSecond, Burst: new(int64(2))}
	if _, ever := small.Rate().Wait(0, 1, domain.MaxUnits); ever {
		t.Error("a cost beyond the burst says that waiting helps")
	}
}

// What remains, and when one unit more does, to the nanosecond: 5 a second, up to 2.
func TestRateCountsDown(t *testing.T) {
	t.Parallel()
	const interval = int64(200 * time.Millisecond)
	limit := domain.Limit{Name: "a", Type: domain.RateLimit, Limit: domain.Allow(5), Period: domain.PeriodSecond, Burst: new(int64(2))}
	for _, test := range []struct {
		ahead, remaining int64
		next             int64
	}{
		{-1, 2, 0}, {0, 2, 0}, {1, 1, 1}, {interval, 1, interval}, {interval + 1, 0, 1},
		{2*interval - 1, 0, interval - 1}, {2 * interval, 0, interval},
		{3 * interval, 0, interval},
	} {
		rate, now := limit.Rate(), int64(1<<50)
		if got := rate.Remaining(now+test.ahead, now); got != test.remaining {
			t.Errorf("%d ns ahead: got %d remaining, want %d", test.ahead, got, test.remaining)
		}
		if got := rate.UntilNext(now+test.ahead, now); got != time.Duration(test.next) {
			t.Errorf("%d ns ahead: got one more after %d ns, want %d", test.ahead, got, test.next)
		}
	}
	if got := limit.Rate().GiveBack(10*interval, 3); got != 7*interval {
		t.Errorf("got %d, want %d", got, 7*interval)
	}
	if wait, ever := limit.Rate().Wait(1<<50+2*interval, 1<<50, 2); wait != time.Duration(2*interval) || !ever {
		t.Errorf("the whole burst, when it was just taken: got %s, %v", wait, ever)
	}
}

// FuzzRate looks for numbers with which a rate overflows: what is admitted is never
// ahead of the clock by more than a year, and a refusal changes nothing.
func FuzzRate(f *testing.F) {
	f.Add(int64(1), int64(1), int64(0), int64(1<<60), int64(1))
	f.Add(int64(domain.MaxUnits), int64(domain.MaxUnits), int64(1<<62), int64(5), int64(domain.MaxUnits))
	f.Fuzz(func(t *testing.T, limit, burst, tat, now, n int64) {
		l := domain.Limit{Name: "a", Type: domain.RateLimit, Limit: domain.Allow(limit), Period: domain.PeriodHour, Burst: &burst}
		const year = int64(366 * 24 * time.Hour)
		if limitsOfPlan(l) != nil || now < 0 || now > 1<<62 || n < 0 || n > domain.MaxUnits || tat > now+year || tat < 0 {
			return
		}
		rate := l.Rate()
		next, ok := rate.Take(tat, now, n)
		if !ok && next != tat {
			t.Error("a refusal moved the TAT")
		}
		if ok && n > 0 && (next <= now || next-now > year) {
			t.Errorf("an admission moved the TAT to %d ns after now", next-now)
		}
		if wait, ever := rate.Wait(tat, now, n); ever && wait < 0 {
			t.Errorf("got a wait of %s", wait)
		}
	})
}

// A node gets all that it wants while there is plenty, half of its share in the end,
// and what one request needs while that is there.
func TestGrantToTheUnit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		available, want, need int64
		nodes                 int
		granted               int64
	}{
		{1000, 5, 1, 1, 5}, {10, 10, 1, 1, 5}, {9, 10, 1, 1, 5}, {10, 10, 1, 2, 3}, {10, 10, 4, 2, 4}, {1, 10, 1, 9, 1}, {3, 10, 4, 1, 0},
		{8, 1, 3, 1, 3}, {10, 10, 1, 0, 5},
	} {
		if got := domain.Grant(test.available, test.want, test.need, test.nodes); got != test.granted {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

// Guarantees that what nodes get together is never more than there is, and that
// the last unit can be spent.
func TestGrant(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		nodes := 1 + r.IntN(10)
		available := r.Int64N([]int64{5, 1000, domain.MaxUnits}[r.IntN(3)])
		for range 100 {
			want, need := r.Int64N(available+10), r.Int64N(5)
			got := domain.Grant(available, want, need, nodes)
			if got > available || got > max(want, need) {
				t.Fatalf("of %d available, want %d, need %d, %d nodes: got %d", available, want, need, nodes, got)
			}
			if need <= available && got < need || need > available && got != 0 {
				t.Fatalf("of %d available, need %d, %d nodes: got %d", available, need, nodes, got)
			}
			available -= got
		}
		for available > 0 {
			got := domain.Grant(available, 1, 1, nodes)
			if got != 1 {
				t.Fatalf("of the last %d: got %d, want 1", available, got)
			}
			if available -= got; available > 100 {
				break
			}
		}
	}
}
