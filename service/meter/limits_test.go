package meter

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/latchkey-dev/latchkey/domain"
)

func rate(name string, limit int64, period domain.Period, burst int64, per domain.Per) domain.Limit {
	l := domain.Limit{Name: name, Type: domain.RateLimit, Limit: domain.Allow(limit), Period: period, Burst: &burst, Per: per}
	return l.WithDefaults()
}

// limitedKey returns a key of a customer with limits of its own, in a project with
// limits.
func limitedKey(token, key, external string, project, own []domain.Limit) domain.ProvenKey {
	bare := proven(token, key, external)
	p, k := bare.Tenant().Project, bare.Key()
	p.Limits, k.Limits = project, own
	return domain.NewProvenKey(string(domain.PackKey(nil, bare.Secret(), k)), domain.NewTenant(p, bare.Tenant().Organization, nil))
}

// Guarantees that requests at the same time take no more than the burst, all of it,
// and that a refused request takes nothing from any limit.
func TestAllLimitsAreTakenOrNone(t *testing.T) {
	t.Parallel()
	m := New()
	own := []domain.Limit{rate("few", 10, domain.PeriodDay, 10, domain.PerKey)}
	project := []domain.Limit{rate("many", 1000, domain.PeriodDay, 1000, domain.PerProject)}
	small := cached(m, limitedKey("a", "1", "", project, own))
	large := cached(m, limitedKey("b", "2", "", project, nil))
	var admitted, sibling atomic.Int64
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			for range 1000 {
				if d := m.Spend(small, nil, 0); d.Admitted() {
					admitted.Add(1)
				} else if got := d.Violated(); !slices.Equal(got, []string{"few"}) && !slices.Equal(got, []string{"few", "many"}) &&
					!slices.Equal(got, []string{"many"}) {
					t.Errorf("got %v violated", got)
				}
				if d := m.Spend(large, nil, 0); d.Admitted() {
					sibling.Add(1)
				}
			}
		})
	}
	working.Wait()
	if admitted.Load() != 10 || sibling.Load() != 990 {
		t.Errorf("got %d of 10 requests admitted, and %d of 990 of the sibling", admitted.Load(), sibling.Load())
	}
}

// Guarantees that a request which another one was faster than returns what it has
// taken, so that a key that shares the other limit loses nothing.
func TestWhatWasTakenIsGivenBack(t *testing.T) {
	t.Parallel()
	m := New()
	key := cached(m, limitedKey("a", "1", "", []domain.Limit{rate("a", 5, domain.PeriodDay, 5, domain.PerProject)},
		[]domain.Limit{rate("b", 1, domain.PeriodDay, 1, domain.PerKey)}))
	l, _ := m.limitsOf(key, 0)
	slow := domain.Decision{Limits: l.set}
	if l.take(0, &slow, nil, 0) != hasTaken || m.admits(key, domain.Cost{"a": 0}) != 1 {
		t.Fatal("the limits are not as good as new")
	}
	if l.take(1, &slow, nil, 0) == hasTaken {
		t.Fatal("a unit was taken twice")
	}
	l.giveBack(1, &slow, nil, 0)
	for name, d := range map[string]domain.Decision{"the refusal": slow, "memory": m.Look(key, nil, 0)} {
		for i, s := range d.States() {
			if want := []int64{5, 0}[i]; s.Remaining != want {
				t.Errorf("%s: %d units of %s remain, want %d", name, s.Remaining, s.Name, want)
			}
		}
	}
}

// Guarantees that both tokens of a key share its limits, and so does the key after
// it was dropped and read again, or read with other limits.
func TestTokensOfAKeyShareItsLimits(t *testing.T) {
	t.Parallel()
	m := New()
	own := []domain.Limit{rate("few", 3, domain.PeriodDay, 3, domain.PerKey)}
	first, second := cached(m, limitedKey("a", "1", "", nil, own)), cached(m, limitedKey("b", "1", "", nil, own))
	for i, key := range []domain.ProvenKey{first, second, limitedKey("c", "1", "", nil, own), first, second} {
		if d := m.Spend(key, nil, 0); d.Admitted() != (i < 3) {
			t.Errorf("request %d: got %v", i, d.Admitted())
		}
	}
	m.Release(Line(first.Line()))
	own[0].Limit = domain.Allow(4)
	again := cached(m, limitedKey("a", "1", "", nil, own))
	if d := m.Spend(again, nil, 0); d.Admitted() {
		t.Error("a key that was read again has its limit anew")
	}
}

// Guarantees that memory has only the limits of keys that were used lately: a state
// that is as good as new is dropped, and no other one is.
func TestStatesOfLimitsAreDropped(t *testing.T) {
	t.Parallel()
	m := New()
	own := []domain.Limit{rate("few", 2, domain.PeriodHour, 2, domain.PerKey)}
	key := cached(m, limitedKey("a", "1", "", nil, own))
	m.Spend(key, nil, 0)
	m.Spend(limitedKey("b", "2", "", nil, own), nil, 0) // in no cache
	for range rest + 1 {
		m.Sweep(int64(29 * time.Minute))
	}
	if got := ratesOf(m); got != 2 {
		t.Fatalf("got %d states, want 2 that are in use", got)
	}
	for range rest + 1 {
		m.Sweep(int64(32 * time.Minute))
	}
	if got := ratesOf(m); got != 1 {
		t.Errorf("got %d states, want that of the key in the cache", got)
	}
	m.Release(Line(key.Line()))
	for range rest + 2 {
		m.Take()
	}
	for range rest + 1 {
		m.Sweep(int64(32 * time.Minute))
	}
	if got := ratesOf(m); got != 0 {
		t.Errorf("got %d states, want none", got)
	}
}

// Guarantees that a state which a request has just found is not dropped before the
// request takes from it: the next one would find a new state, and a second burst.
func TestStateInUseIsNotDropped(t *testing.T) {
	t.Parallel()
	own := []domain.Limit{rate("few", 2, domain.PeriodHour, 2, domain.PerKey)}
	key := limitedKey("a", "1", "", nil, own) // in no cache
	const later = int64(2 * time.Hour)
	for name, used := range map[string]bool{"new": false, "full again": true} {
		m := New()
		if used {
			m.Spend(key, nil, 0)
		}
		m.Sweep(int64(30 * time.Second))
		found, _ := m.limitsOf(key, 0)
		m.Sweep(later)
		for range 2 {
			found.take(0, &domain.Decision{Limits: found.set}, nil, later)
		}
		if d := m.Spend(key, nil, later); d.Admitted() {
			t.Errorf("%s: a third request was admitted", name)
		}
	}
}

// Guarantees that the limits of a key hold no text of the cache, which keeps keys in
// large pieces and may have dropped this one.
func TestLimitsOfALineHoldNoTextOfTheCache(t *testing.T) {
	m := New()
	var freed atomic.Int64
	const keys = 10
	for i := range keys {
		key := limitedKey(fmt.Sprint("t", i), fmt.Sprint(i), "customer", nil,
			[]domain.Limit{rate("own", 5, domain.PeriodDay, 5, domain.PerKey)})
		packed := []byte(key.Packed())
		runtime.AddCleanup(&packed[0], func(struct{}) { freed.Add(1) }, struct{}{})
		key = domain.NewProvenKey(unsafe.String(&packed[0], len(packed)), key.Tenant()) //nolint:gosec // so that its cleanup is seen
		m.Spend(cached(m, key), nil, 0)
	}
	for range 100 {
		if runtime.GC(); freed.Load() == keys {
			break
		}
		runtime.Gosched()
	}
	if got := freed.Load(); got != keys || ratesOf(m) != keys {
		t.Errorf("got the texts of %d keys freed, want %d", got, keys)
	}
}

// Guarantees that nodes together admit no more than the burst and the rate in any
// interval, while nodes come and go, and use the limit fully once they do not.
func TestSharesOfNodesAreTheLimit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + r.Int64N(60)
		burst := 1 + r.Int64N(2*limit)
		own := []domain.Limit{rate("few", limit, domain.PeriodMinute, burst, domain.PerKey)}
		perUnit := float64(time.Minute) / float64(limit)
		nodes := []*Meter{New(), New(), New()}
		var keys []domain.ProvenKey
		for _, m := range nodes {
			keys = append(keys, cached(m, limitedKey("a", "1", "", nil, own)))
		}
		setShares := func(alive int, now int64) {
			for i, m := range nodes[:alive] {
				m.SetShare(domain.Share{Nodes: alive, Place: i}, now)
			}
		}
		// All three are there, then they leave one by one.
		var at []int64
		setShares(3, 0)
		alive, now := 3, int64(0)
		for i := range 600 {
			if i == 200 || i == 400 {
				alive--
				setShares(alive, now)
			}
			now += int64(r.ExpFloat64() * perUnit * 0.4)
			n := r.IntN(alive)
			if d := nodes[n].Spend(keys[n], nil, now); d.Admitted() {
				at = append(at, now)
			}
		}
		for i := range at {
			for j := i; j < len(at); j++ {
				if got, most := float64(j-i+1), float64(burst)+float64(at[j]-at[i])/perUnit; got > most+1e-6 {
					t.Fatalf("seed %d: %d a minute, burst %d: got %v in %v, want at most %v",
						seed, limit, burst, got, time.Duration(at[j]-at[i]), most)
				}
			}
		}
		last := at[len(at)-1]
		if got, want := float64(len(at)), float64(last)/perUnit; burst > 3 && got < 0.5*want {
			t.Errorf("seed %d: got %v admitted, want about %v", seed, got, want)
		}
	}
}

// Guarantees that a key is decided about that more limits hold for than may be written
// together: those of its project or its plan have changed since.
func TestMoreLimitsThanAreWrittenTogether(t *testing.T) {
	t.Parallel()
	m := New()
	var project, own []domain.Limit
	for i := range domain.MaxLimits {
		project = append(project, rate(fmt.Sprint("a", i), 9, domain.PeriodDay, 9, domain.PerProject))
		own = append(own, rate(fmt.Sprint("b", i), 2, domain.PeriodDay, 2, domain.PerKey))
	}
	key := cached(m, limitedKey("a", "1", "", project, own))
	if got := m.admits(key, nil) + m.admits(key, nil); got != 2 {
		t.Errorf("got %d requests admitted, want 2", got)
	}
	d := m.Spend(key, nil, 0)
	if got := d.Violated(); len(got) != len(own) || got[0] != "b0" || d.Err() == nil {
		t.Errorf("got %v violated, want the key's own limits", got)
	}
	for i, s := range d.States() {
		if want := int64(7 * (1 - i/domain.MaxLimits)); s.Remaining != want {
			t.Errorf("got %d units of %s, want %d", s.Remaining, s.Name, want)
		}
	}
}

// Guarantees that deciding about a key in the cache allocates nothing.
func TestSpendingAllocatesNothing(t *testing.T) {
	m := New()
	key := cached(m, limitedKey("a", "1", "c",
		[]domain.Limit{rate("shared", 1_000_000, domain.PeriodSecond, 1_000_000, domain.PerExternalID)},
		[]domain.Limit{rate("own", 1_000_000, domain.PeriodSecond, 1_000_000, domain.PerKey)}))
	now := int64(0)
	header := make([]byte, 0, 256)
	if got := testing.AllocsPerRun(100, func() {
		now += int64(time.Millisecond)
		d := m.Spend(key, nil, now)
		if header = d.AppendHeader(header[:0]); !d.Admitted() {
			t.Error("refused")
		}
	}); got > 0 {
		t.Errorf("got %v allocations", got)
	}
}

// BenchmarkSpend is a decision about a key in the cache with a limit of its own and one
// of its customer.
func BenchmarkSpend(b *testing.B) {
	m := New()
	key := cached(m, limitedKey("a", "1", "c",
		[]domain.Limit{rate("shared", 1_000_000, domain.PeriodSecond, 1_000_000, domain.PerExternalID)},
		[]domain.Limit{rate("own", 1_000_000, domain.PeriodSecond, 1_000_000, domain.PerKey)}))
	now := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		now += int64(time.Millisecond)
		d := m.Spend(key, nil, now)
		m.CountDecision(key, &d)
	}
}

// admits returns 1 if a request is admitted, else 0.
func (m *Meter) admits(key domain.ProvenKey, cost domain.Cost) int {
	if d := m.Spend(key, cost, 0); !d.Admitted() {
		return 0
	}
	return 1
}

func ratesOf(m *Meter) int {
	rates, _, _ := m.Counters()
	return rates
}

func balancesOf(m *Meter) int {
	_, quotas, credits := m.Counters()
	return quotas + credits
}
