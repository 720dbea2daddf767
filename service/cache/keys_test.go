package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/meter"
)

var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// row is what a database would return for the token id.
func row(token domain.TokenID, project int, name string) (domain.Secret, domain.CallingKey) {
	p := domain.ProjectID(fmt.Sprintf("prj_%026d", project))
	o := domain.OrganizationID(fmt.Sprintf("org_%026d", project/10))
	k := domain.Key{
		ID: domain.KeyID("key_01jpbsqxde" + fmt.Sprintf("%016s", token)), ProjectID: p, Name: name, Prefix: "lk_live_" + string(token),
		Environment: domain.Live, Scopes: []domain.Scope{domain.KeysVerify}, Metadata: map[string]string{}, CreatedAt: now,
		CreatedBy: domain.Actor{Kind: domain.ActorUser, ID: "usr_01jpbsqxdefghjkmnpqrstvwxy"}, Revision: 1,
	}
	s := domain.Secret{
		TokenID: token, ProjectID: p, KeyID: k.ID, Algorithm: domain.HMACSHA256, PepperVersion: 1, Digest: make([]byte, 32),
	}
	return s, domain.CallingKey{
		Key:          k,
		Project:      domain.Project{ID: p, OrganizationID: o, Status: domain.Active},
		Organization: domain.Organization{ID: o, Status: domain.Active},
	}
}

// reading is a database of one row.
func reading(token domain.TokenID, project int, name string) Reader {
	return answering(func() (domain.Secret, domain.CallingKey, error) {
		s, k := row(token, project, name)
		return s, k, nil
	})
}

func answering(read func() (domain.Secret, domain.CallingKey, error)) Reader {
	return Reader{
		Key: func(context.Context, domain.TokenID) (domain.Secret, domain.Key, error) {
			s, k, err := read()
			return s, k.Key, err
		},
		CallingKey: func(context.Context, domain.TokenID) (domain.Secret, domain.CallingKey, error) { return read() },
	}
}

func fill(t testing.TB, k *Keys, token domain.TokenID, project int, name string) {
	t.Helper()
	if _, err := k.Load(t.Context(), token, now, reading(token, project, name)); err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreWhatWasRead(t *testing.T) {
	t.Parallel()
	k := NewKeys(1<<20, Turns(), meter.New())
	fill(t, k, "aaaaaaaaaaaa", 7, "first")
	got, ok := k.Get("aaaaaaaaaaaa")
	if !ok {
		t.Fatal("what was read is not known")
	}
	_, want := row("aaaaaaaaaaaa", 7, "first")
	if diff := cmp.Diff(want, got.CallingKey()); diff != "" {
		t.Error(diff)
	}
	if _, ok := k.Get("aaaaaaaaaaab"); ok {
		t.Error("another id is known, too")
	}
}

// Guarantees that a request for a key counts as one hit or as one miss, also when it
// waits for a key that another request has just brought into memory.
func TestRequestsCountOnce(t *testing.T) {
	t.Parallel()
	k := NewKeys(1<<20, Turns(), meter.New())
	for range 3 {
		if _, ok := k.Get("a"); !ok {
			fill(t, k, "a", 1, "k")
			fill(t, k, "a", 1, "k") // for one that missed before the first was done
		}
	}
	if got := k.Stats(); got.Hits != 2 || got.Misses != 1 || got.Loads != 1 {
		t.Errorf("got %d hits, %d misses, %d loads, want 2, 1, 1", got.Hits, got.Misses, got.Loads)
	}
}

// TestForgetEndsCopies guarantees for each kind of change that the copies it
// makes untrue are gone when Forget returns, and that no others are.
func TestForgetEndsCopies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change domain.Stale
		want   string // which of a, b (project 1, organization 0), c (project 2, organization 0), d (project 10) stay
	}{
		"token":        {domain.Stale{Kind: domain.StaleToken, ID: "a"}, "bcd"},
		"project":      {domain.Stale{Kind: domain.StaleProject, ID: "prj_00000000000000000000000001"}, "cd"},
		"organization": {domain.Stale{Kind: domain.StaleOrganization, ID: "org_00000000000000000000000000"}, "d"},
		"user":         {domain.Stale{Kind: domain.StaleUser, ID: "usr_1"}, "abcd"},
	} {
		k := NewKeys(1<<20, Turns(), meter.New())
		for i, token := range []domain.TokenID{"a", "b", "c", "d"} {
			fill(t, k, token, []int{1, 1, 2, 10}[i], "k")
		}
		k.Forget(c.change)
		var got strings.Builder
		for _, token := range []domain.TokenID{"a", "b", "c", "d"} {
			if _, ok := k.Get(token); ok {
				got.WriteString(string(token))
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: %q stay, want %q", name, got.String(), c.want)
		}
	}
	k := NewKeys(1<<20, Turns(), meter.New())
	fill(t, k, "a", 1, "k")
	fill(t, k, "b", 1, "k")
	k.ForgetAll()
	fill(t, k, "a", 1, "k")
	if _, ok := k.Get("b"); ok {
		t.Error("a key that was not read again came back with its project")
	}
}

// TestReadingDuringChangeIsNotKept guarantees that what was read before a change
// is never kept after it, and that who asks after the change reads anew.
func TestReadingDuringChangeIsNotKept(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{false, true} { // whether the project is
		for _, change := range []domain.Stale{
			{Kind: domain.StaleToken, ID: "a"},
			{Kind: domain.StaleProject, ID: "prj_00000000000000000000000001"},
			{Kind: domain.StaleOrganization, ID: "org_00000000000000000000000000"},
		} {
			k := NewKeys(1<<20, Turns(), meter.New())
			if known {
				fill(t, k, "b", 1, "k")
				k.tenants.familiar.Store(enoughFamiliar)
			}
			reads, proceed := make(chan struct{}), make(chan struct{})
			var begun sync.Once
			var old sync.WaitGroup
			old.Go(func() {
				got, err := k.Load(t.Context(), "a", now, answering(func() (domain.Secret, domain.CallingKey, error) {
					begun.Do(func() { close(reads) })
					<-proceed
					return reading("a", 1, "before").CallingKey(t.Context(), "")
				}))
				if err != nil || got.Key().Name != "before" {
					t.Errorf("who asked before the change: got %v, %v", got.Key().Name, err)
				}
			})
			<-reads
			k.Forget(change)
			got, err := k.Load(t.Context(), "a", now, reading("a", 1, "after"))
			if err != nil || got.Key().Name != "after" {
				t.Errorf("who asked after the change: got %v, %v", got.Key().Name, err)
			}
			close(proceed)
			old.Wait()
			if got, ok := k.Get("a"); !ok || got.Key().Name != "after" {
				t.Errorf("%v: what was read before is kept", change)
			}
		}
	}
}

// TestTenantComesFromMemory guarantees that keys of projects that are known are
// read without them, that a wrong guess gives the right tenant, that of keys read
// one after the other at most one in nine costs one, and that a tenant that has
// changed is read anew.
func TestTenantComesFromMemory(t *testing.T) {
	t.Parallel()
	k := NewKeys(1<<20, Turns(), meter.New())
	var queries []string
	n := 0
	load := func(project int, status domain.Status) string {
		t.Helper()
		queries = nil
		n++
		token := domain.TokenID(fmt.Sprint("t", n))
		s, c := row(token, project, "k")
		c.Project.Status = status
		got, err := k.Load(t.Context(), token, now, Reader{
			Key: func(context.Context, domain.TokenID) (domain.Secret, domain.Key, error) {
				queries = append(queries, "key")
				return s, c.Key, nil
			},
			CallingKey: func(context.Context, domain.TokenID) (domain.Secret, domain.CallingKey, error) {
				queries = append(queries, "calling key")
				return s, c, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, got.CallingKey()); diff != "" {
			t.Errorf("project %d: %s", project, diff)
		}
		return strings.Join(queries, ", ")
	}
	const alone, whole, both = "key", "calling key", "key, calling key"
	for i := range 1 + enoughFamiliar { // the first brings the tenant
		if got := load(1, domain.Active); got != whole {
			t.Errorf("key %d: asked for %s, want %s", i, got, whole)
		}
	}
	for _, step := range []struct {
		what    string
		project int
		want    string
	}{
		{"a known project", 1, alone},
		{"another", 2, both},
		{"right after it", 1, whole},
	} {
		if got := load(step.project, domain.Active); got != step.want {
			t.Errorf("%s: asked for %s, want %s", step.what, got, step.want)
		}
	}
	for range enoughFamiliar {
		load(1, domain.Active)
	}
	if got := load(2, domain.Active); got != alone {
		t.Errorf("asked for %s, want %s", got, alone)
	}
	k.Forget(domain.Stale{Kind: domain.StaleProject, ID: "prj_00000000000000000000000001"})
	if got := load(1, domain.Disabled); got != both {
		t.Errorf("after the project changed: asked for %s, want %s", got, both)
	}
	for range enoughFamiliar {
		load(1, domain.Disabled)
	}
	if got := load(1, domain.Disabled); got != alone {
		t.Errorf("the tenant that was read anew: asked for %s, want %s", got, alone)
	}
}

// TestMissIsReadOnce guarantees that a thousand simultaneous requests for one key that
// is not cached cost one look-up.
func TestMissIsReadOnce(t *testing.T) {
	t.Parallel()
	k := NewKeys(1<<20, Turns(), meter.New())
	const requests = 1000
	reads, proceed := make(chan struct{}, requests), make(chan struct{})
	var all, asked sync.WaitGroup
	for range requests {
		asked.Add(1)
		all.Go(func() {
			asked.Done()
			_, err := k.Load(t.Context(), "a", now, answering(func() (domain.Secret, domain.CallingKey, error) {
				reads <- struct{}{}
				<-proceed
				return reading("a", 1, "k").CallingKey(t.Context(), "")
			}))
			if err != nil {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	<-reads
	close(proceed)
	all.Wait()
	if more := len(reads); more != 0 {
		t.Errorf("got %d look-ups, want 1", 1+more)
	}
}

// TestUnknownIsRememberedBriefly guarantees that a token that does not exist is
// looked up once in a while however often it is sent, that an error is not
// remembered at all, and that guessing is bounded.
func TestUnknownIsRememberedBriefly(t *testing.T) {
	t.Parallel()
	k := NewKeys(1<<20, Turns(), meter.New())
	reads := 0
	ask := func(token domain.TokenID, at time.Time, answer error) error {
		_, err := k.Load(t.Context(), token, at, answering(func() (domain.Secret, domain.CallingKey, error) {
			reads++
			return domain.Secret{}, domain.CallingKey{}, answer
		}))
		return err
	}
	for range 3 {
		if got := domain.CodeOf(ask("a", now, domain.NotFound())); got != domain.CodeNotFound {
			t.Errorf("got %s", got)
		}
	}
	if reads != 1 {
		t.Errorf("got %d look-ups of an unknown id, want 1", reads)
	}
	_ = ask("a", now.Add(unknownFor), domain.NotFound())
	if reads != 2 {
		t.Errorf("got %d look-ups after the time was up, want 2", reads)
	}
	for range 2 {
		if err := ask("b", now, domain.Unavailable(errors.New("x"))); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Error(err)
		}
	}
	if reads != 4 {
		t.Errorf("got %d look-ups, want 4: an error was remembered", reads)
	}
	reads = 0
	later := now.Add(time.Hour)
	for i := range 2 * futileLimit {
		_ = ask(domain.TokenID(fmt.Sprint("g", i)), later, domain.NotFound())
	}
	if reads != futileLimit {
		t.Errorf("got %d look-ups of guesses in one second, want %d", reads, futileLimit)
	}
	if err := ask("c", later.Add(time.Second), domain.NotFound()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a second later: %v", err)
	}
	later = later.Add(time.Minute)
	for i := range futileLimit {
		_ = ask(domain.TokenID(fmt.Sprint("h", i)), later, domain.NotFound())
	}
	if err := ask("e", later.Add(-time.Second), domain.NotFound()); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("one who waited since the second before: %v", err)
	}
	if err := ask("f", later.Add(-time.Hour), domain.NotFound()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("the clock was put back: %v", err)
	}
}

// TestQueueIsBounded guarantees that more misses than can wait are refused at
// once, and that all is well again afterwards.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	k := NewKeys(1<<20, Turns(), meter.New())
	proceed := make(chan struct{})
	refused := make(chan struct{}, 2*waiting)
	var under, most atomic.Int32
	var all sync.WaitGroup
	for i := range 2 * waiting {
		token := domain.TokenID(fmt.Sprint("t", i))
		all.Go(func() {
			_, err := k.Load(t.Context(), token, now, answering(func() (domain.Secret, domain.CallingKey, error) {
				n := under.Add(1)
				defer under.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					continue
				}
				<-proceed
				return reading(token, 1, "k").CallingKey(t.Context(), "")
			}))
			if domain.CodeOf(err) == domain.CodeUnavailable {
				refused <- struct{}{}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	for range waiting {
		<-refused
	}
	close(proceed)
	all.Wait()
	if got := most.Load(); got > lookups {
		t.Errorf("got %d look-ups at a time, want at most %d", got, lookups)
	}
	if more := len(refused); more != 0 {
		t.Errorf("%d were refused, want %d", waiting+more, waiting)
	}
	fill(t, k, "after", 1, "k")
}

// TestEvictionKeepsWhatIsUsed guarantees that memory stays within its bound and
// that a key in use survives any number of others.
func TestEvictionKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	k := NewKeys(shards*2*slabSize, Turns(), meter.New())
	fill(t, k, "inuse", 1, "in use")
	lost := 0
	for i := range 80_000 {
		token := domain.TokenID(fmt.Sprint("t", i))
		s, c := row(token, i%3000, "some name")
		k.put(mustID(token), domain.NewProvenKey(string(domain.PackKey(nil, s, c.Key)),
			&domain.Tenant{Project: c.Project, Organization: c.Organization}))
		if _, ok := k.Get("inuse"); !ok {
			lost++
			fill(t, k, "inuse", 1, "in use")
		}
	}
	if lost > 0 {
		t.Errorf("a key in use was lost %d times", lost)
	}
	stats := k.Stats()
	if stats.Bytes > shards*2*slabSize || stats.Evictions == 0 {
		t.Errorf("%+v, want at most %d bytes", stats, shards*2*slabSize)
	}
	if got, ok := k.Get("inuse"); !ok || got.Key().Name != "in use" {
		t.Error("the key in use is not what it was")
	}
	if last, ok := k.Get("t79999"); !ok || last.Tenant().Project.ID != domain.ProjectID(fmt.Sprintf("prj_%026d", 79_999%3000)) {
		t.Error("a key has the wrong project")
	}
}

func mustID(t domain.TokenID) id {
	i, ok := newID(t)
	if !ok {
		panic(t)
	}
	return i
}

// TestGetAllocatesNothing is the gate for what every request does.
func TestGetAllocatesNothing(t *testing.T) {
	k := NewKeys(1<<20, Turns(), meter.New())
	fill(t, k, "aaaaaaaaaaaa", 7, "first")
	if got := testing.AllocsPerRun(1000, func() {
		key, ok := k.Get("aaaaaaaaaaaa")
		if !ok || !key.Holds(domain.KeysVerify) || key.Unusable(now) != "" {
			t.Error("unexpected")
		}
	}); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

// TestBytesPerKey is the gate for memory: at most 280 bytes, with the line in
// which the key's uses are counted, and the variable text. An external id is such
// text twice, because its line outlives the key's place here, and takes at most 40
// bytes more here to be found by the number of the line. Maps that have just grown
// take more of both: up to 20 bytes for each.
func TestBytesPerKey(t *testing.T) {
	for external, most := range map[string]int{"": 280, "customer-0123456": 280 + 40} {
		const n = 200_000
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		k := NewKeys(1<<30, Turns(), meter.New())
		name := "a name"
		for i := range n {
			token := domain.TokenID(fmt.Sprintf("%012d", i))
			s, c := row(token, i%100, name)
			c.Key.ExternalID = external
			k.put(mustID(token), domain.NewProvenKey(string(domain.PackKey(nil, s, c.Key)),
				&domain.Tenant{Project: c.Project, Organization: c.Organization}))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		got := int(after.HeapAlloc-before.HeapAlloc)/n - len(name) - 2*len(external)
		t.Logf("%d bytes a key beside its name and external id, of them %d in slabs", got, k.Stats().Bytes/n-len(name)-len(external))
		if got > most {
			t.Errorf("got %d bytes a key with external id %q, want at most %d", got, external, most)
		}
		runtime.KeepAlive(k)
	}
}
