package latchkey_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/scanner"
	gotoken "go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// What the tree is measured by, so that it stays easy to read.
const (
	longestFile     = 350 // lines
	longestTestFile = 500
	longestLine     = 140 // columns; see mayBeWide
)

// longFile begins the sentence at the head of a file that may be longer.
const longFile = "// This file is long because "

// notOurs are folders and files that others wrote, or that record what once was.
var notOurs = []string{
	".git", "build", "bin", "node_modules", "contract/released", "contract/package-lock.json", "examples/typescript/package-lock.json",
	"docs/measured", "console/static/htmx.min.js", "api/reference/scalar.js.gz", "domain/passwords.txt", "domain/testdata", "CHANGELOG.md",
}

// files yields the text files of the tree that people write, by their path.
func files(t *testing.T, kinds ...string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch path = filepath.ToSlash(path); {
		case err != nil:
			return err
		case slices.Contains(notOurs, path) || entry.Name() == "node_modules":
			if entry.IsDir() {
				return filepath.SkipDir
			}
		case !entry.IsDir() && slices.Contains(kinds, filepath.Ext(path)) && !strings.HasSuffix(path, ".gen.go"):
			all[path], err = os.ReadFile(path) //nolint:gosec // a file of the tree, which no one swaps
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFilesAndLinesAreShort(t *testing.T) {
	t.Parallel()
	for path, text := range files(t, ".go") {
		longest := longestFile
		if isTest(path) {
			longest = longestTestFile
		}
		if n := bytes.Count(text, []byte("\n")); n > longest && !bytes.Contains(text, []byte("\n"+longFile)) {
			t.Errorf("%s has %d lines, and %d are the most: split it by trade", path, n, longest)
		}
		wide, number := mayBeWide(parse(t, path, text)), 0
		for line := range strings.Lines(string(text)) {
			number++
			line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), "\n")
			if utf8.RuneCountInString(line) > longestLine && !wide[number] && !strings.HasPrefix(line, "//go:") {
				t.Errorf("%s:%d is wider than %d columns", path, number, longestLine)
			}
		}
	}
}

// mayBeWide returns the lines of a file that may be wider: a row of a table, which is
// one element alone on its line and has the type of the table's elements, and a field
// with a tag.
func mayBeWide(set *gotoken.FileSet, file *ast.File) map[int]bool {
	line := func(p gotoken.Pos) int { return set.Position(p).Line }
	wide := map[int]bool{}
	for node := range ast.Preorder(file) {
		switch node := node.(type) {
		case *ast.Field:
			if node.Tag != nil {
				wide[line(node.Tag.Pos())] = true
			}
		case *ast.CompositeLit:
			others := map[int]int{line(node.Lbrace): 1, line(node.Rbrace): 1}
			for _, element := range node.Elts {
				others[line(element.Pos())]++
			}
			for _, element := range node.Elts {
				if at := line(element.Pos()); isRow(element) && others[at] == 1 && at == line(element.End()) {
					wide[at] = true
				}
			}
		}
	}
	return wide
}

// Guarantees that only rows and fields with tags may be wide, not several elements on a
// line, a literal with a type, or a call.
func TestWhatMayBeWide(t *testing.T) {
	t.Parallel()
	wide := mayBeWide(parse(t, "p.go", []byte(`package p
		type T struct {
			A string "wide"
			B string
		}
		var table = map[string][]T{
			"wide": {{"a", "b"}},
			"several": {}, "elements": {},
			"in": {
				T{"a", "b"},
			},
		}
		var call = f(T{},
			T{},
		)`)))
	if diff := cmp.Diff(map[int]bool{3: true, 7: true}, wide); diff != "" {
		t.Error(diff)
	}
}

// isRow reports whether an element of a literal is a literal without a type.
func isRow(element ast.Expr) bool {
	if pair, ok := element.(*ast.KeyValueExpr); ok {
		element = pair.Value
	}
	literal, ok := element.(*ast.CompositeLit)
	return ok && literal.Type == nil
}

// parse returns the syntax of a Go file.
func parse(t *testing.T, path string, text []byte) (*gotoken.FileSet, *ast.File) {
	t.Helper()
	set := gotoken.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, file
}

// mostFields is how many fields of a literal may share lines: with more, a forgotten
// one does not show in review.
const mostFields = 4

// A literal that maps one noun to another has one field a line. Rows of tables, whose
// type is that of the table, and tests are excused.
func TestLiteralsHaveOneFieldALine(t *testing.T) {
	t.Parallel()
	for path, text := range files(t, ".go") {
		if isTest(path) {
			continue
		}
		set, file := parse(t, path, text)
		for literal := range within[*ast.CompositeLit](file) {
			fields, lines := 0, map[int]bool{}
			for _, element := range literal.Elts {
				if pair, ok := element.(*ast.KeyValueExpr); ok && isIdent(pair.Key) {
					fields++
					lines[set.Position(pair.Pos()).Line] = true
				}
			}
			if literal.Type != nil && fields > mostFields && len(lines) < fields {
				t.Errorf("%s has %d fields on %d lines: write one a line", set.Position(literal.Pos()), fields, len(lines))
			}
		}
	}
}

func isIdent(e ast.Expr) bool {
	_, ok := e.(*ast.Ident)
	return ok
}

// isTest reports whether a file is only for tests.
func isTest(path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "repository/storetest/") ||
		strings.HasPrefix(path, "service/servicetest/")
}

// retired are words and phrases that plain English does without: each was once
// used here for something that has a common word. CONTRIBUTING.md says what to
// write instead.
var retired = regexp.MustCompile(`(?i)\b(mend(s|ed|ing)?|knock(s|ed|ing)?|blanks?|rivals?|mails|told|for who|stands|goes on|of ours|` +
	`in vain|looks? over|looked over|but for|seldom|meanwhile|at once|somebody|nobody|whoever)\b`)

// No sentence that people read uses a retired word: comments and texts of the
// code, pages, templates, the contract, scripts. Migrations stay as they were released.
func TestRetiredWordsStayOut(t *testing.T) {
	t.Parallel()
	for path, text := range files(t, ".go", ".mod", ".txtar", ".md", ".yaml", ".yml", ".toml", ".html", ".jinja", ".css", ".js", ".ts",
		".java", ".py", ".sh", ".service", ".socket", "") {
		switch {
		case path == "house_test.go" || path == "CONTRIBUTING.md": // they name them
			continue
		case !utf8.Valid(text): // a program that was built here
			continue
		case strings.HasSuffix(path, ".go"):
			text = prose(text)
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			if word := retired.FindString(line); word != "" {
				t.Errorf("%s:%d: %q is retired: %s", path, number, word, strings.TrimSpace(line))
			}
		}
	}
}

// retiredNames are words that identifiers and names of files do without, because
// the thing has one other name in every layer. CONTRIBUTING.md says which.
var retiredNames = regexp.MustCompile(`(?i)(authenticat|examine|recogni[sz]e|.lookups?$|projectbody|^changes_|ownchanges|changessofar|` +
	`changeschannel|changeskept|changerow)`)

// otherNames contain such a word for another reason: codes of the contract, a
// header, and what holds the look-up queries.
var otherNames = []string{
	"CodeUnauthenticated", "CodeReauthenticationRequired", "unauthenticated", "HeaderWWWAuthenticate", "newLookup", "newLookups",
}

// An identifier or a file has the one word for its thing.
func TestRetiredNamesStayOut(t *testing.T) {
	t.Parallel()
	for path, text := range files(t, ".go") {
		if word := retiredNames.FindString(strings.TrimSuffix(filepath.Base(path), ".go")); word != "" {
			t.Errorf("the name of %s has the retired word %q", path, word)
		}
		for _, token := range scan(text) {
			if token.kind != gotoken.IDENT || slices.Contains(otherNames, token.text) {
				continue
			}
			if word := retiredNames.FindString(token.text); word != "" {
				t.Errorf("%s:%d: %s has the retired word %q", path, 1+bytes.Count(text[:token.at], []byte("\n")), token.text, word)
			}
		}
	}
}

// lexeme is a token of Go code.
type lexeme struct {
	at   int
	kind gotoken.Token
	text string
}

// scan returns the tokens of a Go file, comments included.
func scan(source []byte) (found []lexeme) {
	var s scanner.Scanner
	set := gotoken.NewFileSet()
	file := set.AddFile("", set.Base(), len(source))
	s.Init(file, source, nil, scanner.ScanComments)
	for {
		pos, kind, text := s.Scan()
		if kind == gotoken.EOF {
			return found
		}
		found = append(found, lexeme{file.Offset(pos), kind, text})
	}
}

// prose keeps the comments and texts of a Go file and replaces everything else by
// spaces, so that names may be what they are.
func prose(source []byte) []byte {
	out := bytes.Repeat([]byte(" "), len(source))
	for i, c := range source {
		if c == '\n' {
			out[i] = c
		}
	}
	for _, l := range scan(source) {
		if l.kind == gotoken.COMMENT || l.kind == gotoken.STRING {
			copy(out[l.at:], l.text)
		}
	}
	return out
}

// A hook ends the context of a statement when it has been run, so what it answers is
// scanned in the same call: rows that are read afterwards break off now and then. The
// tables of Django are read without that hook.
func TestStatementsAreScannedWhenTheyAreRun(t *testing.T) {
	t.Parallel()
	for path, text := range files(t, ".go") {
		if strings.HasPrefix(path, "repository/") && path != "repository/django.go" && bytes.Contains(text, []byte(".Rows(ctx)")) {
			t.Errorf("%s reads rows after their statement: use Scan", path)
		}
	}
}
