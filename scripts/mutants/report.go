package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Goals, in percent: mutants killed by any test, and mutants that change nothing.
// The goal for the tests of a mutant's own package is a flag, because a small sample
// can miss it by chance.
const (
	goalAll        = 97
	mostEquivalent = 5
)

// readExplained reads the mutants that are known to change nothing. A line has the
// mutant as the report prints it, a tab and the reason.
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

// only returns the mutants with which a line of a file ends.
func only(all []mutant, path string) ([]mutant, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(text), "\n")
	return slices.DeleteFunc(all, func(m mutant) bool {
		return !slices.ContainsFunc(lines, func(line string) bool { return strings.HasSuffix(line, " "+m.key) })
	}), nil
}

type report struct {
	text string
	err  error
}

// tell writes the score of each package, the survivors, and whether the goals are
// reached. They are not by fewer mutants or tests than there are; without a goal,
// what was measured is only reported.
func tell(o options, results []result, unused []string, took time.Duration) report {
	var b strings.Builder
	commit, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	fmt.Fprintf(&b, "# Mutants\n\nCommit %s, seed %d, %d of %d mutants, %d cores, %s, %s.\n\n", strings.TrimSpace(string(commit)), o.seed,
		len(results), o.n, runtime.NumCPU(), runtime.Version(), took.Round(time.Second))
	if len(unused) > 0 {
		fmt.Fprintf(&b, "Not used, because they fail by themselves: %s.\n\n", strings.Join(unused, ", "))
	}
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
			fmt.Fprintf(&b, "- %s: %s\n", r.outcome, r.key)
		}
	}
	own, late, lived, same := count("", killed), count("", killedLate), count("", survived), count("", equivalent)
	n := own + late + lived
	var err error
	switch {
	case len(results) == 0:
		err = errors.New("no mutant was tested")
	case o.goal == 0:
	case len(unused) > 0:
		err = unusedError(unused)
	case len(results) < o.n:
		err = fmt.Errorf("%d of %d mutants were tested", len(results), o.n)
	case own*100 < o.goal*n:
		err = fmt.Errorf("%s killed by their own package; the goal is %d %%", percent(own, n), o.goal)
	case o.suite && (own+late)*100 < goalAll*n:
		err = fmt.Errorf("%s killed by any test; the goal is %d %%", percent(own+late, n), goalAll)
	case same*100 > mostEquivalent*(n+same):
		err = fmt.Errorf("%d of %d are explained as equivalent; at most %d %% may be", same, n+same, mostEquivalent)
	}
	return report{b.String(), err}
}

// unusedError refuses to judge without some of the tests.
func unusedError(unused []string) error {
	return fmt.Errorf("%s: fails by itself; fix it, or measure without it and without a goal (-goal 0)", strings.Join(unused, ", "))
}

func percent(part, whole int) string {
	if whole == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
