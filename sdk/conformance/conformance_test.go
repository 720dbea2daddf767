package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Guarantees that the SDK for Go keeps every rule of docs/local.md. make test-sdk has the
// same cases for the other languages.
func TestGo(t *testing.T) {
	t.Parallel()
	cases, err := readCases("", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range playAll(cases, []string{build(t)}, 4, false) {
		t.Errorf("%s: %v", f.name, f.err)
	}
}

// build compiles the subject, with the race detector if the tests have it.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "subject")
	args := []string{"build", "-o", binary}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, "../../client/verify/subject")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// Guarantees that the suite notices what a case forbids: a subject that says nothing, one
// that ends, and an expectation that is not met.
func TestFailures(t *testing.T) {
	t.Parallel()
	if failed := playAll(nil, []string{"false"}, 1, false); len(failed) != 1 {
		t.Errorf("got %v, want one failure of a subject that ends", failed)
	}
	if failed := playAll(nil, nil, 1, false); len(failed) != 1 {
		t.Errorf("got %v, want one failure without a subject", failed)
	}
	zero := 0
	wrong := []scenario{{Name: "wrong", Steps: []step{{
		Send: &request{Key: "A"},
		Expect: &expectation{
			Status:  401,
			Code:    "key_revoked",
			Headers: map[string]string{"Retry-After": "1"},
			Asked:   &zero,
			IP:      "203.0.113.7",
		},
	}}}}
	failed := playAll(wrong, []string{build(t)}, 1, false)
	if len(failed) != 1 {
		t.Fatalf("got %v, want one failure", failed)
	}
	for _, want := range []string{"got 200, want 401", "key_revoked", "Retry-After", "asked 1 questions, want 0", "203.0.113.7"} {
		if !strings.Contains(failed[0].err.Error(), want) {
			t.Errorf("the failure does not say %q: %v", want, failed[0].err)
		}
	}
}

// Guarantees that each rule of docs/local.md has a mutant of each SDK, and that what it changes is
// in the code. make test-sdk shows that the cases notice.
func TestMutants(t *testing.T) {
	t.Parallel()
	var all []mutant
	if err := json.Unmarshal(mutantsFile, &all); err != nil {
		t.Fatal(err)
	}
	broken := map[string]map[int]bool{"go": {}, "node": {}, "python": {}}
	for _, m := range all {
		broken[m.SDK][m.Rule] = true
		text, err := os.ReadFile(filepath.Join("../..", m.File))
		if err != nil || strings.Count(string(text), m.Old) != 1 {
			t.Errorf("%s, rule %d: %s does not have this once: %s %v", m.SDK, m.Rule, m.File, m.Old, err)
		}
		if cases, err := readCases(m.Case, false); err != nil || len(cases) != 1 {
			t.Errorf("%s, rule %d: %d cases are named %s", m.SDK, m.Rule, len(cases), m.Case)
		}
	}
	for sdk, rules := range broken {
		if len(rules) != 10 {
			t.Errorf("%s: %d rules are broken, want 10", sdk, len(rules))
		}
	}
}

// Guarantees that no case is written with a word that the suite does not know, and that
// names are unique, since -run finds a case by its name.
func TestCases(t *testing.T) {
	t.Parallel()
	cases, err := readCases("", false)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] {
			t.Errorf("there are two cases %q", c.Name)
		}
		seen[c.Name] = true
	}
	django, err := readCases("", true)
	if err != nil || len(django) < 50 || len(django) >= len(cases) {
		t.Errorf("got %d cases for Django and %d in all: %v", len(django), len(cases), err)
	}
}
