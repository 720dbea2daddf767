package domain_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// shared is one counter in a database that may lose commits and answers, with the nodes
// that spend from it.
type shared struct {
	*rand.Rand

	terms  domain.Terms
	books  domain.Books
	leases map[int]domain.Lease // by node
	nodes  []*spender
	highest,
	admitted int64 // what was there, and what was admitted, in this period

	// How the rule may be broken, to see that it is noticed.
	keepsTaking, forgetsToForfeit bool
}

// spender is a node.
type spender struct {
	held   *domain.Holding
	report *domain.Report // of a visit under way
	period time.Time      // of the lease that it spends from
}

var errOver = errors.New("over")

func newShared(seed uint64, limit domain.Limit) *shared {
	s := &shared{
		Rand:   rand.New(rand.NewPCG(seed, 1)),
		terms:  domain.Terms{Limit: limit.WithDefaults(), At: time.Date(2026, 3, 14, 15, 9, 0, 0, time.UTC)},
		leases: map[int]domain.Lease{},
	}
	for range 2 + s.IntN(2) {
		s.nodes = append(s.nodes, &spender{held: &domain.Holding{}})
	}
	s.terms.Nodes = len(s.nodes)
	return s
}

// step does one thing at random, and checks that nothing is over.
func (s *shared) step() error {
	i := s.IntN(len(s.nodes))
	n := s.nodes[i]
	before := s.books.Period
	switch s.IntN(12) {
	case 0, 1, 2, 3:
		s.take(n)
	case 4, 5:
		s.begin(n)
	case 6, 7, 8:
		if err := s.commit(i, n); err != nil {
			return err
		}
	case 9:
		s.lose(i, n)
	case 10:
		s.settle()
	default:
		s.change()
	}
	if !s.books.Period.Equal(before) {
		s.admitted, s.highest = 0, 0
	}
	s.highest = max(s.highest, s.books.Capacity)
	return s.check()
}

func (s *shared) take(n *spender) {
	units := 1 + s.Int64N(3)
	known := n.held.Known()
	if _, ok := n.held.Take(units); !ok || !n.period.Equal(s.books.Period) {
		return // also what another node knows to be over
	}
	if s.IntN(8) == 0 {
		n.held.GiveBack(units, known)
		return
	}
	s.admitted += units
}

// settle spends in the books, or gives back units that nodes may not have reported.
func (s *shared) settle() {
	switch {
	case s.books.Period.IsZero():
	case s.IntN(2) == 0:
		s.admitted += s.books.Spend(s.Int64N(5), s.terms.At)
	default:
		s.admitted -= s.books.GiveBack(s.Int64N(s.admitted+1), false)
	}
}

// begin begins a visit.
func (s *shared) begin(n *spender) {
	if n.report != nil {
		return
	}
	returns := s.IntN(4) == 0
	if returns && !s.keepsTaking {
		n.held.Stop()
	}
	r := n.held.Report(returns)
	r.Want, r.Need = s.Int64N(20), s.Int64N(3)
	n.report = &r
}

// commit ends it: the commit may be lost, and so may be the answer.
func (s *shared) commit(i int, n *spender) error {
	if n.report == nil {
		return nil
	}
	r := *n.report
	n.report = nil
	if s.IntN(6) == 0 {
		return nil
	}
	lease := s.leases[i]
	if _, err := s.books.Visit(&lease, r, s.terms); err != nil {
		return err
	}
	if s.leases[i] = lease; s.IntN(6) > 0 {
		n.held.Renew(domain.Known{Books: s.books, Lease: lease})
		n.period = lease.Period
	}
	return nil
}

// lose sweeps the lease of a node that is gone, after which another one comes in its
// place that knows nothing, or of one that only seems to be gone.
func (s *shared) lose(i int, n *spender) {
	switch s.IntN(5) {
	case 2:
		if r := n.held.Report(false); n.held.Left() == 0 && n.report == nil && r.Spent == s.leases[i].Spent {
			*n = spender{held: &domain.Holding{}} // it has forgotten a lease of which nothing is left
		}
	case 0:
		*n = spender{held: &domain.Holding{}}
		fallthrough
	case 1:
		s.forfeit(i)
	}
}

func (s *shared) forfeit(i int) {
	if lease := s.leases[i]; s.forgetsToForfeit {
		if lease.Period.Equal(s.books.Period) {
			s.books.Leased -= lease.Left()
		}
	} else {
		s.books.Forfeit(lease)
	}
	delete(s.leases, i)
}

// change moves the clock, or changes what there is.
func (s *shared) change() {
	switch kind := s.IntN(10); {
	case kind == 0 && s.terms.Limit.Type == domain.Quota && !s.books.Period.IsZero():
		if err := s.books.Reset(s.terms); err != nil {
			panic(err)
		}
	case kind < 5:
		s.terms.At = s.terms.At.Add(time.Duration(s.IntN(100)-30) * time.Minute)
	case s.terms.Limit.Type == domain.Quota:
		s.terms.Limit.Limit = domain.Allow(s.Int64N(200))
	case !s.books.Period.IsZero():
		s.books.Grant(s.Int64N(60) - 20)
	}
}

// check returns an error if more was admitted than there was, or if the books do not
// balance.
func (s *shared) check() error {
	leased := int64(0)
	for _, l := range s.leases {
		if l.Period.Equal(s.books.Period) {
			leased += l.Left()
		}
		if l.Spent > l.Granted || l.Spent < 0 {
			return fmt.Errorf("the lease %+v is %w", l, errOver)
		}
	}
	b := s.books
	gone := b.Spent + b.Leased + b.Forfeited
	switch {
	case leased != b.Leased:
		return fmt.Errorf("leases of %d in the books %+v: they are %w", leased, b, errOver)
	case min(b.Spent, b.Leased, b.Forfeited) < 0:
		return fmt.Errorf("the books %+v are %w", b, errOver)
	case s.admitted > gone, gone > s.highest:
		return fmt.Errorf("%d admitted, %d gone of %d: %w", s.admitted, gone, s.highest, errOver)
	}
	return nil
}

var sharedLimits = []domain.Limit{
	{Name: "hourly", Type: domain.Quota, Limit: domain.Allow(100), Period: domain.PeriodHour},
	{Name: "credits", Type: domain.Credits, Initial: new(int64(100))},
	{Name: "refilled", Type: domain.Credits, Initial: new(int64(9)), Refill: &domain.Refill{
		Amount: 20, Period: domain.PeriodHour, Maximum: new(int64(90)),
	}},
}

// over runs the model and returns the first run in which something is over.
func over(runs, steps int, broken func(*shared)) error {
	for seed := range uint64(runs) {
		for _, limit := range sharedLimits {
			s := newShared(seed, limit)
			broken(s)
			for i := range steps {
				if err := s.step(); err != nil {
					return fmt.Errorf("%s, seed %d, step %d: %w", limit.Name, seed, i, err)
				}
			}
		}
	}
	return nil
}

// Guarantees that nodes never admit more than there is, in any order of visits, lost
// commits, lost answers, returns, deaths, sweeps of the living and the dead, grants,
// give-backs, lowered limits and moved clocks; and that the books balance after each.
func TestNodesNeverSpendMoreThanThereIs(t *testing.T) {
	t.Parallel()
	if err := over(2000, 120, func(*shared) {}); err != nil {
		t.Error(err)
	}
}

// Guarantees that the test above notices two mistakes.
func TestBrokenRulesOfLeasesAreNoticed(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(*shared){
		"a return that does not stop takers first": func(s *shared) { s.keepsTaking = true },
		"a sweep that forgets to forfeit":          func(s *shared) { s.forgetsToForfeit = true },
	} {
		if err := over(200, 120, broken); !errors.Is(err, errOver) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func visit(t *testing.T, b *domain.Books, l domain.Limit, at time.Time) []domain.Entry {
	t.Helper()
	entries, err := b.Visit(&domain.Lease{}, domain.Report{}, domain.Terms{Limit: l.WithDefaults(), At: at, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// Guarantees that a quota begins with each period of its calendar, and that a clock
// which is set back begins none again.
func TestQuotaPeriods(t *testing.T) {
	t.Parallel()
	berlin := domain.Limit{Name: "q", Type: domain.Quota, Limit: domain.Allow(5), Period: domain.PeriodDay, TimeZone: "Europe/Berlin"}
	noon := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	midnight := time.Date(2026, 7, 1, 22, 0, 0, 0, time.UTC)
	var b domain.Books
	visit(t, &b, berlin, noon)
	b.Spent = 5
	visit(t, &b, berlin, midnight.Add(-time.Microsecond))
	if b.Available() != 0 || !b.RenewsAt.Equal(midnight) || b.ReachedAt.IsZero() {
		t.Errorf("before midnight: got %+v", b)
	}
	visit(t, &b, berlin, midnight)
	if b.Available() != 5 || !b.Period.Equal(midnight) || !b.ReachedAt.IsZero() {
		t.Errorf("at midnight: got %+v", b)
	}
	b.Spent = 3
	visit(t, &b, berlin, noon)
	if b.Available() != 2 || !b.Period.Equal(midnight) || !b.RenewsAt.Equal(midnight.Add(24*time.Hour)) {
		t.Errorf("after the clock was set back: got %+v", b)
	}
	if err := b.Reset(domain.Terms{Limit: berlin, At: noon}); err != nil || b.Available() != 5 || !b.Period.After(midnight) {
		t.Errorf("after a reset: got %+v, %v", b, err)
	}
}

// Guarantees that credits are refilled once for every period that has passed, up to the
// maximum, in entries that add up to the capacity.
func TestRefills(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
	monthly := domain.Limit{Name: "c", Type: domain.Credits, Initial: new(int64(10)), Refill: &domain.Refill{
		Amount: 20, Period: domain.PeriodMonth, Maximum: new(int64(100)),
	}}
	hourly := monthly
	hourly.Refill = &domain.Refill{Amount: 1, Period: domain.PeriodHour}
	var b domain.Books
	var all int64
	for i, c := range []struct {
		limit domain.Limit
		after time.Duration
		want  int64
	}{
		{monthly, 0, 10},
		{monthly, time.Hour, 20},           // February begins
		{monthly, -time.Hour, 0},           // the clock is set back
		{monthly, time.Hour, 0},            // and forward again
		{monthly, 27 * 24 * time.Hour, 0},  // the last day
		{monthly, 70 * 24 * time.Hour, 60}, // March, April, May
		{hourly, 0, 0},                     // another refill begins now
		{hourly, 2 * time.Hour, 2},
		{monthly, 40 * 24 * time.Hour, 8}, // only the maximum
		{domain.Limit{Name: "c", Type: domain.Credits, Initial: new(int64(10))}, 90 * 24 * time.Hour, 0},
		{hourly, 0, 0}, // what passed without refills is not made up for
		{hourly, 1000 * time.Hour, 500},
		{hourly, 0, 500}, // the rest, at the next visit
	} {
		at = at.Add(c.after)
		var got int64
		for _, e := range visit(t, &b, c.limit, at) {
			got += e.Amount
		}
		if all += got; got != c.want || all != b.Capacity {
			t.Errorf("step %d: got %d more credits, want %d; %d of %d are in entries", i, got, c.want, all, b.Capacity)
		}
	}
}

// Guarantees that what is given back is spent no longer, as far as it was: also before it
// was reported, and never below zero.
func TestSpendingAndGivingBack(t *testing.T) {
	t.Parallel()
	b := domain.Books{Period: time.Unix(1, 0), Capacity: 100, Spent: 10, Leased: 30}
	got := []int64{
		b.Spend(50, time.Unix(2, 0)), b.GiveBack(20, true), b.Spend(90, time.Unix(3, 0)), b.Available(),
		b.GiveBack(75, false), b.GiveBack(9, true), b.GiveBack(9, false),
	}
	got = append(got, b.Spent, b.Owed)
	if diff := cmp.Diff([]int64{50, 20, 30, 0, 75, 0, 9, 0, 14}, got); diff != "" || !b.ReachedAt.IsZero() {
		t.Errorf("reached at %v, -want +got:\n%s", b.ReachedAt, diff)
	}
	lease := domain.Lease{Number: 1, Period: b.Period, Granted: 30}
	limit := domain.Limit{Name: "c", Type: domain.Credits, Initial: new(int64(100))}
	report := domain.Report{Lease: lease, Spent: 25}
	if _, err := b.Visit(&lease, report, domain.Terms{Limit: limit.WithDefaults(), At: time.Unix(4, 0)}); err != nil {
		t.Fatal(err)
	}
	if b.Spent != 11 || b.Owed != 0 || b.Leased != 5 {
		t.Errorf("got %+v, want what was owed taken off 25", b)
	}
}

// Guarantees that credits are taken back as far as they are there, and that what was
// forfeited is refunded once.
func TestGrantsAndRefunds(t *testing.T) {
	t.Parallel()
	b := domain.Books{Period: time.Unix(1, 0), Capacity: 100, Spent: 10, Leased: 30}
	lost := b.Forfeit(domain.Lease{Number: 1, Period: b.Period, Granted: 40, Spent: 10})
	got := []int64{lost, b.Available(), b.Grant(-100), b.Grant(-1), b.Refund(20), b.Refund(20), b.Available(), b.Grant(7), b.Available()}
	if diff := cmp.Diff([]int64{30, 60, -60, 0, 20, 10, 30, 7, 37}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := b.Forfeit(domain.Lease{Number: 1, Granted: 40}); got != 0 {
		t.Errorf("got %d forfeited of a period that is over", got)
	}
	b.Capacity = domain.MaxCapacity - 1
	if got := b.Grant(domain.MaxUnits); got != 1 {
		t.Errorf("got %d granted above all bounds, want 1", got)
	}
}
