package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// suite is the tests of a package, the fastest first, and what each of them runs. A
// test that takes long is in it as its subtests.
type suite struct {
	pkg    string
	tests  []test
	unused []string           // tests that fail by themselves
	blocks map[string][]block // by file
}

type test struct {
	name string
	took time.Duration // when it ran alone
}

// block is a piece of code between two places, and the tests that run it.
type block struct {
	from, to place
	tests    map[string]bool
}

// place is a line and a column.
type place [2]int

func (p place) before(q place) bool { return p[0] < q[0] || p[0] == q[0] && p[1] < q[1] }

// observe runs each test of a package by itself, and records what it runs. The
// profiles are kept under build/mutants for the next run, until a file of the measured
// packages changes. A profile that is out of date, because only the test changed, can
// make a mutant survive, but never kill it.
func observe(ctx context.Context, pkg string, env []string) (suite, error) {
	s := suite{pkg: pkg, blocks: map[string][]block{}}
	version, err := versionOf(measured)
	if err != nil {
		return s, err
	}
	dir, err := filepath.Abs(filepath.Join("build/mutants", version, strings.ReplaceAll(pkg, "/", "_")))
	if err != nil {
		return s, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return s, err
	}
	binary := filepath.Join(dir, "observed.test")
	compile := exec.CommandContext(ctx, "go", "test", "-c", "-covermode=set", "-coverpkg=./"+strings.Join(measured, ",./"), "-o", binary,
		"./"+pkg)
	if said, err := compile.CombinedOutput(); err != nil {
		return s, fmt.Errorf("compile the tests of %s: %w\n%s", pkg, err, said)
	}
	list := exec.CommandContext(ctx, binary, "-test.list=^(Test|Fuzz|Example)")
	list.Dir = pkg
	names, err := list.Output()
	if err != nil {
		return s, fmt.Errorf("list the tests of %s: %w", pkg, err)
	}
	in := observation{pkg: pkg, dir: dir, binary: binary, env: env}
	for name := range strings.FieldsSeq(string(names)) {
		profiles, err := in.profiles(ctx, name)
		if err != nil {
			fmt.Printf("%s of %s fails by itself and is not used: %v\n", name, pkg, err)
			s.unused = append(s.unused, name+" of "+pkg)
			continue
		}
		for _, p := range profiles {
			if err := s.read(p.test, p.path); err != nil {
				return s, err
			}
		}
	}
	slices.SortStableFunc(s.tests, func(a, b test) int { return int(a.took - b.took) })
	return s, nil
}

// versionOf returns a short hash over the production files of the packages.
func versionOf(packages []string) (string, error) {
	sum := sha256.New()
	for _, pkg := range packages {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%s %d\n%s", file, len(text), text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

func (s *suite) read(name, profile string) error {
	file, err := os.Open(profile)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	t := test{name: name}
	var mode string
	if _, err := fmt.Fscanf(in, "%d\n", &t.took); err != nil {
		return fmt.Errorf("%s: %w", profile, err)
	}
	if _, err := in.ReadString('\n'); err != nil { // the subtests
		return fmt.Errorf("%s: %w", profile, err)
	}
	if _, err := fmt.Fscanf(in, "mode: %s\n", &mode); err != nil {
		return fmt.Errorf("%s: %w", profile, err)
	}
	first := len(s.tests) == 0
	s.tests = append(s.tests, t)
	seen := map[string]int{} // blocks of each file
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		path, rest, _ := strings.Cut(strings.TrimPrefix(line, module+"/"), ":")
		if !first && strings.HasSuffix(rest, " 0\n") {
			seen[path]++
			continue
		}
		var b block
		var statements, count int
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.from[0], &b.from[1], &b.to[0], &b.to[1], &statements, &count); err != nil {
			return fmt.Errorf("%s: %q: %w", profile, line, err)
		}
		if first {
			b.tests = map[string]bool{}
			s.blocks[path] = append(s.blocks[path], b)
		}
		if at := seen[path]; at < len(s.blocks[path]) && count > 0 {
			s.blocks[path][at].tests[name] = true
		}
		seen[path]++
	}
}

// covering returns the tests that run the place of a mutant, the fastest first. Where
// no block has the place, as between the cases of a switch, it returns those that run
// anything of the function; outside of functions, all tests.
func (s suite) covering(m mutant) []test {
	if m.in.name == "" {
		return s.tests
	}
	at := place{m.line, m.col}
	names := map[string]bool{}
	inner := -1
	for i, b := range s.blocks[m.file] {
		if b.from[0] >= m.in.firstLine && b.to[0] <= m.in.endLine {
			for name := range b.tests {
				names[name] = true
			}
		}
		if !at.before(b.from) && at.before(b.to) && (inner < 0 || s.blocks[m.file][inner].from.before(b.from)) {
			inner = i
		}
	}
	if inner >= 0 {
		names = s.blocks[m.file][inner].tests
	}
	return slices.DeleteFunc(slices.Clone(s.tests), func(t test) bool { return !names[t.name] })
}
