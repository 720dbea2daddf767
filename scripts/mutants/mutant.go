package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mutant is one change of one file: bytes from start to end become text.
type mutant struct {
	pkg, file  string // as the module names them
	line       int
	start, end int
	source     []byte // of the file
	text       string
}

// String returns the place, the original text and the changed text.
func (m mutant) String() string {
	return fmt.Sprintf("%s:%d: %s  ->  %s", m.file, m.line, oneLine(string(m.source[m.start:m.end])), oneLine(m.text))
}

// key identifies the mutant without its line number, which other changes move: by
// the file, the whole line, and the change.
func (m mutant) key() string {
	from := bytes.LastIndexByte(m.source[:m.start], '\n') + 1
	line, _, _ := strings.Cut(string(m.source[from:]), "\n")
	return fmt.Sprintf("%s: %s: %s -> %s", m.file, strings.TrimSpace(line), oneLine(string(m.source[m.start:m.end])), oneLine(m.text))
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// write writes the changed file and its overlay into dir, and returns the path of
// the overlay.
func (m mutant) write(dir string) (string, error) {
	changed := string(m.source[:m.start]) + m.text + string(m.source[m.end:])
	path := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		return "", err
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: path}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, overlay, 0o600)
}

// mutants lists every mutant of the packages, without tests and generated files.
func mutants(packages []string) ([]mutant, error) {
	var all []mutant
	for _, pkg := range packages {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, ".gen.go") {
				continue
			}
			found, err := ofFile(pkg, filepath.ToSlash(file))
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

func ofFile(pkg, file string) ([]mutant, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []mutant
	for node := range ast.Preorder(tree) {
		for _, c := range changes(node, source, fset) {
			start, end := fset.Position(c.from).Offset, fset.Position(c.to).Offset
			all = append(all, mutant{
				pkg:    pkg,
				file:   file,
				line:   fset.Position(c.from).Line,
				start:  start,
				end:    end,
				source: source,
				text:   c.text,
			})
		}
	}
	return all, nil
}

// change is the new text between two positions.
type change struct {
	from, to token.Pos
	text     string
}

// swapped maps each operator to those that it is confused with.
var swapped = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND, token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.AND: token.OR, token.OR: token.AND, token.SHL: token.SHR, token.SHR: token.SHL,
}

// changes returns the mutants of one node.
func changes(node ast.Node, source []byte, fset *token.FileSet) []change {
	text := func(n ast.Node) string {
		return string(source[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset])
	}
	switch n := node.(type) {
	case *ast.BinaryExpr:
		if to, ok := swapped[n.Op]; ok {
			return []change{{n.OpPos, n.OpPos + token.Pos(len(n.Op.String())), to.String()}}
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			return []change{{n.OpPos, n.OpPos + 1, ""}}
		}
	case *ast.IfStmt:
		return []change{{n.Cond.Pos(), n.Cond.End(), "!(" + text(n.Cond) + ")"}}
	case *ast.BasicLit:
		if n.Kind == token.INT {
			return []change{{n.Pos(), n.End(), "(" + n.Value + " + 1)"}}
		}
	case *ast.Ident:
		if b, err := strconv.ParseBool(n.Name); err == nil && len(n.Name) > 1 {
			return []change{{n.Pos(), n.End(), strconv.FormatBool(!b)}}
		}
	case *ast.ExprStmt:
		return []change{{n.Pos(), n.End(), ""}}
	case *ast.DeferStmt:
		return []change{{n.Pos(), n.End(), ""}}
	case *ast.IncDecStmt:
		return []change{{n.Pos(), n.End(), ""}}
	case *ast.AssignStmt:
		if n.Tok == token.ASSIGN && len(n.Lhs) == len(n.Rhs) {
			return []change{{n.Pos(), n.End(), strings.Repeat("_, ", len(n.Rhs)-1) + "_ = " + text(n)[strings.Index(text(n), "=")+1:]}}
		}
	case *ast.ReturnStmt:
		if len(n.Results) > 0 {
			if last, ok := n.Results[len(n.Results)-1].(*ast.Ident); ok && last.Name == "err" {
				return []change{{last.Pos(), last.End(), "nil"}}
			}
		}
	}
	return nil
}
