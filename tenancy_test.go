package latchkey_test

import (
	"go/ast"
	"go/constant"
	"go/types"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/migrations"
)

const (
	bunPath    = "github.com/uptrace/bun"
	domainPath = module + "/domain"
)

// unscoped are the functions of the repository that use a tenant's table without a
// scope, by their name as nameOf has it, each with the reason why it may.
var unscoped = map[string]string{
	"selectIn":                  "is the scoped builder",
	"updateIn":                  "is the scoped builder",
	"deleteIn":                  "is the scoped builder",
	"postgresEngine.insertMany": "adds the rows that insertIn was given, with the scope",
	"sqliteEngine.insertMany":   "adds the rows that insertIn was given, with the scope",
	"Store.insert":              "adds the row that its callers made, which this test checks",

	"Store.lookOnce":                "finds the tenant: the token's id names the key, and the secret is still to be proved",
	"lookup.statement":              "prepares that query",
	"Store.Empty":                   "reads which migrations have been applied, and no tenant",
	"Store.InvitationByDigest":      "finds the tenant: holding the invitation's token earns it",
	"Store.ProjectAsMember":         "finds the tenant: by membership",
	"Store.organizationsOf":         "finds the tenants: by membership",
	"Store.FindKeys":                "finds the tenants: by membership, and answers ids alone",
	"Store.OrganizationAsMember":    "finds the tenant: by membership",
	"Store.ListOrganizationsOf":     "finds the tenants: by membership",
	"Store.OrganizationNamesAround": "finds the tenants: by membership or invitation, and answers their names alone",
	"Store.projectsOfAll":           "finds the tenant, for the two below",
	"Store.OrganizationsOfMaker":    "finds the tenants, for the command line",
	"Store.projectsOfKeys":          "counts over all tenants, and finds them, for the command line",
	"Store.GetOrganization":         "finds the tenant, for those who have proved their right to it otherwise",
	"Store.GetOrganizationBySlug":   "finds the tenant, for the command line",
	"Store.GetProject":              "finds the tenant, for those who have proved their right to it otherwise",
	"Store.KeyPrefixes":             "reads the prefixes of all tenants, for the command line",
	"Store.GetProjectOfKey":         "finds the tenant, for the command line",
	"Store.GetProjectOfPlan":        "finds the tenant, for the command line",
	"Store.people":                  "finds people, who belong to no tenant; service accounts are left out",
	"Store.serviceTokens":           "finds what is of one user, whom callers have found within the organization",
	"Store.ListOrganizations":       "lists the tenants, for the command line",
	"Store.ListAllEvents":           "lists events over all tenants, for the operator",
	"Store.ListAccountEvents":       "lists events of no tenant, for the operator",
	"Store.PurgeOrganizations":      "looks for a tenant that has been deleted, and then works within its scope",
	"Store.PurgeProjects":           "looks for a tenant that has been deleted, and then works within its scope",
	"Store.CountAllKeys":            "counts over all tenants, for the command line",
	"Store.CountOrganizations":      "counts all tenants, for the operator",
	"Store.CountProjects":           "counts over all tenants, for the operator",
	"Store.countFaults":             "runs the checks that SQLite has of its own",
	"Store.CheckHealth":             "counts contradictions over all tenants, for the command line, and returns only numbers",
	"Store.importsHere":             "goes through a list of texts, and for each through what selectIn gives",
	"Store.crowdedLocators":         "counts within the organization of its scope, whose projects are several",
	"Store.ImportedSince":           "finds the tenants: callers with an imported token have not proved it yet",
	"Store.UntaggedTokens":          "finds the tenants: callers with such a token have not proved it yet",
	"Store.RecordUses":              "writes for many tenants together; each row's tenant comes from its key",
	"Store.addToDays":               "writes for many tenants together; each row's organization comes from its project",
	"Store.addToMinutes":            "writes for many tenants together; each row's project exists",
	"Store.addCounters":             "writes for many tenants together; each row's organization comes from its project",
	"Store.lockCounters":            "locks for many tenants together; each counter names its project",
	"Store.leasesOf":                "reads for many tenants together, what is of one node; each counter names its project",
	"Store.keep":                    "writes for many tenants together; each row was made from one that is locked",
	"Store.EndLeases":               "removes what is of one node, of all tenants",
	"Store.endLeases":               "looks for nodes that are gone, over all tenants",
	"Store.GoneNodes":               "sums what nodes that are gone have, over all tenants",
	"Store.endLease":                "removes what is of one node; each counter names its project",
	"Store.addReached":              "counts events of a project whose counter is locked",
	"Store.SweepCounters":           "looks for counters of keys that are gone, over all tenants",
	"Store.deleteCounters":          "removes counters that are locked; each names its project, and the callers have found them",
	"Store.DueWebhooks":             "finds what is to be delivered, over all tenants; the rest is within the scope of a webhook's project",
	"Store.ForgetDeliveries":        "removes what is older than a date, of all tenants",
	"Store.WaitingDeliveries":       "counts over all tenants",
	"Store.ForgetUsage":             "removes what is older than a date, of all tenants",
	"Store.CreateOrganization":      "makes a tenant",
	"Store.AddEvent":                "takes its tenant from the event; what concerns only a person has none",
}

// Guarantees the second lock of tenancy: every query of a tenant's table starts
// from the scoped builder, and only functions with the scope as a parameter add a
// row to one. The schema defines which tables are a tenant's.
func TestTenantQueriesStartScoped(t *testing.T) {
	t.Parallel()
	tables := tenantTables(t)
	for _, table := range []string{"organizations", "memberships", "projects", "api_keys", "api_key_secrets", "audit_events"} {
		if !slices.Contains(tables, table) {
			t.Fatalf("%s is not among the tenants' tables %v", table, tables)
		}
	}
	found := map[string]bool{}
	for _, fn := range functions(load(t)["repository"]) {
		if !touchesUnscoped(fn, tables) {
			continue
		}
		name := nameOf(fn)
		found[name] = true
		if unscoped[name] == "" {
			t.Errorf("%s: %s touches a tenant's table without a scope: start from selectIn, updateIn or deleteIn, "+
				"take a scope to insert, or say in unscoped why not",
				fn.pkg.Fset.Position(fn.Pos()), name)
		}
	}
	for name := range unscoped {
		if !found[name] {
			t.Errorf("unscoped excuses %s, which does not need it", name)
		}
	}
}

// touchesUnscoped reports whether fn opens a query by itself and uses a tenant's
// table, or adds a row to one without a scope. In doubt it reports true: an unknown
// model counts, and so does SQL that is built elsewhere.
func touchesUnscoped(fn function, tables []string) bool {
	info := fn.pkg.TypesInfo
	isTenants := func(e ast.Expr) bool { return slices.Contains(tables, tableOf(info.TypeOf(e))) }
	opens := false
	for call := range within[*ast.CallExpr](fn.Body) {
		f := callee(fn.pkg, call)
		if f == nil || f.Pkg() == nil {
			continue
		}
		switch {
		case opensQuery(f):
			if opens = true; hidesText(info, f, call) {
				return true
			}
		case f.Name() == "insert" && f.Pkg() == fn.pkg.Types && isTenants(call.Args[1]) && !hasType(signatureOf(fn).Params(), isScope):
			return true
		}
	}
	if !opens {
		return false
	}
	named := regexp.MustCompile(`\b(` + strings.Join(tables, "|") + `)\b`)
	for e := range within[ast.Expr](fn.Body) {
		if value := info.Types[e].Value; value != nil && value.Kind() == constant.String && named.MatchString(constant.StringVal(value)) {
			return true
		}
		if isTenants(e) {
			return true
		}
		if call, ok := e.(*ast.CallExpr); ok && isMethod(callee(fn.pkg, call), bunPath, "Model") &&
			types.IsInterface(info.TypeOf(call.Args[0])) {
			return true
		}
	}
	return false
}

// opensQuery reports whether f starts a query without a scope: a builder of bun, raw
// SQL, or a function of the repository that returns a query and takes neither a
// scope nor a query.
func opensQuery(f *types.Func) bool {
	signature := f.Signature()
	switch f.Pkg().Path() {
	case bunPath:
		return strings.HasPrefix(f.Name(), "New") && signature.Recv() != nil || strings.HasSuffix(f.Name(), "Context")
	case "database/sql":
		return regexp.MustCompile(`^(Exec|Query|QueryRow|Prepare)(Context)?$`).MatchString(f.Name())
	case repositoryPath:
		return hasType(signature.Results(), isQuery) && !hasType(signature.Params(), isQuery) && !hasType(signature.Params(), isScope)
	}
	return false
}

// hidesText reports whether a call takes SQL that is not a constant.
func hidesText(info *types.Info, f *types.Func, call *ast.CallExpr) bool {
	for i := range f.Signature().Params().Len() {
		if types.Identical(f.Signature().Params().At(i).Type(), types.Typ[types.String]) {
			return info.Types[call.Args[i]].Value == nil
		}
	}
	return false
}

func hasType(vars *types.Tuple, is func(types.Type) bool) bool {
	for v := range vars.Variables() {
		if is(v.Type()) {
			return true
		}
	}
	return false
}

func isQuery(t types.Type) bool {
	return regexp.MustCompile(`^\*` + regexp.QuoteMeta(bunPath) + `\.\w+Query$`).MatchString(types.TypeString(t, nil))
}

func isScope(t types.Type) bool {
	if p, ok := t.(*types.TypeParam); ok {
		t = p.Constraint()
	}
	return slices.Contains([]string{domainPath + ".ProjectScope", domainPath + ".OrganizationScope", repositoryPath + ".tenant"},
		types.TypeString(t, nil))
}

func isMethod(f *types.Func, pkg, name string) bool {
	return f != nil && f.Pkg() != nil && f.Pkg().Path() == pkg && f.Name() == name && f.Signature().Recv() != nil
}

// nameOf returns the name of a function, and of a method with its receiver's type:
// methods of two types may have one name.
func nameOf(fn function) string {
	name := fn.pkg.TypesInfo.Defs[fn.Name].(*types.Func).FullName()
	return strings.NewReplacer(fn.pkg.PkgPath+".", "", "(", "", ")", "", "*", "").Replace(name)
}

func signatureOf(fn function) *types.Signature {
	return fn.pkg.TypesInfo.Defs[fn.Name].(*types.Func).Signature()
}

// tableOf returns the table of a row's type, or of a pointer to it or a slice of it;
// "" if it is not a row.
func tableOf(t types.Type) string {
	for {
		switch u := t.(type) {
		case *types.Pointer:
			t = u.Elem()
			continue
		case *types.Slice:
			t = u.Elem()
			continue
		case *types.Named:
			row, ok := u.Underlying().(*types.Struct)
			if !ok || row.NumFields() == 0 || row.Field(0).Name() != "BaseModel" {
				return ""
			}
			table, _, _ := strings.Cut(strings.TrimPrefix(reflect.StructTag(row.Tag(0)).Get("bun"), "table:"), ",")
			return table
		}
		return ""
	}
}

// tenantTables returns the tables whose rows belong to a tenant: organizations, and
// all tables with an organization or a project column.
func tenantTables(t *testing.T) []string {
	t.Helper()
	tables := []string{"organizations"}
	create := regexp.MustCompile(`(?ms)^CREATE TABLE (\w+) \((.*?)^\);`)
	belongs := regexp.MustCompile(`(?m)^\s*(organization_id|project_id)\s`)
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		sql, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range create.FindAllStringSubmatch(string(sql), -1) {
			if belongs.MatchString(table[2]) {
				tables = append(tables, table[1])
			}
		}
	}
	return tables
}

// Guarantees the first lock of tenancy: a function with a scope takes it directly
// after ctx, so that every call shows it.
func TestScopeFollowsContext(t *testing.T) {
	t.Parallel()
	for _, fn := range functions(load(t)["repository"]) {
		if fn.Recv == nil || !fn.Name.IsExported() {
			continue
		}
		params := signatureOf(fn).Params()
		for i := range params.Len() {
			if isScope(params.At(i).Type()) && i != 1 {
				t.Errorf("%s: %s takes its scope as parameter %d", fn.pkg.Fset.Position(fn.Pos()), fn.Name.Name, i+1)
			}
		}
	}
}

// Guarantees that no alternative escapes the tenant's predicate: WhereOr is in a
// group of its own, which is joined by AND.
func TestAlternativesAreGrouped(t *testing.T) {
	t.Parallel()
	for _, pkg := range load(t) {
		for _, file := range pkg.Syntax {
			grouped := map[*ast.CallExpr]bool{}
			for call := range within[*ast.CallExpr](file) {
				if !isMethod(callee(pkg, call), bunPath, "WhereGroup") {
					continue
				}
				if sep := pkg.TypesInfo.Types[call.Args[0]].Value; sep == nil || strings.TrimSpace(constant.StringVal(sep)) != "AND" {
					t.Errorf("%s: a group must be joined by AND", pkg.Fset.Position(call.Pos()))
				}
				group, ok := call.Args[1].(*ast.FuncLit)
				if !ok {
					continue // the functions it calls are checked by themselves
				}
				query := pkg.TypesInfo.Defs[group.Type.Params.List[0].Names[0]]
				for or := range within[*ast.CallExpr](group) {
					if root := rootOf(or); root != nil && pkg.TypesInfo.Uses[root] == query {
						grouped[or] = true
					}
				}
			}
			for call := range within[*ast.CallExpr](file) {
				if isMethod(callee(pkg, call), bunPath, "WhereOr") && !grouped[call] {
					t.Errorf("%s: WhereOr outside of its WhereGroup escapes the tenant's predicate", pkg.Fset.Position(call.Pos()))
				}
			}
		}
	}
}

// rootOf returns the variable at the start of a chain of calls.
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.CallExpr:
			e = x.Fun
		case *ast.SelectorExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.Ident:
			return x
		default:
			return nil
		}
	}
}
