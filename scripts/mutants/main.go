// Command mutants measures what the tests would notice. It changes one place of
// the code at a time (a mutant), runs the tests of the package, and counts how
// many changes make a test fail (are killed). Those that survive get a second
// chance before the whole suite.
//
//	go run ./scripts/mutants -n 300 -seed 7
//
// Mutants are chosen at random. The seed is printed before the run, so that a run
// can be repeated. No file is changed: the compiler reads the changed source as an
// overlay. A mutant that changes no behavior is explained in equivalent.txt and does
// not count.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Goals, in percent: mutants killed by any test, and mutants that change nothing.
// The goal for the tests of a mutant's own package is a flag, because a small sample
// can miss it by chance.
const (
	goalAll        = 97
	mostEquivalent = 5
)

type options struct {
	packages []string
	n        int
	seed     uint64
	workers  int
	suite    bool
	goal     int
	limit    time.Duration
	out      string
}

func main() {
	var o options
	packages := flag.String("packages", "api/permission,domain,service,repository,api", "where to change the code, separated by commas")
	flag.IntVar(&o.n, "n", 300, "how many mutants to draw")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().Unix()), "the seed they are drawn with")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "mutants tested at the same time")
	flag.BoolVar(&o.suite, "suite", true, "run the whole suite for mutants that their own package lets live")
	flag.IntVar(&o.goal, "goal", 90, "how many percent their own package has to kill")
	flag.DurationVar(&o.limit, "limit", 2*time.Hour, "when to stop; what has not run by then is not counted")
	flag.StringVar(&o.out, "out", "", "a Markdown file for the result")
	flag.Parse()
	o.packages = strings.Split(*packages, ",")
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	began := time.Now()
	fmt.Printf("seed %d: %d mutants of %s\n", o.seed, o.n, strings.Join(o.packages, ", "))
	all, err := mutants(o.packages)
	if err != nil {
		return err
	}
	explained, err := readExplained("scripts/mutants/equivalent.txt")
	if err != nil {
		return err
	}
	rand.New(rand.NewPCG(o.seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	results := test(ctx, o, all, explained)
	report := tell(o, results, time.Since(began))
	fmt.Print(report.text)
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(report.text), 0o644); err != nil {
			return err
		}
	}
	return report.err
}

// outcome is the result of a mutant.
type outcome string

const (
	killed     outcome = "killed"          // by the tests of its package
	killedLate outcome = "killed by suite" // by another package's
	survived   outcome = "survived"
	equivalent outcome = "equivalent"
	invalid    outcome = "does not compile"
	unfinished outcome = "unfinished"
)

type result struct {
	mutant
	outcome outcome
}

// test runs mutants until n of them have compiled.
func test(ctx context.Context, o options, all []mutant, explained map[string]bool) []result {
	var (
		mu      sync.Mutex
		next    int
		results []result
		workers sync.WaitGroup
	)
	// take returns the next mutant while results are missing.
	valid, busy := 0, 0
	done := sync.NewCond(&mu)
	take := func() (mutant, bool) {
		mu.Lock()
		defer mu.Unlock()
		for valid+busy >= o.n && busy > 0 && valid < o.n {
			done.Wait()
		}
		if valid >= o.n || next >= len(all) || ctx.Err() != nil {
			return mutant{}, false
		}
		next++
		busy++
		return all[next-1], true
	}
	for range o.workers {
		workers.Go(func() {
			for m, ok := take(); ok; m, ok = take() {
				r := result{m, try(ctx, o, m, explained)}
				mu.Lock()
				busy--
				if r.outcome != invalid && r.outcome != unfinished {
					valid++
					results = append(results, r)
					fmt.Printf("%3d %-16s %s\n", valid, r.outcome, r.mutant)
				}
				done.Broadcast()
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return results
}

// try runs the tests for one mutant.
func try(ctx context.Context, o options, m mutant, explained map[string]bool) outcome {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return unfinished
	}
	defer os.RemoveAll(dir)
	overlay, err := m.write(dir)
	if err != nil {
		return invalid
	}
	out, err := exec.CommandContext(ctx, "go", "vet", "-overlay", overlay, "./"+m.pkg).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "vet:") {
		return unlessLate(ctx, invalid)
	}
	if explained[m.key()] {
		return equivalent
	}
	if !passes(ctx, overlay, "./"+m.pkg) {
		return unlessLate(ctx, killed)
	}
	if !o.suite {
		return survived
	}
	// Packages that use most of the others come first: they kill most survivors.
	for _, rest := range [][]string{{"./api"}, {"./service/...", "./repository/..."}, {"./console", "./client", "./cmd/...", "."}} {
		if !passes(ctx, overlay, rest...) {
			return unlessLate(ctx, killedLate)
		}
	}
	return unlessLate(ctx, survived)
}

// unlessLate returns o, unless the time ran out, which may have caused the failure.
func unlessLate(ctx context.Context, o outcome) outcome {
	if ctx.Err() != nil {
		return unfinished
	}
	return o
}

// passes reports whether the tests pass. A test that hangs does not pass.
func passes(ctx context.Context, overlay string, packages ...string) bool {
	args := append([]string{"test", "-overlay", overlay, "-failfast", "-count=1", "-timeout=5m"}, packages...)
	return exec.CommandContext(ctx, "go", args...).Run() == nil
}

// readExplained reads the mutants that are known to change nothing. A line has the
// place as report prints it, a tab and the reason.
func readExplained(path string) (map[string]bool, error) {
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		return nil, err
	}
	explained := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, reason, ok := strings.Cut(line, "\t")
		if !ok || reason == "" {
			return nil, fmt.Errorf("%s: %q has no reason", path, line)
		}
		explained[key] = true
	}
	return explained, nil
}

type report struct {
	text string
	err  error
}

// tell writes the score of each package, the survivors, and whether the goals are
// reached.
func tell(o options, results []result, took time.Duration) report {
	var b strings.Builder
	commit, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	fmt.Fprintf(&b, "# Mutants\n\nCommit %s, seed %d, %d cores, %s, %s.\n\n", strings.TrimSpace(string(commit)), o.seed,
		runtime.NumCPU(), runtime.Version(), took.Round(time.Second))
	b.WriteString("| package | mutants | killed by its own tests | killed by any | survived | equivalent |\n|---|---|---|---|---|---|\n")
	count := func(pkg string, kinds ...outcome) (n int) {
		for _, r := range results {
			if (pkg == "" || r.pkg == pkg) && slices.Contains(kinds, r.outcome) {
				n++
			}
		}
		return n
	}
	for _, pkg := range append(slices.Clone(o.packages), "") {
		own, late, lived, same := count(pkg, killed), count(pkg, killedLate), count(pkg, survived), count(pkg, equivalent)
		name := pkg
		if pkg == "" {
			name = "all"
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %d | %d |\n", name, own+late+lived+same,
			percent(own, own+late+lived), percent(own+late, own+late+lived), lived, same)
	}
	b.WriteString("\n")
	for _, r := range results {
		if r.outcome == survived || r.outcome == equivalent || r.outcome == killedLate {
			fmt.Fprintf(&b, "- %s: %s\n", r.outcome, r.mutant)
		}
	}
	own, late, lived, same := count("", killed), count("", killedLate), count("", survived), count("", equivalent)
	n := own + late + lived
	var err error
	switch {
	case n == 0:
		err = errors.New("no mutant was tested")
	case own*100 < o.goal*n:
		err = fmt.Errorf("%s killed by their own package; the goal is %d %%", percent(own, n), o.goal)
	case o.suite && (own+late)*100 < goalAll*n:
		err = fmt.Errorf("%s killed by any test; the goal is %d %%", percent(own+late, n), goalAll)
	case same*100 > mostEquivalent*(n+same):
		err = fmt.Errorf("%d of %d are explained as equivalent; at most %d %% may be", same, n+same, mostEquivalent)
	}
	return report{b.String(), err}
}

func percent(part, whole int) string {
	if whole == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
