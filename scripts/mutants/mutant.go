package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change of one file: bytes from start to end become text.
type mutant struct {
	pkg, file  string // as the module names them
	line, col  int
	start, end int
	source     []byte // of the file
	text       string
	in         function // that has the change
	key        string
}

// function is a part of a file. A change outside of functions has none.
type function struct {
	name               string
	body, end          int    // offsets within the braces
	firstLine, endLine int    // of the body
	results            string // as the signature has them
}

// name identifies the mutant without its line number, which other changes move: by
// the file, the function, the whole line, and the change.
func (m mutant) name() string {
	from := bytes.LastIndexByte(m.source[:m.start], '\n') + 1
	line, _, _ := strings.Cut(string(m.source[from:]), "\n")
	return fmt.Sprintf("%s %s: %s: %s -> %s", m.file, m.in.name, oneLine(line), oneLine(string(m.source[m.start:m.end])), oneLine(m.text))
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// mutants lists every mutant of the packages, without tests and generated files, in
// an order that the seed determines. The order depends on nothing else but each
// mutant's key, so that the same seed draws nearly the same mutants after a change.
func mutants(packages []string, seed uint64) ([]mutant, error) {
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
	rank := func(m mutant) uint64 {
		sum := sha256.Sum256(fmt.Appendln(nil, seed, m.key))
		return binary.BigEndian.Uint64(sum[:])
	}
	slices.SortFunc(all, func(a, b mutant) int { return cmp.Compare(rank(a), rank(b)) })
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
	named := map[string]int{}
	for _, declaration := range tree.Decls {
		in := functionOf(declaration, source, fset)
		for node := range ast.Preorder(declaration) {
			for _, c := range changes(node, source, fset) {
				from, to := fset.Position(c.from), fset.Position(c.to)
				m := mutant{
					pkg:    pkg,
					file:   file,
					line:   from.Line,
					col:    from.Column,
					start:  from.Offset,
					end:    to.Offset,
					source: source,
					text:   c.text,
				}
				if in.body <= m.start && m.end <= in.end {
					m.in = in
				}
				m.key = m.name()
				if named[m.key]++; named[m.key] > 1 {
					m.key += fmt.Sprintf(" (%d)", named[m.key])
				}
				all = append(all, m)
			}
		}
	}
	return all, nil
}

func functionOf(d ast.Decl, source []byte, fset *token.FileSet) function {
	f, ok := d.(*ast.FuncDecl)
	if !ok || f.Body == nil {
		return function{}
	}
	in := function{
		name:      f.Name.Name,
		body:      fset.Position(f.Body.Lbrace).Offset + 1,
		end:       fset.Position(f.Body.Rbrace).Offset,
		firstLine: fset.Position(f.Body.Lbrace).Line,
		endLine:   fset.Position(f.Body.Rbrace).Line,
	}
	if r := f.Type.Results; r != nil {
		in.results = string(source[fset.Position(r.Pos()).Offset:fset.Position(r.End()).Offset])
	}
	return in
}

// change is the new text between two positions.
type change struct {
	from, to token.Pos
	text     string
}

// root returns the variable that a chain of calls of methods begins with, or "".
func root(e ast.Expr) string {
	for {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return ""
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		if variable, ok := method.X.(*ast.Ident); ok {
			return variable.Name
		}
		e = method.X
	}
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
		if b, ok := n.Cond.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
			return nil // the change of the operator is the same
		}
		if u, ok := n.Cond.(*ast.UnaryExpr); ok && u.Op == token.NOT {
			return nil // the same
		}
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
		if n.Tok == token.ASSIGN && len(n.Lhs) == 1 && root(n.Rhs[0]) == text(n.Lhs[0]) {
			// q = q.Where(…): builders also change themselves, so the call goes, too.
			return []change{{n.Pos(), n.End(), "_ = " + text(n.Lhs[0])}}
		}
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
