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
//
// To be fast, it compiles all mutants into one program, and for each mutant it runs
// only the tests that run the changed place (see suite.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/repository/storetest"
)

const module = "github.com/latchkey-dev/latchkey"

// measured lists the packages that are changed.
var measured = []string{"api/permission", "domain", "service", "repository", "api"}

type options struct {
	packages []string
	n        int
	seed     uint64
	workers  int
	suite    bool
	goal     int
	limit    time.Duration
	budget   time.Duration
	out      string
	again    string
}

func main() {
	var o options
	packages := flag.String("packages", strings.Join(measured, ","), "where to change the code, separated by commas")
	flag.IntVar(&o.n, "n", 300, "how many mutants to draw")
	flag.Uint64Var(&o.seed, "seed", uint64(rand.N(1_000_000)), "the seed they are drawn with")
	flag.IntVar(&o.workers, "workers", 1, "mutants tested at the same time; each test process uses all cores")
	flag.BoolVar(&o.suite, "suite", true, "run the whole suite for mutants that their own package lets live")
	flag.IntVar(&o.goal, "goal", 90, "how many percent their own package has to kill, with all tests and all mutants; 0 only reports")
	flag.DurationVar(&o.limit, "limit", 2*time.Hour, "when to stop; fewer mutants than asked for reach no goal")
	flag.DurationVar(&o.budget, "budget", 2*time.Minute,
		"how long the tests of a mutant may take, the fastest first; a slower one that would kill it is not run. 0: all")
	flag.StringVar(&o.out, "out", "", "a file for the result")
	flag.StringVar(&o.again, "again", "", "a file, such as an earlier result, with the mutants to test instead of drawing them")
	flag.Parse()
	o.packages = strings.Split(*packages, ",")
	if err := measure(o); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func measure(o options) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	fmt.Printf("seed %d: %d mutants of %s\n", o.seed, o.n, strings.Join(o.packages, ", "))
	all, err := mutants(o.packages, o.seed)
	if err != nil {
		return err
	}
	if o.again != "" {
		if all, err = only(all, o.again); err != nil {
			return err
		}
		o.n = len(all)
	}
	explained, err := readExplained("scripts/mutants/equivalent.txt")
	if err != nil {
		return err
	}
	drawn := all[:min(len(all), o.n+o.n/2+10)] // some do not compile
	r := runner{o: o, explained: explained, suites: map[string]suite{}, sound: map[string]bool{}}
	stop, err := r.prepare(ctx, drawn)
	if err != nil {
		return err
	}
	defer stop()
	report := tell(o, r.test(ctx, drawn), r.unused, time.Since(began))
	fmt.Print("\n", report.text)
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(report.text), 0o644); err != nil {
			return err
		}
	}
	return report.err
}

// prepare starts the database, records what each test runs, and compiles the mutants.
// Call stop in the end.
func (r *runner) prepare(ctx context.Context, drawn []mutant) (stop func(), err error) {
	env, stopDatabase, err := storetest.Share()
	if err != nil {
		return nil, err
	}
	r.env = []string{env}
	dir, err := os.MkdirTemp("", "mutants")
	stop = func() {
		stopDatabase()
		os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	packages := r.o.packages
	if r.o.suite {
		packages = measured
	}
	for _, pkg := range packages {
		if r.suites[pkg], err = observe(ctx, pkg, r.env); err != nil {
			return nil, err
		}
		fmt.Printf("%s has %d tests\n", pkg, len(r.suites[pkg].tests))
		r.unused = append(r.unused, r.suites[pkg].unused...)
	}
	if r.o.goal > 0 && len(r.unused) > 0 {
		return nil, unusedError(r.unused)
	}
	if r.main, r.compiled, err = compile(ctx, dir, drawn); err != nil {
		return nil, err
	}
	for _, pkg := range packages {
		if _, err = r.main.tests(ctx, pkg); err != nil {
			return nil, err
		}
	}
	return stop, nil
}

// test tests mutants until n of them have compiled.
func (r *runner) test(ctx context.Context, drawn []mutant) []result {
	var (
		mu      sync.Mutex
		results []result
	)
	for next := 0; len(results) < r.o.n && next < len(drawn) && ctx.Err() == nil; {
		last := min(len(drawn), next+r.o.n-len(results))
		ids := make(chan int)
		var workers sync.WaitGroup
		for range r.o.workers {
			workers.Go(func() {
				for id := range ids {
					began := time.Now()
					result := r.try(ctx, id, drawn[id])
					if result.outcome == invalid || ctx.Err() != nil {
						continue
					}
					mu.Lock()
					results = append(results, result)
					fmt.Printf("%3d %-15s %3.0f s [%s] line %d of %s\n", len(results), result.outcome, time.Since(began).Seconds(),
						result.by, result.line, result.key)
					mu.Unlock()
				}
			})
		}
		for ; next < last; next++ {
			ids <- next
		}
		close(ids)
		workers.Wait()
	}
	return results
}
