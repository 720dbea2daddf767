package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Tests that take longer are divided into their subtests, if those are not too many.
const (
	longTest     = 3 * time.Second
	mostSubtests = 100
)

// observation is where the tests of a package are run to see what they run.
type observation struct {
	pkg, dir, binary string
	env              []string
}

// profile is what one test, or one subtest, runs.
type profile struct{ test, path string }

// profiles returns the profile of a test, or those of its subtests if it takes long
// and each of them passes by itself.
func (o observation) profiles(ctx context.Context, name string) ([]profile, error) {
	whole := o.profile(name)
	subtests, err := o.record(ctx, whole)
	if err != nil {
		return nil, err
	}
	var divided []profile
	for _, subtest := range subtests {
		part := o.profile(subtest)
		if _, err := o.record(ctx, part); err != nil {
			return []profile{whole}, nil //nolint:nilerr // it needs what runs before it
		}
		divided = append(divided, part)
	}
	if len(divided) > 1 {
		return divided, nil
	}
	return []profile{whole}, nil
}

func (o observation) profile(name string) profile {
	return profile{name, filepath.Join(o.dir, strings.ReplaceAll(name, "/", "+")+".cover")}
}

// record runs one test, unless it was run before, and writes its profile, with the
// time that it took and its subtests on the first two lines. It returns the subtests
// into which it is divided.
func (o observation) record(ctx context.Context, p profile) ([]string, error) {
	if known, err := os.ReadFile(p.path); err == nil {
		lines := strings.SplitN(string(known), "\n", 3)
		return strings.Fields(lines[1]), nil
	}
	run := exec.CommandContext(ctx, o.binary, "-test.run="+pattern([]test{{name: p.test}}), "-test.v", "-test.timeout=5m",
		"-test.coverprofile="+p.path+".new")
	run.Dir, run.Env = o.pkg, append(os.Environ(), o.env...)
	began := time.Now()
	said, err := run.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	took := time.Since(began)
	var passedHere []string
	for _, line := range passed.FindAllSubmatch(said, -1) {
		passedHere = append(passedHere, string(line[1]))
	}
	if !slices.Contains(passedHere, p.test) {
		return nil, errors.New("it was not run")
	}
	subtests := slices.DeleteFunc(passedHere, func(name string) bool {
		return name == p.test || slices.ContainsFunc(passedHere, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
	if took < longTest || len(subtests) > mostSubtests {
		subtests = nil
	}
	covered, err := os.ReadFile(p.path + ".new")
	if err != nil {
		return nil, err
	}
	defer os.Remove(p.path + ".new")
	return subtests, os.WriteFile(p.path, fmt.Appendf(nil, "%d\n%s\n%s", took, strings.Join(subtests, " "), covered), 0o600)
}

var (
	passed = regexp.MustCompile(`(?m)^ *--- PASS: (\S+)`)
	failed = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)
)

// pattern returns what -test.run takes for the tests.
func pattern(tests []test) string {
	patterns := make([]string, len(tests))
	for i, t := range tests {
		patterns[i] = "^" + strings.ReplaceAll(regexp.QuoteMeta(t.name), "/", "$/^") + "$"
	}
	return strings.Join(patterns, "|")
}

// run runs tests of a package against a mutant, and returns the name of one that
// fails, or "". A test that hangs, fails.
func run(ctx context.Context, binary, pkg string, id int, tests []test, env []string) string {
	limit := time.Minute
	for _, t := range tests {
		limit += 5 * t.took
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run="+pattern(tests), "-test.failfast", "-test.timeout="+limit.String())
	cmd.Dir, cmd.Env = pkg, append(append(os.Environ(), env...), fmt.Sprintf("%s=%d", chosen, id+1))
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	for _, line := range failed.FindAllSubmatch(said, -1) {
		if slices.ContainsFunc(tests, func(t test) bool { return bytes.Equal(line[1], []byte(t.name)) }) {
			return string(line[1])
		}
	}
	return "a crash"
}
