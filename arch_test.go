package latchkey_test

import (
	"go/ast"
	"go/types"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/types/typeutil"
)

const module = "github.com/latchkey-dev/latchkey"

// mayImport lists, for every package, what it may import of this module and of the
// reserved imports. Imports go downward only: cmd to api and console, these to
// service, service to repository. Every package may import domain.
var mayImport = map[string][]string{
	".":                       {},
	"domain":                  {},
	"migrations":              {},
	"repository":              {"domain", "migrations", "database/sql", "bun", "pgx", "sqlite", "goose", "otel"},
	"repository/storetest":    {"domain", "repository", "pgx", "database/sql"}, // it starts a database for tests
	"service":                 {"domain", "repository", "service/cache", "service/fair", "service/journal", "service/jwt", "service/mail", "service/meter", "service/outgoing", "service/watch"},
	"service/cache":           {"domain", "service/fair", "service/meter"},
	"service/fair":            {"domain"},
	"service/jwt":             {"domain", "golang-jwt"},
	"service/journal":         {"domain"},
	"service/meter":           {"domain", "service/journal"},
	"service/mail":            {"go-mail"},
	"service/outgoing":        {"net/http"},
	"service/requestlog":      {"service/fair"},
	"service/servicetest":     {"domain", "repository", "repository/storetest", "service"}, // it starts instances for tests
	"service/site":            {},
	"service/watch":           {"domain"},
	"api":                     {".", "domain", "service", "service/fair", "service/requestlog", "service/site", "service/jwt", "api/permission", "api/plainjson", "api/problem", "net/http", "echo", "otel"},
	"api/permission":          {"domain"},
	"api/plainjson":           {},
	"api/problem":             {"domain", "api/plainjson", "net/http", "echo"},
	"console":                 {"domain", "service", "api/problem", "service/fair", "service/requestlog", "service/site", "net/http", "echo"},
	"edge":                    {"domain", "net/http", "golang-jwt"},
	"cmd/latchkey":            {".", "domain", "repository", "service", "service/fair", "service/journal", "service/meter", "service/outgoing", "service/requestlog", "service/site", "service/jwt", "service/mail", "api", "api/permission", "api/plainjson", "console", "edge", "net/http", "echo", "otel"},
	"cmd/latchkey/servertest": {"net/http"}, // it uses the program from outside
	"bench":                   {},           // it consists of tests
	"faults":                  {},           // the same
	"client":                  {"net/http"}, // it uses only the contract
	"client/verify":           {"client", "net/http"},
	"client/verify/subject":   {"client", "client/verify", "net/http"}, // the suite of the SDKs drives it
	"client/verify/measure":   {"client", "client/verify"},
	"sdk/conformance":         {"net/http"}, // it plays an instance
	"examples/go":             {"client"},
	"scripts/mutants":         {"repository/storetest"}, // it reads files, runs go, and shares a database among the tests
	"scripts/release":         {"domain"},               // it runs git and go, and writes archives
	"scripts/settingspage":    {},                       // it reads the settings and writes their page
	"contract/collection":     {"net/http"},             // it reads openapi.yaml and writes a file
}

// reserved are imports, with everything below their paths, for the packages only
// that list them above.
var reserved = map[string]string{
	"database/sql": "database/sql",
	"bun":          "github.com/uptrace/bun",
	"pgx":          "github.com/jackc/pgx",
	"sqlite":       "modernc.org/sqlite",
	"goose":        "github.com/pressly/goose",
	"net/http":     "net/http",
	"echo":         "github.com/labstack/echo",
	"golang-jwt":   "github.com/golang-jwt",
	"go-mail":      "github.com/wneessen/go-mail",
	"otel":         "go.opentelemetry.io",
}

// pure are the packages that do no I/O and use only the standard library.
var pure = []string{"domain", "api/permission"}

// doesIO are the packages of the standard library that do I/O, with those below
// them, except addresses.
var doesIO = []string{"os", "net", "syscall", "log", "path/filepath", "database/sql"}

// addresses are packages below net that parse addresses and do nothing else.
var addresses = []string{"net/netip", "net/url"}

func TestWhoMayImportWhom(t *testing.T) {
	t.Parallel()
	for name, pkg := range load(t) {
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("%s is not in mayImport: decide what it may import, and say so there", name)
			continue
		}
		for imported := range pkg.Imports {
			if what := restricted(imported); what != "" && !slices.Contains(allowed, what) {
				t.Errorf("%s must not import %s", name, imported)
			}
			if !slices.Contains(pure, name) {
				continue
			}
			if strings.Contains(imported, ".") && !strings.HasPrefix(imported, module) {
				t.Errorf("%s is pure: it must not import %s", name, imported)
			}
			if !slices.Contains(addresses, imported) && slices.ContainsFunc(doesIO, func(p string) bool { return below(imported, p) }) {
				t.Errorf("%s does no I/O: it must not import %s", name, imported)
			}
		}
	}
}

// restricted returns the name by which mayImport allows an import, or "" for an
// import that every package may use.
func restricted(imported string) string {
	if imported == module {
		return "."
	}
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return own
	}
	for name, prefix := range reserved {
		if below(imported, prefix) {
			return name
		}
	}
	return ""
}

func below(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

// Guarantees that the map matches the picture in ARCHITECTURE.md: there are no
// cycles, and only packages at the top skip the layer below.
func TestImportsGoDownward(t *testing.T) {
	t.Parallel()
	for name, allowed := range mayImport {
		below := map[string]bool{}
		var descend func(from string)
		descend = func(from string) {
			for _, next := range mayImport[from] {
				if !below[next] {
					below[next] = true
					descend(next)
				}
			}
		}
		if descend(name); below[name] {
			t.Errorf("%s may import itself, by way of others", name)
		}
		layer, _, _ := strings.Cut(name, "/")
		if slices.Contains([]string{"api", "console"}, layer) && slices.Contains(allowed, "repository") {
			t.Errorf("%s may reach past the service", name)
		}
		for what, only := range map[string][]string{
			"bun": {"repository"}, "database/sql": {"repository"}, "pgx": {"repository"}, "sqlite": {"repository"},
			"net/http": {"api", "console", "cmd", "client", "contract", "edge", "sdk", "service/outgoing"},
			"echo":     {"api", "console", "cmd"}, "golang-jwt": {"service", "edge"},
		} {
			if slices.Contains(allowed, what) && !slices.Contains(only, layer) && !slices.Contains(only, name) {
				t.Errorf("%s may import %s, which is for %v", name, what, only)
			}
		}
	}
}

// load type-checks every package of the module, without its tests, by its path
// in the module.
func load(t *testing.T) map[string]*packages.Package {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	for name, pkg := range all {
		for _, err := range pkg.Errors {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

var loaded = sync.OnceValues(func() (map[string]*packages.Package, error) {
	list, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports |
			packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
	}, "./...")
	all := map[string]*packages.Package{}
	for _, pkg := range list {
		name := "."
		if pkg.PkgPath != module {
			name = strings.TrimPrefix(pkg.PkgPath, module+"/")
		}
		all[name] = pkg
	}
	return all, err
})

// function is a declared function with a body.
type function struct {
	*ast.FuncDecl
	pkg *packages.Package
}

func functions(pkg *packages.Package) (all []function) {
	for _, file := range pkg.Syntax {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				all = append(all, function{fn, pkg})
			}
		}
	}
	return all
}

// within yields the nodes of one type below root, root included.
func within[N ast.Node](root ast.Node) iter.Seq[N] {
	return func(yield func(N) bool) {
		for node := range ast.Preorder(root) {
			if n, ok := node.(N); ok && !yield(n) {
				return
			}
		}
	}
}

// callee returns the function that is called, or nil if a value is called. For a
// generic function it is the declared one.
func callee(pkg *packages.Package, call *ast.CallExpr) *types.Func {
	f, _ := typeutil.Callee(pkg.TypesInfo, call).(*types.Func)
	if f != nil {
		f = f.Origin()
	}
	return f
}
