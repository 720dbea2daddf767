package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// chosen is the environment variable that chooses a mutant of a compiled program.
const chosen = "MUTANT"

// program is the code with all mutants in it, so that they are compiled only once.
// A function with mutants begins with a copy of its body for each of them:
//
//	if mutant_ == 17 { return func() (int, error) { … }() }
//
// A mutant outside of functions, such as a changed constant, has a program of its own.
type program struct {
	dir     string // of the changed files and the compiled tests
	overlay string // for the compiler
}

// allErrors makes the compiler list every error, and not only the first ten.
const allErrors = "-gcflags=github.com/latchkey-dev/latchkey/...=-e"

// compile writes the program with the mutants and compiles its packages. It returns
// which of the mutants are in it: some changes do not compile.
func compile(ctx context.Context, dir string, all []mutant) (program, map[int]bool, error) {
	p := program{dir, filepath.Join(dir, "overlay.json")}
	in := map[int]bool{}
	packages := map[string]bool{}
	for id, m := range all {
		if m.in.name != "" {
			in[id], packages["./"+m.pkg] = true, true
		}
	}
	args := []string{"build", allErrors, "-overlay", p.overlay}
	for pkg := range packages {
		args = append(args, pkg)
	}
	for {
		places, err := p.write(all, in)
		if err != nil {
			return p, nil, err
		}
		said, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		if err == nil {
			return p, in, nil
		}
		before := len(in)
		for _, at := range position.FindAllStringSubmatch(string(said), -1) {
			line, _ := strconv.Atoi(at[2])
			for id, place := range places[filepath.Base(at[1])] {
				if place[0] <= line && line <= place[1] {
					delete(in, id)
				}
			}
		}
		if len(in) == before {
			return p, nil, fmt.Errorf("the mutants do not compile: %w\n%s", err, said)
		}
	}
}

var position = regexp.MustCompile(`(?m)^(\S+\.go):(\d+):`)

// write writes the changed files and the overlay. It returns on which lines of a
// changed file each mutant is.
func (p program) write(all []mutant, in map[int]bool) (map[string]map[int][2]int, error) {
	files, places := map[string][]int{}, map[string]map[int][2]int{}
	replace := map[string]string{}
	for id, m := range all {
		if in[id] {
			files[m.file] = append(files[m.file], id)
		}
	}
	for file, ids := range files {
		slices.SortStableFunc(ids, func(a, b int) int { return all[a].in.body - all[b].in.body })
		var text strings.Builder
		written, source := 0, string(all[ids[0]].source)
		at := map[int][2]int{}
		places[flat(file)] = at
		for _, id := range ids {
			m := all[id]
			text.WriteString(source[written:m.in.body])
			written = m.in.body
			from := 1 + strings.Count(text.String(), "\n")
			text.WriteString(m.branch(id))
			at[id] = [2]int{from, 1 + strings.Count(text.String(), "\n")}
			text.WriteString("\n")
		}
		text.WriteString(source[written:])
		if err := p.replace(replace, file, text.String()); err != nil {
			return nil, err
		}
		pkg := all[ids[0]].pkg
		choice := fmt.Sprintf("package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutant_, _ = strconv.Atoi(os.Getenv(%q))\n",
			path.Base(pkg), chosen)
		if err := p.replace(replace, pkg+"/mutant_.go", choice); err != nil {
			return nil, err
		}
	}
	return places, p.writeOverlay(replace)
}

// branch returns the copy of the function's body with the change. The ids that it
// compares with begin at 1.
func (m mutant) branch(id int) string {
	body := string(m.source[m.in.body:m.start]) + m.text + string(m.source[m.end:m.in.end])
	if m.in.results == "" {
		return fmt.Sprintf("\nif mutant_ == %d { func() {%s}(); return }", id+1, body)
	}
	return fmt.Sprintf("\nif mutant_ == %d { return func() %s {%s}() }", id+1, m.in.results, body)
}

// alone writes the program with one mutant only.
func alone(dir string, m mutant) (program, error) {
	p := program{dir, filepath.Join(dir, "overlay.json")}
	replace := map[string]string{}
	if err := p.replace(replace, m.file, string(m.source[:m.start])+m.text+string(m.source[m.end:])); err != nil {
		return p, err
	}
	return p, p.writeOverlay(replace)
}

// flat returns the name of a changed file, which the compiler's errors have.
func flat(file string) string { return strings.ReplaceAll(file, "/", "_") }

func (p program) replace(replace map[string]string, file, text string) error {
	original, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	replace[original] = filepath.Join(p.dir, flat(file))
	return os.WriteFile(replace[original], []byte(text), 0o600)
}

func (p program) writeOverlay(replace map[string]string) error {
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(p.overlay, overlay, 0o600)
}

// tests compiles the tests of a package, unless that is done, and returns the path of
// the program that runs them.
func (p program) tests(ctx context.Context, pkg string) (string, error) {
	binary := filepath.Join(p.dir, flat(pkg)+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", allErrors, "-overlay", p.overlay, "-o", binary, "./"+pkg)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile the tests of %s: %w\n%s", pkg, err, said)
	}
	return binary, nil
}
