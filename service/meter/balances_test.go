package meter

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

func quota(name string, limit int64, per domain.Per) domain.Limit {
	l := domain.Limit{Name: name, Type: domain.Quota, Limit: domain.Allow(limit), Period: domain.PeriodMonth, Per: per}
	return l.WithDefaults()
}

// bank has the books that nodes visit, as the database has them.
type bank struct {
	*testing.T

	turn   sync.Mutex // for the one transaction of visits that is under way
	mu     sync.Mutex
	books  map[domain.ProjectCounter]domain.Books
	leases map[*Meter]map[domain.ProjectCounter]domain.Lease
	visits int
	down   bool

	removed bool // all counters
}

func newBank(t *testing.T) *bank {
	return &bank{T: t, books: map[domain.ProjectCounter]domain.Books{}, leases: map[*Meter]map[domain.ProjectCounter]domain.Lease{}}
}

var errDown = errors.New("the database is away")

// visit makes visits of a node.
func (b *bank) visit(m *Meter, v Visits) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.visits += len(v.All); b.down {
		m.Visited(v, nil, errDown)
		return
	}
	if b.leases[m] == nil {
		b.leases[m] = map[domain.ProjectCounter]domain.Lease{}
	}
	answers := make([]domain.Visited, len(v.All))
	for i, one := range v.All {
		if b.removed {
			answers[i].Gone = true
			continue
		}
		books, lease := b.books[one.Counter], b.leases[m][one.Counter]
		if _, err := books.Visit(&lease, one.Report, domain.Terms{Limit: one.Limit, At: v.At, Nodes: v.Nodes}); err != nil {
			b.Error(err)
		}
		b.books[one.Counter], b.leases[m][one.Counter] = books, lease
		answers[i] = domain.Visited{Books: books, Lease: lease}
	}
	m.Visited(v, answers, nil)
}

// spend decides about a request, after a visit if one is needed.
func (b *bank) spend(m *Meter, key domain.ProvenKey, cost domain.Cost, now int64) domain.Decision {
	for {
		d := m.Spend(key, cost, now)
		if d.Code != domain.CodeUnavailable {
			return d
		}
		for _, w := range m.Await(key, cost, now) {
			b.turn.Lock()
			b.visit(m, m.Visits(now, false))
			b.turn.Unlock()
			<-w.Done
			if w.Err != nil {
				return m.SpendAnyway(key, cost, now)
			}
		}
	}
}

// Guarantees that requests at the same time on two nodes take a quota exactly, and that
// a request which one limit refuses takes nothing from the others, so that a key which
// shares them loses nothing.
func TestQuotasAreTakenExactly(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	own := []domain.Limit{{Name: "few", Type: domain.Credits, Initial: new(int64(100))}}
	project := []domain.Limit{quota("many", 5000, domain.PerProject)}
	var admitted, sibling atomic.Int64
	var working sync.WaitGroup
	var nodes []*Meter
	for range 2 {
		m := New()
		nodes = append(nodes, m)
		m.SetShare(domain.Share{Nodes: 2}, 0)
		small := cached(m, limitedKey("a", "1", "", project, own))
		large := cached(m, limitedKey("b", "2", "", project, nil))
		for range 2 {
			working.Go(func() {
				for range 2000 {
					if d := b.spend(m, small, nil, 0); d.Admitted() {
						admitted.Add(1)
					} else if d.Code != domain.CodeCreditsExhausted && d.Code != domain.CodeQuotaExceeded {
						t.Errorf("got %s", d.Code)
					}
					if d := b.spend(m, large, nil, 0); d.Admitted() {
						sibling.Add(1)
					}
				}
			})
		}
	}
	working.Wait()
	for _, m := range nodes { // what one node had left when the other one found nothing
		b.visit(m, m.Returns(0))
	}
	var spent, left int64
	for _, books := range b.books {
		spent, left = spent+books.Spent, left+books.Leased
	}
	together := admitted.Load() + sibling.Load()
	if want := admitted.Load() + together; spent != want || left != 0 || admitted.Load() > 100 || together > 5000 {
		t.Errorf("got %d and %d requests admitted, %d spent in the books, %d leased", admitted.Load(), sibling.Load(), spent, left)
	}
	for n := range 10_000 {
		small := cached(nodes[0], limitedKey("a", "1", "", project, own))
		if d := b.spend(nodes[0], small, nil, int64(time.Minute)*int64(n+1)); !d.Admitted() {
			break
		}
		admitted.Add(1)
	}
	if admitted.Load() != 100 {
		t.Errorf("got %d credits spent, want 100", admitted.Load())
	}
}

// Guarantees that a key whose quota is used up is refused from memory, with ten visits a
// second however many requests there are, and that more is found within a tenth of a
// second after it is there.
func TestRefusalsCauseFewVisits(t *testing.T) {
	t.Parallel()
	b, m := newBank(t), New()
	key := cached(m, limitedKey("a", "1", "", nil, []domain.Limit{quota("q", 5, domain.PerKey)}))
	now := int64(0)
	for range 5 {
		if d := b.spend(m, key, nil, now); !d.Admitted() {
			t.Fatalf("got %s", d.Code)
		}
	}
	before := b.visits
	for range 20 {
		for range 1000 {
			if d := b.spend(m, key, nil, now); d.Code != domain.CodeQuotaExceeded || !slices.Equal(d.Violated(), []string{"q"}) {
				t.Fatalf("got %s, %v", d.Code, d.Violated())
			}
		}
		now += int64(100 * time.Millisecond)
		b.visit(m, m.Visits(now, true))
	}
	if got := b.visits - before; got > 22 {
		t.Errorf("20,000 refusals in two seconds caused %d visits", got)
	}
	for counter, books := range b.books {
		books.Forfeited, books.Spent = 0, 4
		b.books[counter] = books
	}
	if d := b.spend(m, key, nil, now); d.Admitted() {
		t.Error("admitted before it was known")
	}
	now += int64(100 * time.Millisecond)
	b.visit(m, m.Visits(now, true))
	if d := b.spend(m, key, nil, now); !d.Admitted() {
		t.Errorf("got %s after there was one more unit", d.Code)
	}
}

// Guarantees that what a node does not use goes back after five seconds, and that what it
// has spent is settled after ten.
func TestIdleLeasesAreReturned(t *testing.T) {
	t.Parallel()
	b, m := newBank(t), New()
	key := cached(m, limitedKey("a", "1", "", nil, []domain.Limit{quota("q", 1000, domain.PerKey)}))
	books := func() (only domain.Books) {
		for _, books := range b.books {
			only = books
		}
		return only
	}
	now := int64(time.Hour)
	tick := func(d time.Duration) {
		now += int64(d)
		m.LookAround(now)
		b.visit(m, m.Visits(now, true))
	}
	b.spend(m, key, nil, now)
	tick(time.Second)
	if got := books(); got.Spent != 0 || got.Leased != atLeast {
		t.Fatalf("got %+v", got)
	}
	tick(4 * time.Second)
	tick(idleAfter)
	if got := books(); got.Spent != 1 || got.Leased != 0 {
		t.Errorf("got %+v, want one unit spent and the rest returned", got)
	}
	for range 14 { // used all the time, but slowly
		b.spend(m, key, domain.Cost{"q": 0}, now)
		b.spend(m, key, nil, now)
		tick(time.Second)
	}
	if got := books().Spent; got < 4 {
		t.Errorf("got %d units settled", got)
	}
	tick(time.Minute)
	tick(time.Minute)
	if books().Leased != 0 || balancesOf(m) != 1 {
		t.Errorf("got %+v and %d balances", books(), balancesOf(m))
	}
}

// Guarantees that without the database a node spends what it has leased, and nothing
// else: what only observes and what costs nothing is admitted.
func TestWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	b, m := newBank(t), New()
	watched := quota("watched", 1, domain.PerKey)
	watched.Mode = domain.Observe
	tokens := quota("tokens", 1, domain.PerKey)
	tokens.Cost = new(int64(0))
	all := []domain.Limit{quota("q", 1000, domain.PerKey), watched, tokens}
	key := cached(m, limitedKey("a", "1", "", nil, all))
	fresh := cached(m, limitedKey("b", "2", "", nil, all[1:]))
	b.spend(m, key, nil, 0)
	b.down = true
	admitted := 0
	for range 100 {
		if d := b.spend(m, key, nil, 0); d.Admitted() {
			admitted++
		} else if d.Code != domain.CodeUnavailable || d.RetryAfter == 0 {
			t.Fatalf("got %s", d.Code)
		}
	}
	if admitted != atLeast-1 {
		t.Errorf("got %d requests admitted, want the rest of the lease", admitted)
	}
	if d := b.spend(m, fresh, nil, 0); !d.Admitted() {
		t.Errorf("got %s for limits that cannot refuse", d.Code)
	}
	if d := b.spend(m, fresh, domain.Cost{"tokens": 1}, 0); d.Code != domain.CodeUnavailable {
		t.Errorf("got %q for a limit of which nothing is known", d.Code)
	}
	b.down = false
	if d := b.spend(m, key, nil, 0); !d.Admitted() {
		t.Errorf("got %s after the outage", d.Code)
	}
}

// Guarantees that of a counter which has been removed nothing stays in memory, and that
// nothing of it can be spent.
func TestRemovedCounters(t *testing.T) {
	t.Parallel()
	b, m := newBank(t), New()
	key := limitedKey("a", "1", "", nil, []domain.Limit{quota("q", 1000, domain.PerKey)})
	if d := b.spend(m, key, nil, 0); !d.Admitted() {
		t.Fatalf("got %s", d.Code)
	}
	b.removed = true
	now := int64(time.Minute)
	m.LookAround(now)
	b.visit(m, m.Visits(now, true))
	if d := b.spend(m, key, nil, now); d.Code != domain.CodeUnavailable {
		t.Errorf("got %q", d.Code)
	}
	for range rest + 1 {
		m.Sweep(now)
	}
	if balancesOf(m) != 0 {
		t.Errorf("got %d balances", balancesOf(m))
	}
}

// Guarantees that a project with many keys does not delay the others for long.
func TestProjectsTakeTurnsAtVisits(t *testing.T) {
	t.Parallel()
	var all []*Balance
	for i := range 1000 {
		all = append(all, &Balance{counter: domain.ProjectCounter{Project: "large"}})
		if i%100 == 99 {
			all = append(all, &Balance{counter: domain.ProjectCounter{Project: domain.ProjectID(fmt.Sprint("small", i))}})
		}
	}
	some, rest := inTurn(all, 15)
	large := 0
	for _, one := range some {
		if one.counter.Project == "large" {
			large++
		}
	}
	if large != 5 || len(some) != 15 || len(rest) != 995 {
		t.Errorf("got %d of the large project among %d, %d left", large, len(some), len(rest))
	}
}

// Guarantees that deciding about a key with a quota and credits, of which this node has
// units, allocates nothing.
func TestSpendingALeaseAllocatesNothing(t *testing.T) {
	b, m := newBank(t), New()
	key := cached(m, limitedKey("a", "1", "c", nil, []domain.Limit{
		quota("q", domain.MaxUnits, domain.PerKey), {Name: "c", Type: domain.Credits, Initial: new(int64(domain.MaxUnits))},
	}))
	b.spend(m, key, domain.Cost{"q": 1_000, "c": 1_000}, 0)
	header := make([]byte, 0, 256)
	if got := testing.AllocsPerRun(1000, func() {
		d := m.Spend(key, nil, 0)
		if header = d.AppendHeader(header[:0]); !d.Admitted() {
			t.Error("refused")
		}
	}); got > 0 {
		t.Errorf("got %v allocations", got)
	}
}
