package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// runner tests mutants.
type runner struct {
	o         options
	explained map[string]bool
	suites    map[string]suite // by package
	unused    []string         // tests that fail by themselves
	env       []string         // of the tests
	main      program          // with all mutants inside of functions
	compiled  map[int]bool     // which of them are in it

	mu    sync.Mutex
	sound map[string]bool // whether a test passes in main without a mutant
}

// outcome is the result of a mutant.
type outcome string

const (
	killed     outcome = "killed"          // by the tests of its package
	killedLate outcome = "killed by suite" // by another package's
	survived   outcome = "survived"
	equivalent outcome = "equivalent"
	invalid    outcome = "does not compile"
)

type result struct {
	mutant
	outcome outcome
	by      string // the test that failed, or what is to say otherwise
}

// try runs the tests for one mutant: first those of its own package.
func (r *runner) try(ctx context.Context, id int, m mutant) result {
	p := r.main
	if m.in.name == "" {
		dir, err := os.MkdirTemp(r.main.dir, "alone")
		if err != nil {
			return result{m, invalid, err.Error()}
		}
		defer os.RemoveAll(dir)
		if p, err = alone(dir, m); err != nil {
			return result{m, invalid, err.Error()}
		}
		if _, err = p.tests(ctx, m.pkg); err != nil {
			return result{m, invalid, err.Error()}
		}
	} else if !r.compiled[id] {
		return result{m, invalid, ""}
	}
	if r.explained[m.key] {
		return result{m, equivalent, ""}
	}
	tests := r.affordable(r.suites[m.pkg].covering(m))
	if by := r.kills(ctx, p, m.pkg, id, tests); by != "" {
		return result{m, killed, by}
	}
	if r.o.suite {
		for _, pkg := range []string{"api", "service", "repository", "domain", "api/permission"} {
			if pkg == m.pkg {
				continue
			}
			if by := r.kills(ctx, p, pkg, id, r.affordable(r.suites[pkg].covering(m))); by != "" {
				return result{m, killedLate, pkg + " " + by}
			}
		}
		if by := r.rest(ctx, p, id); by != "" {
			return result{m, killedLate, by}
		}
	}
	return result{m, survived, fmt.Sprintf("%d tests of its package run it", len(tests))}
}

// affordable returns the fastest of the tests, which are in that order, that fit into
// the budget.
func (r *runner) affordable(tests []test) []test {
	var took time.Duration
	for i, t := range tests {
		if took += t.took; i > 0 && r.o.budget > 0 && took > r.o.budget {
			return tests[:i]
		}
	}
	return tests
}

// kills returns a test that fails for a mutant, or "". It begins with the fastest
// tests. A test counts if it fails a second time, by itself, and passes without the
// mutant, and a crash if it comes again, because on a busy machine either can happen
// by chance.
func (r *runner) kills(ctx context.Context, p program, pkg string, id int, tests []test) string {
	if len(tests) == 0 {
		return ""
	}
	binary, err := p.tests(ctx, pkg)
	if err != nil {
		return "" // it has nothing to do with the mutant's package
	}
	for _, group := range groups(tests) {
		for len(group) > 0 {
			name := run(ctx, binary, pkg, id, group, r.env)
			if name == "" {
				break
			}
			at := slices.IndexFunc(group, func(t test) bool { return t.name == name })
			if at < 0 && run(ctx, binary, pkg, id, group, r.env) == name {
				return name // it crashes with the mutant each time
			}
			if at < 0 {
				fmt.Printf("    %s of %s by chance\n", name, pkg)
				break
			}
			if run(ctx, binary, pkg, id, group[at:at+1], r.env) != "" && r.passes(ctx, pkg, group[at]) {
				return name
			}
			fmt.Printf("    %s of %s failed by chance\n", name, pkg)
			group = slices.Delete(group, at, at+1)
		}
	}
	return ""
}

// passes reports whether a test passes without a mutant.
func (r *runner) passes(ctx context.Context, pkg string, t test) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sound, known := r.sound[pkg+" "+t.name]
	if !known {
		binary, err := r.main.tests(ctx, pkg)
		sound = err == nil && run(ctx, binary, pkg, -1, []test{t}, r.env) == ""
		r.sound[pkg+" "+t.name] = sound
	}
	return sound
}

// groups divides tests by the time that they take: the first few kill most mutants.
func groups(tests []test) [][]test {
	var divided [][]test
	budget, took := 5*time.Second, time.Duration(0)
	begin := 0
	for i, t := range tests {
		if took += t.took; took > budget && i > begin {
			divided = append(divided, slices.Clone(tests[begin:i]))
			begin, took, budget = i, t.took, 5*budget
		}
	}
	return append(divided, slices.Clone(tests[begin:]))
}

// rest runs the tests of the packages above those that are measured. They count if
// they fail twice.
func (r *runner) rest(ctx context.Context, p program, id int) string {
	for _, pkg := range []string{"./console", "./client", "./cmd/..."} {
		fails := func() bool {
			cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", allErrors, "-overlay", p.overlay, "-failfast", "-count=1",
				"-timeout=10m", pkg)
			cmd.Env = append(append(os.Environ(), r.env...), fmt.Sprintf("%s=%d", chosen, id+1))
			return cmd.Run() != nil
		}
		if first, again := fails(), fails; first && again() {
			return pkg
		}
	}
	return ""
}
