package meter

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// proven returns a key of a project that a token proves. It is in no cache.
func proven(token, key, external string) domain.ProvenKey {
	p, o := domain.ProjectID("prj_01jpbsqxdefghjkmnpqrstvwxy"), domain.OrganizationID("org_01jpbsqxdefghjkmnpqrstvwxy")
	k := domain.Key{
		ID: domain.KeyID("key_" + fmt.Sprintf("%026s", key)), ProjectID: p, Name: "k", Environment: domain.Test, ExternalID: external,
		CreatedBy: domain.Actor{Kind: domain.ActorUser, ID: "usr_01jpbsqxdefghjkmnpqrstvwxy"}, CreatedAt: now,
	}
	s := domain.Secret{TokenID: domain.TokenID(token), ProjectID: p, KeyID: k.ID, Algorithm: domain.HMACSHA256, Digest: make([]byte, 32)}
	return domain.NewProvenKey(string(domain.PackKey(nil, s, k)),
		&domain.Tenant{Project: domain.Project{ID: p, OrganizationID: o}, Organization: domain.Organization{ID: o}})
}

// cached returns the key with a line, as the cache hands it out.
func cached(m *Meter, key domain.ProvenKey) domain.ProvenKey { return key.Metered(uint32(m.Hold(key))) }

func sum(counts []domain.UsageCount) map[domain.UsageCount]int64 {
	total := map[domain.UsageCount]int64{}
	for _, c := range counts {
		n := c.Count
		c.Count = 0
		total[c] += n
	}
	return total
}

// Guarantees that each count is taken exactly once while requests count, keys come
// and go in the cache, and others take.
func TestEveryCountIsTakenOnce(t *testing.T) {
	t.Parallel()
	m := New()
	const workers, rounds = 4, 2000
	outcomes := []domain.Outcome{domain.OutcomeValid, domain.OutcomeRateLimited, domain.OutcomeRevoked}
	outcome := func(i int) domain.Outcome { return outcomes[i/3%len(outcomes)] }
	key := func(i int) domain.ProvenKey { return proven(fmt.Sprint("t", i%3), fmt.Sprint(i%3), "c") }
	var mu sync.Mutex
	got := map[domain.UsageCount]int64{}
	take := func() {
		counts := sum(m.Take())
		mu.Lock()
		defer mu.Unlock()
		for c, n := range counts {
			got[c] += n
		}
	}
	var working, taking sync.WaitGroup
	var requests sync.RWMutex
	for w := range workers {
		working.Go(func() {
			for i := range rounds {
				requests.RLock()
				key := key(i)
				if i%2 == w%2 {
					key = cached(m, key)
				}
				m.Use(key, now)
				m.Count(key, outcome(i))
				if key.Line() != 0 {
					m.Release(Line(key.Line()))
				}
				requests.RUnlock()
			}
		})
	}
	done := make(chan struct{})
	taking.Go(func() {
		for {
			take()
			m.TakeUses()
			requests.Lock()   // no request is longer than a line rests
			requests.Unlock() //nolint:staticcheck // waiting is the point
			select {
			case <-done:
				return
			default:
			}
		}
	})
	working.Wait()
	close(done)
	taking.Wait()
	take()
	alone := New()
	for i := range workers * rounds {
		alone.Count(key(i%rounds), outcome(i%rounds))
	}
	want := sum(alone.Take())
	if len(want) != 3*len(outcomes) || !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Guarantees that what strangers send takes no memory: a token that is of no key
// counts in one place for the project that asks, and rare refusals have a bound,
// beyond which they are still counted.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := New()
	p := domain.Project{ID: "prj_01jpbsqxdefghjkmnpqrstvwxy"}
	for range 1000 {
		m.CountUnknown(p)
	}
	key := cached(m, proven("t", "k", ""))
	for i := range rareKinds + 5 {
		m.Count(key, domain.Outcome(fmt.Sprint(i)))
	}
	if m.Lines() != 1 || len(m.unknown) != 1 || len(m.rare) != rareKinds {
		t.Errorf("got %d lines, %d unknown, %d rare", m.Lines(), len(m.unknown), len(m.rare))
	}
	got := map[domain.Outcome]int64{}
	for _, c := range m.Take() {
		got[c.Outcome] += c.Count
	}
	want := map[domain.Outcome]int64{domain.OutcomeNotFound: 1000, domain.OutcomeOther: 5}
	for i := range rareKinds {
		want[domain.Outcome(fmt.Sprint(i))] = 1
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %d outcomes with %d unknown tokens and %d others, want %d with 1000 and 5",
			len(got), got[domain.OutcomeNotFound], got[domain.OutcomeOther], len(want))
	}
}

// Guarantees that a line is free again only after the cache has dropped it and it
// has rested, and that no count of its former key falls to the next one.
func TestLinesAreUsedAgain(t *testing.T) {
	t.Parallel()
	m := New()
	first := cached(m, proven("a", "1", "c1"))
	m.CountValid(first)
	m.Release(Line(first.Line()))
	for range rest {
		m.CountValid(first) // a request that still has the number
		m.Take()
	}
	if m.Lines() != 1 {
		t.Fatalf("got %d lines, want that of a key that is still counted", m.Lines())
	}
	for range rest + 1 {
		m.Take()
	}
	if m.Lines() != 0 {
		t.Fatalf("got %d lines, want none", m.Lines())
	}
	second := cached(m, proven("b", "2", ""))
	if second.Line() != first.Line() {
		t.Fatalf("got line %d, want %d again", second.Line(), first.Line())
	}
	m.CountValid(second)
	got := m.Take()
	if len(got) != 1 || got[0].KeyID != second.ID() || got[0].ExternalID != "" || got[0].Count != 1 {
		t.Errorf("got %+v", got)
	}
	if !m.Last(second).IsZero() {
		t.Errorf("got the last use of the former key: %v", m.Last(second))
	}
}

// Guarantees that a line without counts is free again also while counts cannot be
// written, and that no count is lost then.
func TestLinesAreUsedAgainInAnOutage(t *testing.T) {
	t.Parallel()
	m := New()
	counted, rare, idle := cached(m, proven("a", "1", "")), cached(m, proven("b", "2", "")), cached(m, proven("c", "3", ""))
	m.CountValid(counted)
	m.Count(rare, domain.OutcomeRevoked)
	for _, key := range []domain.ProvenKey{counted, rare, idle} {
		m.Release(Line(key.Line()))
	}
	for range 2 * rest {
		m.Rest()
	}
	if m.Lines() != 2 {
		t.Errorf("got %d lines, want those of two keys that are counted", m.Lines())
	}
	got := map[domain.KeyID]int64{}
	for _, c := range m.Take() {
		got[c.KeyID] += c.Count
	}
	if want := map[domain.KeyID]int64{counted.ID(): 1, rare.ID(): 1}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Guarantees that the use of a key that is not in the cache counts for the external id
// that the key has then.
func TestLooseLineFollowsExternalID(t *testing.T) {
	t.Parallel()
	m := New()
	for _, external := range []string{"c1", "", "c2", "c2"} {
		m.CountValid(proven("t", "k", external))
	}
	got := map[string]int64{}
	for _, c := range m.Take() {
		got[c.ExternalID] += c.Count
	}
	if want := map[string]int64{"c1": 1, "": 1, "c2": 2}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for range 2 * rest {
		m.TakeUses()
		m.Take()
	}
	if m.Lines() != 0 {
		t.Errorf("got %d lines, want none", m.Lines())
	}
}

// Guarantees that a slow request does not set back when a token was last used.
func TestLastUseMovesForward(t *testing.T) {
	t.Parallel()
	m := New()
	key := cached(m, proven("t", "k", ""))
	for _, at := range []time.Time{now, now.Add(time.Hour), now.Add(time.Minute)} {
		m.Use(key, at)
	}
	if got := m.Last(key); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("got %v, want %v", got, now.Add(time.Hour))
	}
}

// Guarantees that the first use of each token after an idle interval waits to be
// written, also when another token of the key is in traffic, and that a use that
// could not be written waits again.
func TestFirstUseIsPerToken(t *testing.T) {
	t.Parallel()
	m := New()
	old, fresh := cached(m, proven("old", "k", "")), cached(m, proven("new", "k", ""))
	m.Use(old, now)
	if uses := m.TakeFirst(); len(uses) != 1 || uses[0].TokenID != "old" {
		t.Fatalf("got %+v", uses)
	}
	m.Use(old, now.Add(time.Second))
	if m.Waiting() != 0 {
		t.Error("a second use is taken for a first one")
	}
	m.Use(fresh, now.Add(2*time.Second))
	uses := m.TakeFirst()
	if len(uses) != 1 || uses[0].TokenID != "new" || !uses[0].Last.Equal(now.Add(2*time.Second)) {
		t.Fatalf("got %+v", uses)
	}
	m.PutBack(uses)
	if again := m.TakeFirst(); len(again) != 1 || again[0].TokenID != "new" {
		t.Errorf("got %+v after it could not be written", again)
	}
	if rest := m.TakeUses(); len(rest) != 1 || rest[0].TokenID != "old" {
		t.Errorf("got %+v, want the later use of the old token", rest)
	}
	m.TakeUses()
	m.Use(old, now.Add(time.Hour))
	if m.Waiting() != 1 {
		t.Error("the use of an idle token does not wait")
	}
}
