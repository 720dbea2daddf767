package meter

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// inProject returns a key of another project, with limits of its own.
func inProject(project, key string, own ...domain.Limit) domain.ProvenKey {
	bare := limitedKey(key, key, "", nil, own)
	p, k := bare.Tenant().Project, bare.Key()
	p.ID, k.ProjectID = domain.ProjectID(project), domain.ProjectID(project)
	return domain.NewProvenKey(string(domain.PackKey(nil, bare.Secret(), k)), domain.NewTenant(p, bare.Tenant().Organization, nil))
}

// Guarantees that states which last for a year take no more memory than a project may
// have, that the project gets no burst twice, and that another project has lost
// nothing.
func TestStatesOfAProjectAreBounded(t *testing.T) {
	t.Parallel()
	m := New()
	const most = 1 << 20
	m.Bound(most)
	yearly := rate("a", 5, domain.PeriodDay, 1825, domain.PerKey)
	victim := inProject("prj_victim", "v", rate("a", 3, domain.PeriodDay, 3, domain.PerKey))
	m.Spend(victim, domain.Cost{"a": 2}, 0)
	now := int64(0)
	used := func(i int) domain.ProvenKey { return inProject("prj_attacker", fmt.Sprint("k", i), yearly) }
	const keys = 4000
	for i := range keys {
		now += int64(time.Millisecond)
		m.Spend(used(i), domain.Cost{"a": 1825}, now)
	}
	if got := m.StateBytes(); got > most/2+most/10 {
		t.Errorf("states take %d bytes, want at most half of %d for one project", got, most)
	}
	for i := 0; i < keys; i += 100 {
		if d := m.Spend(used(i), domain.Cost{"a": 900}, now); d.Admitted() {
			t.Fatalf("key %d has got half of its burst again", i)
		}
	}
	if got := m.remain(t, victim, now); got != 1 {
		t.Errorf("the other project has %d units left, want 1", got)
	}
	if got := m.remain(t, inProject("prj_other", "o", yearly), now); got != 1825 {
		t.Errorf("a new key of another project has %d units left, want 1825", got)
	}
}

// Guarantees that what gives up its place first is what is nearly as good as new, so
// that a project with many customers of short limits notices nothing.
func TestShortLimitsGiveUpTheirPlacesUnnoticed(t *testing.T) {
	t.Parallel()
	m := New()
	m.Bound(1 << 20)
	short := rate("a", 10, domain.PeriodSecond, 10, domain.PerKey)
	now := int64(0)
	for i := range 5000 {
		now += int64(time.Millisecond)
		if d := m.Spend(cached(m, inProject("prj_a", fmt.Sprint("k", i), short)), nil, now); !d.Admitted() {
			t.Fatalf("request %d was refused", i)
		}
	}
	if got := m.remain(t, inProject("prj_a", "new", short), now); got != 10 {
		t.Errorf("a new key has %d units left, want 10", got)
	}
}

// Guarantees that a key whose state has given up its place takes from the new one, and
// not from a state that no other key sees.
func TestALineFindsTheStateThatReplacesItsOwn(t *testing.T) {
	t.Parallel()
	m := New()
	m.Bound(1 << 20)
	yearly := rate("a", 5, domain.PeriodDay, 1825, domain.PerKey)
	first := cached(m, inProject("prj_a", "first", yearly))
	m.Spend(first, domain.Cost{"a": 1}, 0)
	for i := range 5_000 {
		m.Spend(cached(m, inProject("prj_a", fmt.Sprint("k", i), yearly)), domain.Cost{"a": 2}, 0)
	}
	admitted := int64(0)
	for range 2000 {
		if d := m.Spend(first, domain.Cost{"a": 1}, 0); d.Admitted() {
			admitted++
		}
	}
	if second := cached(m, inProject("prj_a", "first", yearly)); admitted > 1824 || m.remain(t, second, 0) != 0 {
		t.Errorf("got %d units of 1824 admitted, and %d left", admitted, m.remain(t, second, 0))
	}
}

// Guarantees that quotas of one project that are in use take no more memory than it may
// have: a request for one more gets "not known", and a place when others are settled.
func TestBalancesOfAProjectAreBounded(t *testing.T) {
	t.Parallel()
	m, b := New(), newBank(t)
	const most = 1 << 20
	m.Bound(most)
	refused := 0
	spend := func(project, key string, now int64) domain.Code {
		proven := cached(m, inProject(project, key, quota("q", 100, domain.PerKey)))
		m.Await(proven, nil, now)
		b.visit(m, m.Visits(now, true))
		d := m.Spend(proven, nil, now)
		return d.Code
	}
	for i := range 3000 {
		if spend("prj_a", fmt.Sprint("k", i), 0) == domain.CodeUnavailable {
			refused++
		}
	}
	if got := m.StateBytes(); got > most/2+most/10 || refused == 0 {
		t.Errorf("quotas take %d bytes, want at most half of %d; %d requests were refused", got, most, refused)
	}
	if got := spend("prj_b", "o", 0); got != "" {
		t.Errorf("a key of another project gets %q", got)
	}
	later := int64(time.Minute)
	for range 10 {
		later += int64(idleAfter)
		m.LookAround(later)
		for v := m.Visits(later, true); len(v.All) > 0; v = m.Visits(later, true) {
			b.visit(m, v)
		}
	}
	if got := spend("prj_a", "again", later+int64(time.Minute)); got != "" {
		t.Errorf("after the others have returned what they had, a key gets %q", got)
	}
}

// Guarantees that what the bounds count is the memory that is taken.
func TestStatesAreCountedAsTheyAre(t *testing.T) {
	var own []domain.Limit
	for i := range domain.MaxLimits {
		own = append(own, rate(fmt.Sprint("limit", i), 5, domain.PeriodDay, 5, domain.PerKey))
	}
	for name, limits := range map[string][]domain.Limit{
		"one limit": own[:1], "sixteen": own, "a quota": {quota("q", 100, domain.PerKey)},
	} {
		m, b := New(), newBank(t)
		m.Bound(1 << 30)
		const keys = 300
		var proven []domain.ProvenKey
		for i := range keys {
			proven = append(proven, cached(m, inProject("prj_a", fmt.Sprint("k", i), limits...)))
		}
		before := heap()
		for _, key := range proven {
			m.Spend(key, nil, 0)
			m.Await(key, nil, 0)
		}
		for v := m.Visits(0, true); len(v.All) > 0; v = m.Visits(0, true) {
			b.visit(m, v)
		}
		b.books, b.leases = nil, nil
		took, counted := float64(heap()-before)/keys, float64(m.StateBytes())/keys
		if counted < 0.7*took || counted > 1.6*took {
			t.Errorf("%s: %.0f bytes a key are counted, and %.0f are taken", name, counted, took)
		}
		t.Log(name, counted, took)
		runtime.KeepAlive(m)
	}
}

func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
