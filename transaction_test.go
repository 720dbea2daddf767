package latchkey_test

import (
	"go/ast"
	"go/types"
	"testing"

	"golang.org/x/tools/go/packages"
)

const repositoryPath = module + "/repository"

// Guarantees that code in a transaction uses only that transaction. A closure, or a
// function of the service, that gets a store as a parameter uses only that store: it
// names no other, and calls nothing that uses another, directly or indirectly. Code
// that bypassed the transaction would lose its guarantees. On SQLite it would also
// wait forever, because the transaction holds the only writer.
func TestOuterStoreIsNotUsedInTransactions(t *testing.T) {
	t.Parallel()
	all := load(t)
	own := keepersOfStores(all)
	for name, pkg := range all {
		if name == "repository" {
			continue // it is the store
		}
		for _, file := range pkg.Syntax {
			for node := range ast.Preorder(file) {
				body, given := givenStore(pkg, node)
				if given == nil {
					continue
				}
				for _, e := range otherStores(pkg, body, given) {
					t.Errorf("%s: another store than the one that was given", pkg.Fset.Position(e.Pos()))
				}
				for call := range within[*ast.CallExpr](body) {
					if f := callee(pkg, call); f != nil && own[f.FullName()] != "" {
						t.Errorf("%s: %s, which uses another store than the one that was given (%s)",
							pkg.Fset.Position(call.Pos()), f.Name(), own[f.FullName()])
					}
				}
			}
		}
	}
}

// givenStore returns the body of a function that has a store as a parameter,
// and that parameter. Declared functions count only in the service: elsewhere
// they set up the program, before any transaction.
func givenStore(pkg *packages.Package, node ast.Node) (*ast.BlockStmt, types.Object) {
	var signature *ast.FuncType
	var body *ast.BlockStmt
	switch fn := node.(type) {
	case *ast.FuncDecl:
		if pkg.PkgPath == module+"/service" {
			signature, body = fn.Type, fn.Body
		}
	case *ast.FuncLit:
		signature, body = fn.Type, fn.Body
	}
	if body == nil {
		return nil, nil
	}
	for _, field := range signature.Params.List {
		for _, name := range field.Names {
			if param := pkg.TypesInfo.Defs[name]; isStore(param.Type()) {
				return body, param
			}
		}
	}
	return nil, nil
}

// otherStores returns the expressions in body that are a store other than the given
// one. It skips inner functions that get a store of their own.
func otherStores(pkg *packages.Package, body ast.Node, given types.Object) (others []ast.Expr) {
	ast.Inspect(body, func(node ast.Node) bool {
		if _, nested := givenStore(pkg, node); nested != nil {
			return false
		}
		e, ok := node.(ast.Expr)
		if !ok {
			return true
		}
		if value, ok := pkg.TypesInfo.Types[e]; !ok || !value.IsValue() || !isStore(value.Type) {
			return true
		}
		if name, ok := e.(*ast.Ident); !ok || pkg.TypesInfo.Uses[name] != given {
			others = append(others, e)
		}
		return true
	})
	return others
}

func isStore(t types.Type) bool { return types.TypeString(t, nil) == "*"+repositoryPath+".Store" }

// keepersOfStores returns the functions that use a store that is not a parameter,
// and the functions that call them: by name, with the place of the use.
func keepersOfStores(all map[string]*packages.Package) map[string]string {
	keepers := map[string]string{}
	callers := map[string][]string{}
	for name, pkg := range all {
		if name == "repository" {
			continue
		}
		for _, fn := range functions(pkg) {
			self := pkg.TypesInfo.Defs[fn.Name].(*types.Func).FullName()
			_, given := givenStore(pkg, fn.FuncDecl)
			for _, e := range otherStores(pkg, fn.Body, given) {
				keepers[self] = pkg.Fset.Position(e.Pos()).String()
			}
			for call := range within[*ast.CallExpr](fn.Body) {
				if f := callee(pkg, call); f != nil {
					callers[f.FullName()] = append(callers[f.FullName()], self)
				}
			}
		}
	}
	var mark func(name string)
	mark = func(name string) {
		for _, caller := range callers[name] {
			if keepers[caller] == "" {
				keepers[caller] = keepers[name]
				mark(caller)
			}
		}
	}
	direct := make([]string, 0, len(keepers))
	for name := range keepers {
		direct = append(direct, name)
	}
	for _, name := range direct {
		mark(name)
	}
	return keepers
}

// Guarantees that the service owns the boundary: a transaction begins only in InTx.
func TestTransactionsBeginInInTx(t *testing.T) {
	t.Parallel()
	for name, pkg := range load(t) {
		for _, fn := range functions(pkg) {
			for call := range within[*ast.CallExpr](fn.Body) {
				f := callee(pkg, call)
				begins := isMethod(f, bunPath, "RunInTx") || isMethod(f, bunPath, "BeginTx") || isMethod(f, bunPath, "Begin") ||
					isMethod(f, "database/sql", "BeginTx") || isMethod(f, "database/sql", "Begin")
				if begins && (name != "repository" || fn.Name.Name != "InTx") {
					t.Errorf("%s: begins a transaction", pkg.Fset.Position(call.Pos()))
				}
			}
		}
	}
}
