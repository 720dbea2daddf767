package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed mutants.json
var mutantsFile []byte

// mutant is an SDK that breaks one of the ten rules of docs/local.md, and the case that must
// notice.
type mutant struct {
	SDK  string `json:"sdk"`
	Rule int    `json:"rule"`
	It   string `json:"it"`
	File string `json:"file"`
	Old  string `json:"old"`
	New  string `json:"new"`
	Case string `json:"case"`
}

// breakEach plays the cases of mutants with copies of the SDKs in the current folder, the
// repository, and returns how many mutants were not noticed.
func breakEach(sdk string, report io.Writer) (survived int, err error) {
	var all []mutant
	if err := json.Unmarshal(mutantsFile, &all); err != nil {
		return 0, err
	}
	for _, m := range all {
		if m.SDK != sdk {
			continue
		}
		noticed, err := m.play()
		if err != nil {
			return survived, fmt.Errorf("%s, rule %d: %w", m.SDK, m.Rule, err)
		}
		verdict := "noticed by"
		if !noticed {
			verdict = "NOT NOTICED by"
			survived++
		}
		fmt.Fprintf(report, "%-6s rule %-2d %s: %s %q\n", m.SDK, m.Rule, m.It, verdict, strings.Trim(m.Case, "^$"))
	}
	return survived, nil
}

// play reports whether the case fails with the mutant.
func (m mutant) play() (noticed bool, err error) {
	text, err := os.ReadFile(m.File)
	if err != nil {
		return false, err
	}
	if strings.Count(string(text), m.Old) != 1 {
		return false, fmt.Errorf("%s does not have this once: %s", m.File, m.Old)
	}
	text = []byte(strings.Replace(string(text), m.Old, m.New, 1))
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	cases, err := readCases(m.Case, false)
	if err != nil || len(cases) != 1 {
		return false, fmt.Errorf("got %d cases, want one: %w", len(cases), err)
	}
	command, err := m.build(dir, text)
	if err != nil {
		return false, err
	}
	failed := playAll(cases, command, 1, false)
	return len(failed) == 1 && failed[0].name == cases[0].Name, nil
}

// build puts the mutant into a folder, and returns the command that starts its subject.
func (m mutant) build(dir string, text []byte) (command []string, err error) {
	if m.SDK == "go" {
		changed, overlay, binary := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "subject")
		original, err := filepath.Abs(m.File)
		if err != nil {
			return nil, err
		}
		replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(changed, text, 0o600); err != nil {
			return nil, err
		}
		if err := os.WriteFile(overlay, replace, 0o600); err != nil {
			return nil, err
		}
		out, err := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "./client/verify/subject").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		return []string{binary}, nil
	}
	folder := filepath.Join("sdk", m.SDK)
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		return nil, err
	}
	file, err := filepath.Rel(folder, m.File)
	if err != nil {
		return nil, err
	}
	subject := map[string]string{"node": "subject.mjs", "python": "subject_core.py"}[m.SDK]
	return []string{m.SDK, filepath.Join(dir, subject)}, os.WriteFile(filepath.Join(dir, file), text, 0o600)
}
