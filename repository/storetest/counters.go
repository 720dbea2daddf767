package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func quotaOf(units int64) domain.Limit {
	l := domain.Limit{Name: "monthly", Type: domain.Quota, Limit: domain.Allow(units), Period: domain.PeriodMonth}
	return l.WithDefaults()
}

func creditsOf(initial int64) domain.Limit {
	l := domain.Limit{Name: "credits", Type: domain.Credits, Initial: &initial, Per: domain.PerExternalID}
	return l.WithDefaults()
}

func counterOf(p domain.Project, l domain.Limit, subject string) domain.ProjectCounter {
	return domain.ProjectCounter{Project: p.ID, Counter: domain.Counter{
		Owner: string(p.ID), Type: l.Type, Name: l.Name, Per: l.Per, Subject: subject,
	}}
}

// reporter is a node that visits one counter.
type reporter struct {
	*testing.T

	store *repository.Store
	node  string
	limit domain.Limit
	of    domain.ProjectCounter
	lease domain.Lease
}

// visit reports spent units of the lease in all, and asks for some.
func (r *reporter) visit(spent, need int64, returns bool, at time.Time) domain.Visited {
	r.Helper()
	answers, err := r.store.Visit(r.Context(), domain.Visits{Node: r.node, Nodes: 1, At: at, All: []domain.Visit{{
		Counter: r.of, Limit: r.limit,
		Report: domain.Report{Lease: r.lease, Spent: spent, Returns: returns, Want: need, Need: need},
	}}})
	if err != nil {
		r.Fatal(err)
	}
	r.lease = answers[0].Lease
	return answers[0]
}

// testCounters guarantees that two nodes take leases of one counter which are never
// more than there is, that what they return is there again, that a reset begins anew,
// and that a deleted project has no counters.
func testCounters(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "a")
	_, other := newTenant(t, s, "b")
	counter := counterOf(p, quotaOf(10), "key_1")
	a := &reporter{T: t, store: s, node: "a", limit: quotaOf(10), of: counter}
	b := &reporter{T: t, store: s, node: "b", limit: quotaOf(10), of: counter}

	month := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	got := a.visit(0, 6, false, epoch)
	equal(t, got, domain.Visited{
		Books: domain.Books{Period: month, Capacity: 10, Leased: 6, RenewsAt: month.AddDate(0, 1, 0), Leases: 1},
		Lease: domain.Lease{Number: 1, Period: month, Granted: 6},
	}, nil)
	equal(t, b.visit(0, 6, false, epoch).Lease, domain.Lease{}, nil)
	equal(t, b.visit(0, 4, false, epoch).Lease, domain.Lease{Number: 2, Period: month, Granted: 4}, nil)
	got = a.visit(2, 0, true, epoch.Add(time.Second))
	equal(t, got.Lease, domain.Lease{Number: 1, Period: month, Granted: 2, Spent: 2}, nil)
	equal(t, got.Books.Available(), 4, nil)
	equal(t, got.Books.ReachedAt, time.Time{}, nil) // the other one may still spend some
	books, err := s.Books(ctx, p.Scope(), counter.Counter)
	equal(t, books, got.Books, err)

	books, err = s.Books(ctx, other.Scope(), counter.Counter)
	equal(t, books, domain.Books{}, err)
	terms := domain.Terms{Limit: quotaOf(10), At: epoch.Add(time.Minute), Nodes: 1}
	_, err = s.ResetCounter(ctx, domain.Project{ID: p.ID, OrganizationID: other.OrganizationID}.Scope(), counter.Counter, terms)
	code(t, err, domain.CodeNotFound)
	books, err = s.ResetCounter(ctx, p.Scope(), counter.Counter, terms)
	equal(t, []int64{books.Available(), books.Leased}, []int64{10, 0}, err)
	equal(t, b.visit(4, 1, false, terms.At).Lease, domain.Lease{Number: 3, Period: terms.At, Granted: 1}, nil)

	unknown := counterOf(domain.Project{ID: "prj_none"}, quotaOf(10), "key_1")
	lost := &reporter{T: t, store: s, node: "a", limit: quotaOf(10), of: unknown}
	equal(t, lost.visit(0, 1, false, epoch), domain.Visited{Gone: true}, nil)

	check(t, s.DeleteProject(ctx, p.Scope(), epoch))
	for more := true; more; {
		more, err = s.PurgeProjects(ctx, 2)
		check(t, err)
	}
	equal(t, b.visit(0, 1, false, terms.At), domain.Visited{Gone: true}, nil)
	check(t, s.DeleteOrganization(ctx, org.Scope(), epoch))
	for more := true; more; {
		more, err = s.PurgeOrganizations(ctx, 2)
		check(t, err)
	}
}

// testManyCounters guarantees that one visit of many counters, in any order, does what
// many do, and that fields of different counters do not mix.
func testManyCounters(t *testing.T, s *repository.Store) {
	_, p := newTenant(t, s, "a")
	_, q := newTenant(t, s, "b")
	visits := domain.Visits{Node: "a", Nodes: 1, At: epoch}
	for i := range int64(domain.MaxVisits) {
		of := p
		if i%2 == 0 {
			of = q
		}
		limit := quotaOf(1000 + i)
		if i%3 == 0 {
			limit = creditsOf(1000 + i)
		}
		subject := string(rune('a'+i%26)) + string(domain.NewID[domain.KeyID](epoch))
		visits.All = append(visits.All, domain.Visit{
			Counter: counterOf(of, limit, subject), Limit: limit, Report: domain.Report{Need: i, Want: i},
		})
	}
	for round := range int64(2) {
		answers, err := s.Visit(t.Context(), visits)
		check(t, err)
		for i, a := range answers {
			n := int64(i)
			if a.Books.Capacity != 1000+n || a.Lease.Granted != (round+1)*n || a.Lease.Spent != round*n || a.Books.Spent != round*n {
				t.Fatalf("round %d, counter %d: got %+v", round, i, a)
			}
			visits.All[i].Report.Lease, visits.All[i].Report.Spent, visits.All[i].Report.Need = a.Lease, n, n
		}
	}
	for i, of := range []domain.Project{p, q} {
		entries, err := s.ListCreditEntries(t.Context(), of.Scope(), repository.CreditFilter{}, domain.Page{Limit: domain.MaxPageSize})
		equal(t, len(entries.Items), 83+i, err)
	}
}

// testCredits guarantees that grants, refunds and what nodes lose are in the list of
// entries, which belongs to one project and adds up to what there is.
func testCredits(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "a")
	_, other := newTenant(t, s, "b")
	counter := counterOf(p, creditsOf(5), "customer-1")
	ann := domain.Actor{Kind: domain.ActorUser, ID: "usr_1", Name: "Ann"}
	change := func(kind domain.EntryKind, amount int64, at time.Time) (domain.CreditEntry, domain.Books) {
		t.Helper()
		e, books, err := s.ChangeCredits(ctx, p.Scope(), domain.Terms{Limit: creditsOf(5), At: at, Nodes: 1}, domain.CreditEntry{
			ID: domain.NewID[domain.CreditEntryID](at), Counter: counter.Counter, Kind: kind, Amount: amount, Reason: "invoice 1",
			CreatedAt: at, CreatedBy: ann,
		})
		check(t, err)
		return e, books
	}
	granted, books := change(domain.EntryGrant, 100, epoch.Add(time.Second))
	equal(t, []int64{granted.Amount, books.Available()}, []int64{100, 105}, nil)
	n := &reporter{T: t, store: s, node: "gone", limit: creditsOf(5), of: counter}
	n.visit(0, 50, false, epoch.Add(2*time.Second))
	n.visit(20, 0, false, epoch.Add(3*time.Second))
	taken, books := change(domain.EntryGrant, -1000, epoch.Add(4*time.Second))
	equal(t, []int64{taken.Amount, books.Available(), books.Leased}, []int64{-55, 0, 30}, nil)

	sweep := func(since time.Duration) (lost int64, more bool, err error) {
		e, more, err := s.SweepLeases(ctx, epoch.Add(since), epoch, epoch.Add(5*time.Second), 10)
		return e.Forfeited, more, err
	}
	lost, more, err := sweep(3 * time.Second) // it was here
	equal(t, []any{lost, more}, []any{int64(0), false}, err)
	lost, more, err = sweep(4 * time.Second)
	equal(t, []any{lost, more}, []any{int64(30), false}, err)
	back, books := change(domain.EntryRefund, 1000, epoch.Add(6*time.Second))
	equal(t, []int64{back.Amount, books.Available()}, []int64{30, 30}, nil)
	equal(t, n.visit(40, 1, false, epoch.Add(7*time.Second)).Books.Spent, 20, nil) // it begins anew

	list, err := s.ListCreditEntries(ctx, p.Scope(), repository.CreditFilter{
		Name: "credits", Per: domain.PerExternalID, Subject: "customer-1",
	}, domain.Page{Limit: 3})
	equal(t, list.Items[0], back, err)
	rest, err := s.ListCreditEntries(ctx, p.Scope(), repository.CreditFilter{}, domain.Page{Limit: 3, After: list.Next})
	check(t, err)
	amounts := map[domain.EntryKind][]int64{}
	for _, e := range append(list.Items, rest.Items...) {
		amounts[e.Kind] = append(amounts[e.Kind], e.Amount)
	}
	equal(t, amounts, map[domain.EntryKind][]int64{
		domain.EntryInitial: {5}, domain.EntryGrant: {-55, 100}, domain.EntryForfeit: {-30}, domain.EntryRefund: {30},
	}, nil)
	for name, f := range map[string]repository.CreditFilter{
		"another limit": {Name: "other"}, "another customer": {Per: domain.PerExternalID, Subject: "customer-2"},
		"a key of that name": {Per: domain.PerKey, Subject: "customer-1"},
	} {
		none, err := s.ListCreditEntries(ctx, p.Scope(), f, domain.Page{Limit: 3})
		if len(none.Items) > 0 || err != nil {
			t.Errorf("%s: got %v, %v", name, none.Items, err)
		}
	}
	theirs, err := s.ListCreditEntries(ctx, other.Scope(), repository.CreditFilter{}, domain.Page{Limit: 3})
	equal(t, len(theirs.Items), 0, err)
	refilled := creditsOf(5)
	refilled.Refill, refilled.TimeZone = &domain.Refill{Amount: 7, Period: domain.PeriodDay}, "UTC"
	n.limit = refilled
	books = n.visit(n.lease.Spent, 0, false, epoch.AddDate(0, 0, 1)).Books
	equal(t, []int64{books.Capacity, books.Forfeited}, []int64{57, 0}, nil)
	stored, err := s.Books(ctx, p.Scope(), counter.Counter)
	equal(t, stored, books, err)
	health, err := s.CheckHealth(ctx)
	equal(t, health.Faults, nil, err)
}

// testSweptCounters guarantees that counters go with the key that they are of, that a
// node which exits leaves no lease of which nothing is left, and that the leases of a
// listed node stay.
func testSweptCounters(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "a")
	k := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), k))
	of, shared := counterOf(p, quotaOf(10), string(k.ID)), counterOf(p, creditsOf(10), "customer-1")
	a := &reporter{T: t, store: s, node: "a", limit: quotaOf(10), of: of}
	a.visit(0, 3, false, epoch)
	b := &reporter{T: t, store: s, node: "a", limit: creditsOf(10), of: shared}
	b.visit(0, 3, false, epoch)

	feed, err := s.Feed(ctx)
	check(t, err)
	defer feed.Close() //nolint:errcheck // nothing was written
	check(t, feed.ReportNode(ctx, domain.Node{ID: "a", Name: "a", Version: "0.2.0", StartedAt: epoch, SeenAt: time.Now()}))
	lost, _, err := s.SweepLeases(ctx, epoch.Add(time.Hour), epoch.Add(time.Hour), epoch, 10)
	equal(t, lost, domain.EndedLeases{}, err)

	b.visit(1, 0, true, epoch)
	check(t, s.EndLeases(ctx, "a"))
	equal(t, b.visit(1, 1, false, epoch).Lease.Number, 2, nil)        // there was none any more
	equal(t, a.visit(1, 0, false, epoch).Lease.Left(), int64(2), nil) // this one had something left

	more, err := s.SweepCounters(ctx, 10)
	equal(t, more, false, err)
	equal(t, a.visit(2, 0, false, epoch).Books.Spent, 2, nil)
	check(t, s.DeleteKey(ctx, p.Scope(), k.ID))
	more, err = s.SweepCounters(ctx, 1)
	equal(t, more, true, err)
	books, err := s.Books(ctx, p.Scope(), of.Counter)
	equal(t, books, domain.Books{}, err)
	books, err = s.Books(ctx, p.Scope(), shared.Counter)
	equal(t, books.Spent, 1, err)
}

// testFailedVisit guarantees that a visit which fails changes nothing.
func testFailedVisit(t *testing.T, s *repository.Store) {
	_, p := newTenant(t, s, "a")
	limit := quotaOf(10)
	limit.TimeZone = "Nowhere/None"
	_, err := s.Visit(t.Context(), domain.Visits{Node: "a", Nodes: 1, At: epoch, All: []domain.Visit{
		{Counter: counterOf(p, quotaOf(10), "key_1"), Limit: quotaOf(10), Report: domain.Report{Need: 1}},
		{Counter: counterOf(p, limit, "key_2"), Limit: limit, Report: domain.Report{Need: 1}},
	}})
	code(t, err, domain.CodeInternal)
	books, err := s.Books(t.Context(), p.Scope(), counterOf(p, quotaOf(10), "key_1").Counter)
	equal(t, books, domain.Books{}, err)
}
