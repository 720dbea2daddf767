package domain_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// limitsOfPlan judges limits as those of a plan.
func limitsOfPlan(limits ...domain.Limit) error { return domain.ValidateLimits(limits) }

func parseLimit(t *testing.T, text string) domain.Limit {
	t.Helper()
	var l domain.Limit
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return l
}

func TestLimitsThatAreGood(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"name":"requests","type":"rate","limit":100,"period":"minute","burst":20,"per":"key"}`,
		`{"name":"monthly","type":"quota","limit":100000,"period":"month","per":"external_id","time_zone":"Europe/Berlin"}`,
		`{"name":"tokens","type":"quota","limit":5000000,"period":"day","per":"external_id","cost":0}`,
		`{"name":"credits","type":"credits","initial":1000,"per":"external_id","refill":{"amount":500,"period":"month","maximum":2000}}`,
		`{"name":"a","type":"credits"}`,
		`{"name":"a","type":"credits","refill":{"amount":1000000000000,"period":"hour"},"time_zone":"Asia/Kolkata"}`,
		`{"name":"a","type":"credits","initial":0,"cost":0,"refill":{"amount":1,"period":"day","maximum":1}}`,
		`{"name":"a","type":"credits","initial":1000000000000,"cost":1000000000000}`,
		`{"name":"a","type":"credits","refill":{"amount":1,"period":"day","maximum":1000000000000}}`,
		`{"name":"a","type":"rate","limit":null}`,
		`{"name":"a","type":"quota","limit":null,"period":"week"}`,
		`{"name":"a","type":"rate","limit":0,"period":"day"}`,
		`{"name":"a","type":"rate","limit":1000000,"period":"second","burst":1}`,
		`{"name":"a","type":"rate","limit":86400000000,"period":"day"}`,
		`{"name":"a","type":"rate","limit":1,"period":"day","burst":365}`,
		`{"name":"a","type":"quota","limit":1000000000000,"period":"year","mode":"observe","per":"project"}`,
		`{"name":"` + strings.Repeat("a", 32) + `","type":"quota","limit":1000,"period":"hour"}`,
	} {
		if err := limitsOfPlan(parseLimit(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Guarantees that nothing but one list of limits is read as limits.
func TestParseLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`[]`: 0, "[\n]\n": 0, `[{"name":"a","type":"credits"},{"name":"b"}]`: 2,
	} {
		if got, err := domain.ParseLimits(text); err != nil || got == nil || len(got) != want {
			t.Errorf("%s: got %v, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		``, `null`, `{}`, `requests`, `[`, `[]]`, `[]]garbage`, `[]garbage`, `[][]`, `[],`, `[{"nme":"a"}]`,
		`[{"name":1}]`, `[{"limit":1.5}]`,
	} {
		got, err := domain.ParseLimits(text)
		if at := domain.FieldErrors(err); got != nil || len(at) != 1 || at[0].Pointer != "/limits" {
			t.Errorf("%s: got %v, %v, want validation_failed at /limits", text, got, err)
		}
	}
}

// Guarantees that a limit that could not be enforced as it reads is refused at the
// field that is wrong.
func TestLimitsThatAreWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"name":"","type":"credits"}`:                                                                       "name",
		`{"name":"A","type":"credits"}`:                                                                      "name",
		`{"name":"1a","type":"credits"}`:                                                                     "name",
		`{"name":"a\n","type":"credits"}`:                                                                    "name",
		`{"name":"` + strings.Repeat("a", 33) + `","type":"credits"}`:                                        "name",
		`{"name":"a","type":"balance"}`:                                                                      "type",
		`{"name":"a","type":"rate","limit":-1,"period":"day"}`:                                               "limit",
		`{"name":"a","type":"rate","period":"day"}`:                                                          "limit",
		`{"name":"a","type":"quota","period":"day"}`:                                                         "limit",
		`{"name":"a","type":"quota","limit":1000000000001,"period":"day"}`:                                   "limit",
		`{"name":"a","type":"rate","limit":1000001,"period":"second"}`:                                       "limit",
		`{"name":"a","type":"rate","limit":60000001,"period":"minute"}`:                                      "limit",
		`{"name":"a","type":"rate","limit":5}`:                                                               "period",
		`{"name":"a","type":"rate","limit":5,"period":"month"}`:                                              "period",
		`{"name":"a","type":"rate","limit":null,"period":"month"}`:                                           "period",
		`{"name":"a","type":"quota","limit":5,"period":"minute"}`:                                            "period",
		`{"name":"a","type":"quota","limit":5,"period":"fortnight"}`:                                         "period",
		`{"name":"a","type":"rate","limit":5,"period":"day","burst":0}`:                                      "burst",
		`{"name":"a","type":"rate","limit":1,"period":"day","burst":366}`:                                    "burst",
		`{"name":"a","type":"rate","limit":0,"period":"day","burst":1}`:                                      "burst",
		`{"name":"a","type":"rate","limit":null,"burst":1}`:                                                  "burst",
		`{"name":"a","type":"rate","limit":1000000,"period":"second","burst":1000000000001}`:                 "burst",
		`{"name":"a","type":"quota","limit":5,"period":"day","burst":5}`:                                     "burst",
		`{"name":"a","type":"rate","limit":5,"period":"day","time_zone":"UTC"}`:                              "time_zone",
		`{"name":"a","type":"rate","limit":5,"period":"day","initial":5}`:                                    "initial",
		`{"name":"a","type":"quota","limit":5,"period":"day","refill":{"amount":1,"period":"day"}}`:          "refill",
		`{"name":"a","type":"quota","limit":5,"period":"day","time_zone":"Mars/Olympus"}`:                    "time_zone",
		`{"name":"a","type":"quota","limit":5,"period":"day","time_zone":"Local"}`:                           "time_zone",
		`{"name":"a","type":"credits","time_zone":"UTC"}`:                                                    "time_zone",
		`{"name":"a","type":"credits","limit":5}`:                                                            "limit",
		`{"name":"a","type":"credits","limit":null}`:                                                         "limit",
		`{"name":"a","type":"credits","period":"day"}`:                                                       "period",
		`{"name":"a","type":"credits","initial":-1}`:                                                         "initial",
		`{"name":"a","type":"credits","initial":1000000000001}`:                                              "initial",
		`{"name":"a","type":"credits","refill":{"amount":0,"period":"day"}}`:                                 "refill/amount",
		`{"name":"a","type":"credits","refill":{"amount":5,"period":"day","maximum":4}}`:                     "refill/amount",
		`{"name":"a","type":"credits","refill":{"amount":5,"period":"day","maximum":1000000000001}}`:         "refill/maximum",
		`{"name":"a","type":"credits","refill":{"amount":1000000000001,"period":"day"}}`:                     "refill/amount",
		`{"name":"a","type":"quota","limit":5,"period":"day","initial":0}`:                                   "initial",
		`{"name":"a","type":"rate","limit":5,"period":"day","refill":{"amount":1,"period":"day"}}`:           "refill",
		`{"name":"a","type":"credits","burst":5}`:                                                            "burst",
		`{"name":"a","type":"credits","refill":{"amount":5,"period":"minute"}}`:                              "refill/period",
		`{"name":"a","type":"credits","refill":{"amount":5}}`:                                                "refill/period",
		`{"name":"a","type":"credits","refill":{"amount":5,"period":"day"},"time_zone":"posix/Europe/Rome"}`: "time_zone",
		`{"name":"a","type":"credits","cost":-1}`:                                                            "cost",
		`{"name":"a","type":"credits","cost":1000000000001}`:                                                 "cost",
		`{"name":"a","type":"credits","mode":"off"}`:                                                         "mode",
		`{"name":"a","type":"credits","per":"user"}`:                                                         "per",
	} {
		got := fields(t, limitsOfPlan(parseLimit(t, text)))
		if diff := cmp.Diff([]string{"/limits/0/" + want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestListsOfLimits(t *testing.T) {
	t.Parallel()
	list := func(n int) (limits []domain.Limit) {
		for i := range n {
			limits = append(limits, domain.Limit{Name: fmt.Sprint("a", i), Type: domain.Credits})
		}
		return limits
	}
	twice := append(list(2), list(1)...)
	for want, limits := range map[string][]domain.Limit{"[]": list(16), "[/limits]": list(17), "[/limits/2/name]": twice} {
		if got := fmt.Sprint(fields(t, limitsOfPlan(limits...))); got != want {
			t.Errorf("%d limits: got %s, want %s", len(limits), got, want)
		}
	}
}

func TestLimitsOfAKeyAreCountedPerKey(t *testing.T) {
	t.Parallel()
	for per, want := range map[domain.Per]int{"": 0, domain.PerKey: 0, domain.PerExternalID: 1, domain.PerProject: 1} {
		err := domain.ValidateLimits([]domain.Limit{{Name: "a", Type: domain.Credits, Per: per}}, domain.PerKey)
		if got := fields(t, err); len(got) != want {
			t.Errorf("per %q: got %v, want %d errors", per, got, want)
		}
	}
}

// The form in which limits are answered and kept has every default, and reading it
// gives the same limit.
func TestLimitsAsJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"name":"a","type":"rate","limit":5,"period":"day"}`: `{"name":"a","type":"rate","limit":5,"period":"day",` +
			`"burst":5,"per":"key","cost":1,"mode":"enforce"}`,
		`{"name":"a","type":"quota","limit":86400,"period":"day"}`: `{"name":"a","type":"quota","limit":86400,"period":"day",` +
			`"per":"key","time_zone":"UTC","cost":1,"mode":"enforce"}`,
		`{"name":"a","type":"rate","limit":null}`: `{"name":"a","type":"rate","limit":null,"per":"key","cost":1,"mode":"enforce"}`,
		`{"name":"a","type":"rate","limit":0,"period":"day"}`: `{"name":"a","type":"rate","limit":0,"period":"day",` +
			`"per":"key","cost":1,"mode":"enforce"}`,
		`{"name":"a","type":"quota","limit":5,"period":"day","cost":0}`: `{"name":"a","type":"quota","limit":5,"period":"day",` +
			`"per":"key","time_zone":"UTC","cost":0,"mode":"enforce"}`,
		`{"name":"a","type":"credits","mode":"observe"}`: `{"name":"a","type":"credits","initial":0,"per":"key","cost":1,"mode":"observe"}`,
	} {
		l := parseLimit(t, text).WithDefaults()
		got, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
		if diff := cmp.Diff(l, parseLimit(t, want)); diff != "" {
			t.Errorf("%s (-written +read):\n%s", text, diff)
		}
		if err := limitsOfPlan(l); err != nil {
			t.Errorf("with its defaults, %s is refused: %v", text, err)
		}
	}
	for _, text := range []string{`"5"`, `5.5`, `1e3`, `1e400`, `true`, `{}`} {
		if err := json.Unmarshal([]byte(`{"limit":`+text+`}`), &domain.Limit{}); err == nil {
			t.Errorf("a limit of %s is read", text)
		}
	}
}

// Guarantees that the nearest place wins, and that only null lifts a limit.
func TestEffective(t *testing.T) {
	t.Parallel()
	rate := func(name string, n int64) domain.Limit {
		return domain.Limit{Name: name, Type: domain.RateLimit, Limit: domain.Allow(n), Period: domain.PeriodDay}
	}
	lifted := func(name string) domain.Limit {
		return domain.Limit{Name: name, Type: domain.Quota, Limit: domain.Unlimited()}
	}
	project := []domain.Limit{rate("all", 1), rate("some", 1), rate("two", 1), {Name: "money", Type: domain.Credits}, rate("zero", 1)}
	plan := []domain.Limit{rate("some", 2), lifted("two"), {Name: "volume", Type: domain.Quota, Limit: domain.Allow(2)}, rate("zero", 2)}
	key := []domain.Limit{rate("some", 3), rate("own", 3), rate("zero", 0), lifted("nothing")}

	var got []string
	for _, l := range domain.Effective(project, plan, key) {
		got = append(got, fmt.Sprint(l.Name, " ", l.Source))
	}
	want := []string{"all project", "own key", "some key", "zero key", "volume plan", "money project"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	moneyless := domain.Effective(project, nil, []domain.Limit{lifted("money")})
	if slices.ContainsFunc(moneyless, func(l domain.EffectiveLimit) bool { return l.Type == domain.Credits }) {
		t.Error("credits that the key lifts hold")
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	limit := domain.Limit{Name: "tokens", Type: domain.Credits}.WithDefaults()
	for want, cost := range map[int64]domain.Cost{1: nil, 0: {"tokens": 0}, 7: {"tokens": 7, "other": 3}} {
		if got := cost.Of(limit); got != want {
			t.Errorf("%v: got %d, want %d", cost, got, want)
		}
	}
	many := domain.Cost{}
	for i := range 17 {
		many[fmt.Sprint("a", i)] = 1
	}
	for want, cost := range map[string]domain.Cost{
		"[]": {"tokens": domain.MaxUnits, "unknown": 0}, "[/cost]": many, "[/cost/a]": {"a": -1}, "[/cost/b]": {"b": domain.MaxUnits + 1},
	} {
		if got := fmt.Sprint(fields(t, cost.Validate())); got != want {
			t.Errorf("%v: got %s, want %s", cost, got, want)
		}
	}
	wrong := domain.Cost{"a/b": 1, "c/d": 1, "z": -1, "b": -1, "a": -1, "": 1}
	if got := fmt.Sprint(fields(t, wrong.Validate())); got != "[/cost/a /cost/b /cost/z /cost]" {
		t.Errorf("names that no limit can have, and costs below zero: got %s, want each once and in order", got)
	}
}

// FuzzLimits looks for a limit that is taken and cannot be used: a zone that does
// not load, a rate that admits nothing of its burst, a form that reads differently or
// that encoders of JSON do not agree about, because it has something to escape.
func FuzzLimits(f *testing.F) {
	f.Add(`{"name":"a","type":"rate","limit":5,"period":"day"}`)
	f.Add(`{"name":"a","type":"credits","refill":{"amount":5,"period":"week","maximum":9},"time_zone":"Europe/Berlin"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var l domain.Limit
		if json.Unmarshal([]byte(text), &l) != nil || limitsOfPlan(l) != nil {
			return
		}
		l = l.WithDefaults()
		if err := limitsOfPlan(l); err != nil {
			t.Fatalf("with its defaults: %v", err)
		}
		if _, err := l.Zone(); l.TimeZone != "" && err != nil {
			t.Error(err)
		}
		if units, limited := l.Limit.Units(); limited && units > 0 && l.Type == domain.RateLimit {
			if _, ok := l.Rate().Take(0, 1<<60, *l.Burst); !ok {
				t.Error("after a rest the burst is refused")
			}
		}
		written, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, parseLimit(t, string(written))); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
		if strings.Contains(string(written), `\`) {
			t.Errorf("%s has an escape", written)
		}
	})
}
