package latchkey_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Guarantees that docs/parity.md claims nothing that is not tested: every line has a
// verdict and names tests that exist, and a line that differs has a reason.
func TestParityNamesTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/parity.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testFunctions(t)
	named := regexp.MustCompile("`([^`]+)`")
	lines := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], "---") || cells[3] == " verdict " {
			continue
		}
		lines++
		behaviour, verdict, why := cells[1], strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])
		if verdict != "same" && verdict != "better" && verdict != "different" || verdict == "different" && why == "" {
			t.Errorf("%s: the verdict is %q, because %q", behaviour, verdict, why)
		}
		names := named.FindAllStringSubmatch(cells[2], -1)
		if len(names) == 0 {
			t.Errorf("%s: no test is named", behaviour)
		}
		for _, name := range names {
			test, part, _ := strings.Cut(name[1], "/")
			if strings.HasPrefix(name[1], "cmd/latchkey.") { // the only package here with a slash in its name
				test, part = name[1], ""
			}
			body, exists := tests[test]
			if !exists {
				t.Errorf("%s: there is no test %s", behaviour, test)
			}
			if part = strings.ReplaceAll(part, "\x00", "|"); !strings.Contains(body, part) {
				t.Errorf("%s: %s has no part %q", behaviour, test, part)
			}
		}
	}
	if lines < 60 {
		t.Errorf("only %d lines were read", lines)
	}
}

// testFunctions returns the sources of all tests, fuzz tests and examples. The key
// is the last part of their directory (for commands, the whole path), a dot and
// their name. The source is the whole file, because tables are beside their tests.
func testFunctions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files, err := filepath.Glob("*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("*/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, below...) {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		pkg := filepath.ToSlash(filepath.Dir(name))
		if !strings.HasPrefix(pkg, "cmd/") {
			pkg = filepath.Base(pkg)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && regexp.MustCompile(`^(Test|Fuzz|Example)`).MatchString(f.Name.Name) {
				found[pkg+"."+f.Name.Name] = string(source)
			}
		}
	}
	return found
}
