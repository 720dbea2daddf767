package domain_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// keyOf returns a key of a plan in a tenant that has the plan.
func keyOf(key domain.Key, project, plan []domain.Limit) domain.ProvenKey {
	tenant := domain.NewTenant(domain.Project{ID: "prj_1", Limits: project}, domain.Organization{},
		[]domain.Plan{{ID: "pln_1", Name: "Pro", Limits: plan}})
	return domain.NewProvenKey(string(domain.PackKey(nil, domain.Secret{TokenID: "t"}, key)), tenant)
}

func perMinute(name string, limit int64, per domain.Per) domain.Limit {
	l := domain.Limit{Name: name, Type: domain.RateLimit, Limit: domain.Allow(limit), Period: domain.PeriodMinute, Per: per}
	return l.WithDefaults()
}

func TestLimitsThatHoldForAKey(t *testing.T) {
	t.Parallel()
	project := []domain.Limit{perMinute("all", 1000, domain.PerProject), perMinute("requests", 10, domain.PerKey)}
	plan := []domain.Limit{perMinute("requests", 20, domain.PerExternalID)}
	lifted := []domain.Limit{{Name: "requests", Type: domain.RateLimit, Limit: domain.Unlimited()}}
	own := []domain.Limit{perMinute("requests", 30, domain.PerKey)}
	pro := domain.KeyPlan{ID: "pln_1", Name: "Former name"}
	for name, c := range map[string]struct {
		key  domain.Key
		want []domain.Counter
	}{
		"without a plan": {domain.Key{ID: "key_1"}, []domain.Counter{
			{Owner: "prj_1", Type: domain.RateLimit, Name: "all", Per: domain.PerProject, Subject: "prj_1"},
			{Owner: "prj_1", Type: domain.RateLimit, Name: "requests", Per: domain.PerKey, Subject: "key_1"},
		}},
		"a customer's, of a plan": {domain.Key{ID: "key_1", ExternalID: "c", Plan: pro}, []domain.Counter{
			{Owner: "prj_1", Type: domain.RateLimit, Name: "all", Per: domain.PerProject, Subject: "prj_1"},
			{Owner: "pln_1", Type: domain.RateLimit, Name: "requests", Per: domain.PerExternalID, Subject: "c"},
		}},
		"of no customer, which counts alone": {domain.Key{ID: "key_1", Plan: pro}, []domain.Counter{
			{Owner: "prj_1", Type: domain.RateLimit, Name: "all", Per: domain.PerProject, Subject: "prj_1"},
			{Owner: "pln_1", Type: domain.RateLimit, Name: "requests", Per: domain.PerKey, Subject: "key_1"},
		}},
		"with its own": {domain.Key{ID: "key_1", Plan: pro, Limits: own}, []domain.Counter{
			{Owner: "prj_1", Type: domain.RateLimit, Name: "all", Per: domain.PerProject, Subject: "prj_1"},
			{Owner: "key_1", Type: domain.RateLimit, Name: "requests", Per: domain.PerKey, Subject: "key_1"},
		}},
		"with a lifted one": {domain.Key{ID: "key_1", Plan: pro, Limits: lifted}, []domain.Counter{
			{Owner: "prj_1", Type: domain.RateLimit, Name: "all", Per: domain.PerProject, Subject: "prj_1"},
		}},
	} {
		key := keyOf(c.key, project, plan)
		limits, known := key.Limits()
		var got []domain.Counter
		for i := range limits.Len() {
			got = append(got, limits.Counter(i, key))
		}
		if diff := cmp.Diff(c.want, got); diff != "" || !known || !key.Limited() {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if got := key.Fields().Plan.Name; c.key.Plan.ID != "" && got != "Pro" {
			t.Errorf("%s: the plan is called %q", name, got)
		}
	}
	if keyOf(domain.Key{ID: "key_1"}, nil, plan).Limited() {
		t.Error("a key without limits is taken for a limited one")
	}
}

// Guarantees that a key whose plan is not known yet is not taken for one without
// limits.
func TestAnUnknownPlanIsNoPlan(t *testing.T) {
	t.Parallel()
	key := keyOf(domain.Key{ID: "key_1", Plan: domain.KeyPlan{ID: "pln_2"}}, nil, nil)
	if _, known := key.Limits(); known || !key.Limited() {
		t.Errorf("got known %v, limited %v", known, key.Limited())
	}
}

// Guarantees that Retry-After is true, whatever the state: a client that waits so long
// is admitted, it is not earlier than t, and r units are there.
func TestHeadersAreTrue(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		rate, limit := aRate(t, r)
		limit = limit.WithDefaults()
		key := keyOf(domain.Key{ID: "key_1"}, []domain.Limit{limit}, nil)
		limits, _ := key.Limits()
		now, n := r.Int64N(1<<50), 1+r.Int64N(*limit.Burst)
		tat := now + r.Int64N(1+rate.Ahead(1<<62, 0))
		d := domain.Decision{Limits: limits}
		d.Note(0, tat, now)
		if _, fits := rate.Take(tat, now, n); fits {
			continue
		}
		d.Exceed(0, n)
		wait := time.Duration(domain.Seconds(d.RetryAfter)) * time.Second
		if _, fits := rate.Take(tat, now+int64(wait), n); !fits {
			t.Fatalf("%+v: refused %v later, as Retry-After says", limit, wait)
		}
		for _, s := range d.States() {
			if time.Duration(domain.Seconds(s.Next))*time.Second > wait {
				t.Fatalf("%+v: t is %v, Retry-After is %v", limit, s.Next, wait)
			}
			if _, fits := rate.Take(tat, now, s.Remaining); !fits || s.Used+s.Remaining != *limit.Burst {
				t.Fatalf("%+v: %d used and %d remaining", limit, s.Used, s.Remaining)
			}
			if _, fits := rate.Take(tat, now, s.Remaining+1); fits {
				t.Fatalf("%+v: more than %d units remain", limit, s.Remaining)
			}
		}
	}
}

func TestRefusalSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	tokens := perMinute("tokens", 5000, domain.PerProject)
	tokens.Cost, tokens.Burst = new(int64(0)), new(int64(20))
	key := keyOf(domain.Key{ID: "key_1"}, []domain.Limit{perMinute("requests", 100, domain.PerKey), tokens}, nil)
	limits, _ := key.Limits()
	d := domain.Decision{Limits: limits}
	d.Note(0, 1<<62, 0)
	d.Note(1, 1<<62, 0)
	d.Exceed(1, 10)
	if got, want := d.Err().Error(), "rate_limited: The keys that share this limit may use 5000 units of tokens a minute."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.Exceed(0, 1)
	if got, want := d.Err().Error(), "rate_limited: This key may make 100 requests a minute."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := d.Violated(); !slices.Equal(got, []string{"requests", "tokens"}) || d.RetryAfter != 600*time.Millisecond {
		t.Errorf("got %v, %v", got, d.RetryAfter)
	}
	if got, want := strings.Join(limits.Policy(), "|"), `"requests";q=100;w=60, "tokens";q=5000;w=60;latchkey-burst=20`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(d.AppendHeader(nil)), `"requests";r=0;t=1, "tokens";r=0;t=1`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	one := perMinute("requests", 1, domain.PerKey)
	one.Period = domain.PeriodHour
	limits, _ = keyOf(domain.Key{ID: "key_1"}, []domain.Limit{one}, nil).Limits()
	single := domain.Decision{Limits: limits}
	single.Note(0, 1<<62, 0)
	single.Exceed(0, 1)
	if got, want := single.Err().Error(), "rate_limited: This key may make 1 request an hour."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
