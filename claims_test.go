package latchkey_test

import (
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// The claims that ARCHITECTURE.md makes about the whole program, each with its test.
// The one about imports is in arch_test.go, the one about tenants in tenancy_test.go.

// Guarantees that api/problem is the one place where an error of the domain meets an
// HTTP status: nowhere else does a table, a case or a condition name both.
func TestErrorsMeetStatusesInOnePlace(t *testing.T) {
	t.Parallel()
	for name, pkg := range load(t) {
		if name == "api/problem" {
			continue
		}
		for _, file := range pkg.Syntax {
			for node := range ast.Preorder(file) {
				switch node.(type) {
				case *ast.KeyValueExpr, *ast.CaseClause, *ast.IfStmt, *ast.ReturnStmt:
					if meets(pkg, node) {
						t.Errorf("%s: an error meets a status here: let api/problem say it", pkg.Fset.Position(node.Pos()))
					}
				}
			}
		}
	}
}

// meets reports whether a node names a code of the domain and the status of an error.
func meets(pkg *packages.Package, node ast.Node) bool {
	var code, status bool
	for id := range within[*ast.Ident](node) {
		c, ok := pkg.TypesInfo.Uses[id].(*types.Const)
		if !ok {
			continue
		}
		switch {
		case c.Type().String() == module+"/domain.Code":
			code = true
		case c.Pkg() != nil && c.Pkg().Path() == "net/http" && strings.HasPrefix(c.Name(), "Status"):
			n, _ := constant.Int64Val(c.Val())
			status = status || n >= http.StatusBadRequest
		}
	}
	return code && status
}

// given are the fields with which the command hands a part to service.
var given = []string{"service.Options.Store"}

// Guarantees that what service hands out is its own or the domain's: no result, no
// exported field and no variable has a type of the repository, which the layers above
// service may not import.
func TestServiceHidesTheRepository(t *testing.T) {
	t.Parallel()
	for name, pkg := range load(t) {
		if layer, _, _ := strings.Cut(name, "/"); layer != "service" || name == "service/servicetest" {
			continue
		}
		scope := pkg.Types.Scope()
		for _, object := range scope.Names() {
			for member, shown := range shownBy(scope.Lookup(object)) {
				if at := pkg.Types.Name() + "." + member; ofRepository(shown) && !slices.Contains(given, at) {
					t.Errorf("%s shows the type %s of the repository", at, shown)
				}
			}
		}
	}
}

// shownBy yields the types of what callers from other packages get from an object:
// results of functions, fields and methods of types.
func shownBy(object types.Object) iter.Seq2[string, types.Type] {
	return func(yield func(string, types.Type) bool) {
		if !object.Exported() {
			return
		}
		named, ok := object.Type().(*types.Named)
		if _, isType := object.(*types.TypeName); !isType || !ok {
			yield(object.Name(), object.Type())
			return
		}
		if s, ok := named.Underlying().(*types.Struct); ok {
			for field := range s.Fields() {
				if field.Exported() && !yield(object.Name()+"."+field.Name(), field.Type()) {
					return
				}
			}
		} else if !yield(object.Name(), named.Underlying()) {
			return
		}
		for method := range named.Methods() {
			if method.Exported() && !yield(object.Name()+"."+method.Name(), method.Type()) {
				return
			}
		}
	}
}

// ofRepository reports whether a type is the repository's or made of such. What a
// function takes is not asked: the command may hand over a store.
func ofRepository(t types.Type) bool {
	switch t := t.(type) {
	case *types.Named:
		return t.Obj().Pkg() != nil && t.Obj().Pkg().Path() == module+"/repository" ||
			slices.ContainsFunc(slices.Collect(t.TypeArgs().Types()), ofRepository)
	case *types.Alias:
		return ofRepository(types.Unalias(t))
	case *types.Struct: // without a name: its fields are shown with it
		return slices.ContainsFunc(slices.Collect(t.Fields()), func(f *types.Var) bool { return f.Exported() && ofRepository(f.Type()) })
	case *types.Interface:
		return slices.ContainsFunc(slices.Collect(t.Methods()), func(f *types.Func) bool { return ofRepository(f.Type()) })
	case *types.Signature:
		return slices.ContainsFunc(slices.Collect(t.Results().Variables()), func(v *types.Var) bool { return ofRepository(v.Type()) })
	case *types.Map:
		return ofRepository(t.Key()) || ofRepository(t.Elem())
	case interface{ Elem() types.Type }: // a pointer, a slice, an array, a channel
		return ofRepository(t.Elem())
	}
	return false
}

// Guarantees that a type of the repository is found in every form in which it can be
// handed out.
func TestTypesOfTheRepositoryAreFound(t *testing.T) {
	t.Parallel()
	const source = `package p
		import ("iter"; "` + module + `/repository")
		type name = repository.Store
		var (
			Shown1 name
			Shown2 map[string][]*repository.Store
			Shown3 struct{ Store repository.Store }
			Shown4 func() (int, repository.Store)
			Shown5 interface{ Store() repository.Store }
			Shown6 iter.Seq[*repository.Store]
			Hidden1 func(repository.Store) error
			Hidden2 struct{ store repository.Store }
		)`
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	imports := importing(func(path string) (*types.Package, error) {
		if name, ours := strings.CutPrefix(path, module+"/"); ours {
			return load(t)[name].Types, nil
		}
		return importer.Default().Import(path)
	})
	pkg, err := (&types.Config{Importer: imports}).Check("p", set, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pkg.Scope().Names() {
		if v, ok := pkg.Scope().Lookup(name).(*types.Var); ok && ofRepository(v.Type()) != strings.HasPrefix(name, "Shown") {
			t.Errorf("%s is wrongly judged", v)
		}
	}
}

// importing finds packages by their path.
type importing func(path string) (*types.Package, error)

func (find importing) Import(path string) (*types.Package, error) { return find(path) }
