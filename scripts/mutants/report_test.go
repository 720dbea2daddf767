package main

import (
	"strings"
	"testing"
	"time"
)

// resultsOf returns n results with an outcome.
func resultsOf(n int, is outcome) (all []result) {
	for range n {
		all = append(all, result{mutant: mutant{pkg: "domain"}, outcome: is})
	}
	return all
}

// Guarantees that a goal is only reached by all mutants that were asked for, with
// all tests: a run that was cut short, or that left tests out, proves nothing.
func TestGoalsNeedTheWholeMeasurement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		goal   int
		suite  bool
		killed int
		late   int
		lived  int
		same   int
		unused []string
		want   string // in the error; "" for none
	}{
		"all killed":                  {goal: 90, killed: 100},
		"as many as the goal":         {goal: 90, killed: 90, lived: 10},
		"one fewer than the goal":     {goal: 90, killed: 89, lived: 11, want: "the goal is 90 %"},
		"the suite has its own goal":  {goal: 90, suite: true, killed: 90, late: 6, lived: 4, want: "the goal is 97 %"},
		"the suite reaches it":        {goal: 90, suite: true, killed: 90, late: 7, lived: 3},
		"as many explained as may be": {goal: 90, killed: 95, same: 5},
		"too many explained":          {goal: 90, killed: 94, same: 6, want: "explained"},
		"one mutant was not tested":   {goal: 90, killed: 99, want: "99 of 100"},
		"none was":                    {goal: 90, want: "no mutant"},
		"a test was left out":         {goal: 90, killed: 100, unused: []string{"TestA of domain"}, want: "TestA of domain"},

		"no goal, half of them":    {killed: 20, lived: 30},
		"no goal, a test left out": {killed: 100, unused: []string{"TestA of domain"}},
		"no goal, none":            {want: "no mutant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := append(resultsOf(c.killed, killed), resultsOf(c.late, killedLate)...)
			results = append(append(results, resultsOf(c.lived, survived)...), resultsOf(c.same, equivalent)...)
			got := tell(options{packages: []string{"domain"}, n: 100, goal: c.goal, suite: c.suite}, results, c.unused, time.Minute)
			if (got.err == nil) != (c.want == "") || got.err != nil && !strings.Contains(got.err.Error(), c.want) {
				t.Errorf("got %v, want %q", got.err, c.want)
			}
			for _, name := range c.unused {
				if !strings.Contains(got.text, name) {
					t.Errorf("the report does not say that %s was left out:\n%s", name, got.text)
				}
			}
		})
	}
}
