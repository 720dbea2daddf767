package domain_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// patch changes one field: to a good value, which changes the object as want does,
// and to a bad value, which is refused at the pointer.
type patch[N any] struct {
	pointer   string
	good, bad func(N) (N, error)
	want      func(*N)
}

func checkPatches[N any](t *testing.T, before N, patches []patch[N]) {
	t.Helper()
	for _, p := range patches {
		want := before
		p.want(&want)
		got, err := p.good(before)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%T %s: %v (-want +got):\n%s", before, p.pointer, err, diff)
		}
		_, err = p.bad(before)
		if diff := cmp.Diff([]string{p.pointer}, fields(t, err)); diff != "" {
			t.Errorf("%T, a bad value: %s", before, diff)
		}
	}
}

// unlimited is a limit that every place may define, and that has only its name.
func unlimited(name string) []domain.Limit {
	return []domain.Limit{{Name: name, Type: domain.Quota, Limit: domain.Unlimited()}}
}

// Guarantees that a patch of any object changes what it names and nothing else, and
// that a bad value is refused at its own field.
func TestEachPatchChangesItsFieldOnly(t *testing.T) {
	t.Parallel()
	limits := domain.LimitsWithDefaults(unlimited("lifted"))
	plan, noPlan := domain.NewID[domain.PlanID](now), domain.PlanID("")
	named := domain.KeyPlan{ID: domain.NewID[domain.PlanID](now), Name: "Pro"}
	key := domain.Key{
		Name: "before", Environment: domain.Live, Scopes: []domain.Scope{"a:b"}, ExternalID: "x", Metadata: map[string]string{"a": "b"},
		ExpiresAt: now, Plan: named, Limits: limits,
	}
	ofKey := func(p domain.KeyPatch) func(domain.Key) (domain.Key, error) { return p.Apply }
	checkPatches(t, key, []patch[domain.Key]{
		{"/name", ofKey(domain.KeyPatch{Name: new("after")}), ofKey(domain.KeyPatch{Name: new("")}), func(k *domain.Key) { k.Name = "after" }},
		{"/scopes/0", ofKey(domain.KeyPatch{Scopes: &[]domain.Scope{"c:d"}}), ofKey(domain.KeyPatch{Scopes: &[]domain.Scope{"x"}}),
			func(k *domain.Key) { k.Scopes = []domain.Scope{"c:d"} }},
		{"/expires_at", ofKey(domain.KeyPatch{ExpiresAt: &time.Time{}}), ofKey(domain.KeyPatch{ExpiresAt: new(time.Unix(-1, 0))}),
			func(k *domain.Key) { k.ExpiresAt = time.Time{} }},
		{"/plan_id", ofKey(domain.KeyPatch{PlanID: &plan}), ofKey(domain.KeyPatch{PlanID: new(domain.PlanID("Pro"))}),
			func(k *domain.Key) { k.Plan = domain.KeyPlan{ID: plan} }},
		{"/plan_id", ofKey(domain.KeyPatch{PlanID: &noPlan}), ofKey(domain.KeyPatch{PlanID: new(domain.PlanID("Pro"))}),
			func(k *domain.Key) { k.Plan = domain.KeyPlan{} }},
		{"/plan_id", ofKey(domain.KeyPatch{PlanID: &named.ID}), ofKey(domain.KeyPatch{PlanID: new(domain.PlanID("Pro"))}),
			func(*domain.Key) {}},
		{"/limits/0/name", ofKey(domain.KeyPatch{Limits: new(unlimited("b"))}), ofKey(domain.KeyPatch{Limits: new(unlimited("B"))}),
			func(k *domain.Key) { k.Limits = domain.LimitsWithDefaults(unlimited("b")) }},
	})
	ofProject := func(p domain.ProjectPatch) func(domain.Project) (domain.Project, error) { return p.Apply }
	checkPatches(t, domain.Project{Name: "n", Slug: "s", KeyPrefix: "lk", Status: domain.Active, Limits: limits}, []patch[domain.Project]{
		{"/name", ofProject(domain.ProjectPatch{Name: new("after")}), ofProject(domain.ProjectPatch{Name: new("")}),
			func(p *domain.Project) { p.Name = "after" }},
		{"/slug", ofProject(domain.ProjectPatch{Slug: new("after")}), ofProject(domain.ProjectPatch{Slug: new("")}),
			func(p *domain.Project) { p.Slug = "after" }},
		{"/key_prefix", ofProject(domain.ProjectPatch{KeyPrefix: new("acme")}), ofProject(domain.ProjectPatch{KeyPrefix: new("sk")}),
			func(p *domain.Project) { p.KeyPrefix = "acme" }},
		{"/status", ofProject(domain.ProjectPatch{Status: new(domain.Disabled)}),
			ofProject(domain.ProjectPatch{Status: new(domain.Status("off"))}),
			func(p *domain.Project) { p.Status = domain.Disabled }},
		{"/limits/0/name", ofProject(domain.ProjectPatch{Limits: new(unlimited("b"))}),
			ofProject(domain.ProjectPatch{Limits: new(unlimited("B"))}),
			func(p *domain.Project) { p.Limits = domain.LimitsWithDefaults(unlimited("b")) }},
	})
	ofPlan := func(p domain.PlanPatch) func(domain.Plan) (domain.Plan, error) { return p.Apply }
	checkPatches(t, domain.Plan{Name: "n", Limits: limits, Keys: 3}, []patch[domain.Plan]{
		{"/name", ofPlan(domain.PlanPatch{Name: new("after")}), ofPlan(domain.PlanPatch{Name: new("")}),
			func(p *domain.Plan) { p.Name = "after" }},
		{"/limits/0/name", ofPlan(domain.PlanPatch{Limits: new(unlimited("b"))}), ofPlan(domain.PlanPatch{Limits: new(unlimited("B"))}),
			func(p *domain.Plan) { p.Limits = domain.LimitsWithDefaults(unlimited("b")) }},
	})
}

// A plan needs a name and good limits, and keys refer to it by its id and name.
func TestPlanSpec(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		spec domain.PlanSpec
		want []string
	}{
		{domain.PlanSpec{Name: "Pro"}, nil},
		{domain.PlanSpec{Name: "Pro", Limits: unlimited("a")}, nil},
		{domain.PlanSpec{Limits: unlimited("A")}, []string{"/name", "/limits/0/name"}},
	} {
		if diff := cmp.Diff(test.want, fields(t, test.spec.Validate())); diff != "" {
			t.Errorf("%+v: %s", test.spec, diff)
		}
	}
	want := domain.KeyPlan{ID: "pln_1", Name: "Pro"}
	if got := (domain.Plan{ID: "pln_1", Name: "Pro", Keys: 3}).ForKeys(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for id, want := range map[domain.PlanID][]string{"": nil, domain.NewID[domain.PlanID](now): nil, "Pro": {"/plan_id"}} {
		spec := goodKeySpec()
		spec.PlanID = id
		if diff := cmp.Diff(want, fields(t, spec.Validate())); diff != "" {
			t.Errorf("a key with the plan %q: %s", id, diff)
		}
		if got := fields(t, domain.KeyFilter{PlanID: id}.Validate()); len(got) != len(want) {
			t.Errorf("keys with the plan %q: got %v", id, got)
		}
	}
}

// Guarantees that a key's own limits count as tighter only if nothing that they
// allow is more than before.
func TestWidensByLimits(t *testing.T) {
	t.Parallel()
	rate := func(units, burst int64) domain.Limit {
		l := domain.Limit{Name: "a", Type: domain.RateLimit, Limit: domain.Allow(units), Period: domain.PeriodDay, Burst: &burst}
		return l.WithDefaults()
	}
	quota := func(units int64) domain.Limit {
		return domain.Limit{Name: "b", Type: domain.Quota, Limit: domain.Allow(units), Period: domain.PeriodDay}.WithDefaults()
	}
	observed, lifted, daily := rate(5, 5), rate(5, 5), quota(5)
	observed.Mode, lifted.Limit, daily.Period = domain.Observe, domain.Unlimited(), domain.PeriodHour
	before := []domain.Limit{rate(5, 5), quota(5)}
	for name, test := range map[string]struct {
		after []domain.Limit
		want  bool
	}{
		"the same":        {[]domain.Limit{rate(5, 5), quota(5)}, false},
		"a lower rate":    {[]domain.Limit{rate(4, 5), quota(5)}, false},
		"a lower burst":   {[]domain.Limit{rate(5, 4), quota(5)}, false},
		"a lower quota":   {[]domain.Limit{rate(5, 5), quota(4)}, false},
		"a higher rate":   {[]domain.Limit{rate(6, 5), quota(5)}, true},
		"a higher burst":  {[]domain.Limit{rate(5, 6), quota(5)}, true},
		"a higher quota":  {[]domain.Limit{rate(5, 5), quota(6)}, true},
		"only observed":   {[]domain.Limit{observed, quota(5)}, true},
		"no limit":        {[]domain.Limit{lifted, quota(5)}, true},
		"another period":  {[]domain.Limit{rate(5, 5), daily}, true},
		"one less":        {[]domain.Limit{rate(5, 5)}, true},
		"one more":        {[]domain.Limit{rate(5, 5), quota(5), quota(1)}, true},
		"none":            {nil, true},
		"another order":   {[]domain.Limit{quota(5), rate(5, 5)}, true},
		"lower and later": {[]domain.Limit{rate(1, 1), quota(1)}, false},
	} {
		if got := (domain.Key{Limits: test.after}).Widens(domain.Key{Limits: before}); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
	if !(domain.Key{Limits: before}).Widens(domain.Key{Limits: []domain.Limit{lifted, quota(5)}}) {
		t.Error("a limit in place of none may replace a stricter one of the plan")
	}
	if !(domain.Key{Plan: domain.KeyPlan{ID: "pln_2"}}).Widens(domain.Key{Plan: domain.KeyPlan{ID: "pln_1"}}) {
		t.Error("another plan may allow more")
	}
}
