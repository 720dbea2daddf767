package permission

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// callers are all that a rule can tell apart.
var callers = map[string]domain.Principal{
	"anonymous":   {},
	"user":        domain.NewPrincipal(nil, &domain.CallingUser{}, domain.Origin{}),
	"key":         domain.NewPrincipal(&domain.CallingKey{}, nil, domain.Origin{}),
	"both proven": domain.NewPrincipal(&domain.CallingKey{}, &domain.CallingUser{}, domain.Origin{}),
}

// The table of ARCHITECTURE, "Permissions: who gets in", word by word.
const table = `
| rule \ caller | anonymous | user | key | both proven |
|---|---|---|---|---|
| HasAPIKey | 401 | 403 | ok | 400 |
| IsUser | 401 | ok | 403 | 400 |
| Any(HasAPIKey, IsUser) | 401 | ok | ok | 400 |
| All(HasAPIKey, IsUser) | 401 | 403 | 403 | ok |
| Any(HasAPIKey, IsUser, All(HasAPIKey, IsUser)) | 401 | ok | ok | ok |
| Not(HasAPIKey) | 401 | ok | 403 | 403 |
| no rule | 403 | 403 | 403 | 403 |
`

var rules = map[string]Permission{
	"HasAPIKey":              HasAPIKey,
	"IsUser":                 IsUser,
	"Any(HasAPIKey, IsUser)": Any(HasAPIKey, IsUser),
	"All(HasAPIKey, IsUser)": All(HasAPIKey, IsUser),
	"Any(HasAPIKey, IsUser, All(HasAPIKey, IsUser))": Any(HasAPIKey, IsUser, All(HasAPIKey, IsUser)),
	"Not(HasAPIKey)": Not(HasAPIKey),
	"no rule":        {},
}

func TestTable(t *testing.T) {
	t.Parallel()
	answers := map[string]domain.Code{
		"ok": "", "400": domain.CodeMultipleCredentials, "401": domain.CodeUnauthenticated, "403": domain.CodeForbidden,
	}
	verdicts := map[string]Verdict{"ok": Allowed, "400": Allowed, "401": Unknown, "403": Denied}

	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := cells(lines[0])[1:]
	if got, want := len(lines)-2, len(rules); got != want {
		t.Fatalf("the table has %d rules, want %d", got, want)
	}
	for _, line := range lines[2:] {
		row := cells(line)
		rule, ok := rules[row[0]]
		if !ok {
			t.Fatalf("no rule for the row %q", row[0])
		}
		for i, want := range row[1:] {
			caller, ok := callers[columns[i]]
			if !ok {
				t.Fatalf("no caller for the column %q", columns[i])
			}
			if got, want := domain.CodeOf(rule.Admit(caller)), answers[want]; got != want {
				t.Errorf("%s, %s: Admit gives %q, want %q", row[0], columns[i], got, want)
			}
			if got, want := rule.Check(caller), verdicts[want]; got != want {
				t.Errorf("%s, %s: Check gives %v, want %v", row[0], columns[i], got, want)
			}
		}
	}
}

func cells(line string) []string {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// trees returns every expression of at most that depth, without Public and the
// zero value, built from one and two operands.
func trees(depth int) []Permission {
	all := []Permission{HasAPIKey, IsUser}
	for range depth {
		smaller := all
		for _, p := range smaller {
			all = append(all, Not(p))
			for _, q := range smaller {
				all = append(all, Any(p, q), All(p, q))
			}
		}
	}
	return all
}

var (
	small = trees(1) // 12
	large = trees(2) // 312
)

// alike fails unless p and q give every caller the same verdict.
func alike(t *testing.T, p, q Permission) {
	t.Helper()
	for name, caller := range callers {
		if got, want := p.Check(caller), q.Check(caller); got != want {
			t.Fatalf("%v, %s: %v; %v: %v", p, name, got, q, want)
		}
	}
}

// same fails unless p and q give every caller the same answer, also about two
// credentials together, and the same contract.
func same(t *testing.T, p, q Permission) {
	t.Helper()
	alike(t, p, q)
	for name, caller := range callers {
		if got, want := domain.CodeOf(p.Admit(caller)), domain.CodeOf(q.Admit(caller)); got != want {
			t.Fatalf("%v, %s: %q; %v: %q", p, name, got, q, want)
		}
	}
	a, _ := p.Security()
	b, _ := q.Security()
	if diff := cmp.Diff(a, b); diff != "" {
		t.Fatalf("%v and %v: %s", p, q, diff)
	}
}

func TestLaws(t *testing.T) {
	t.Parallel()
	for _, p := range large {
		same(t, Not(Not(p)), p) // double negation
		same(t, Any(p), p)
		same(t, All(p), p)
		alike(t, Any(p, p), p) // idempotency
		alike(t, All(p, p), p)
	}
	for _, p := range large {
		for _, q := range small {
			same(t, Not(Any(p, q)), All(Not(p), Not(q))) // De Morgan
			same(t, Not(All(p, q)), Any(Not(p), Not(q)))
			same(t, Any(p, q), Any(q, p)) // commutativity
			same(t, All(p, q), All(q, p))
			alike(t, Any(p, All(p, q)), p) // absorption
			alike(t, All(p, Any(p, q)), p)
		}
	}
	for _, p := range small {
		for _, q := range small {
			for _, r := range small {
				same(t, Any(p, Any(q, r)), Any(Any(p, q), r)) // associativity
				same(t, All(p, All(q, r)), All(All(p, q), r))
				same(t, Any(p, q, r), Any(Any(p, q), r))
				same(t, All(p, q, r), All(All(p, q), r))
				same(t, All(p, Any(q, r)), Any(All(p, q), All(p, r))) // distributivity
				alike(t, Any(p, All(q, r)), All(Any(p, q), Any(p, r)))
			}
		}
	}
}

// Asking for more never lets more callers in, and asking for less never keeps
// more out.
func TestMonotony(t *testing.T) {
	t.Parallel()
	for _, p := range large {
		for _, q := range small {
			for name, caller := range callers {
				if Any(p, q).Check(caller) < p.Check(caller) || All(p, q).Check(caller) > p.Check(caller) {
					t.Fatalf("%v and %v, %s: Any is below or All above its operand", p, q, name)
				}
			}
		}
	}
	for _, p := range small {
		for _, q := range small {
			for _, r := range small {
				for name, caller := range callers {
					if p.Check(caller) > q.Check(caller) {
						continue
					}
					if Any(p, r).Check(caller) > Any(q, r).Check(caller) || All(p, r).Check(caller) > All(q, r).Check(caller) ||
						Not(p).Check(caller) < Not(q).Check(caller) {
						t.Fatalf("%v is not above %v for %s, but is in an expression with %v", p, q, name, r)
					}
				}
			}
		}
	}
}

// Guarantees that no expression, however it uses Not, lets a caller in who has
// proved nothing.
func TestAnonymousIsNeverAllowed(t *testing.T) {
	t.Parallel()
	for _, p := range large {
		for _, caller := range []domain.Principal{{}, domain.System()} {
			if got, want := domain.CodeOf(p.Admit(caller)), domain.CodeUnauthenticated; got != want {
				t.Errorf("%v: %q, want %q", p, got, want)
			}
		}
	}
}

// Guarantees that a forgotten rule denies every caller, wherever in an expression
// it was forgotten.
func TestZeroValuePoisons(t *testing.T) {
	t.Parallel()
	var zero Permission
	expressions := []Permission{zero, Not(zero), Not(Not(zero)), Any(zero), All(zero), Any(zero, zero)}
	for _, p := range small {
		expressions = append(expressions, Any(p, zero), Any(zero, p), All(p, zero), Not(All(zero, p)), Any(p, Not(All(p, zero))))
	}
	for _, p := range expressions {
		for name, caller := range callers {
			if got, want := domain.CodeOf(p.Admit(caller)), domain.CodeForbidden; got != want {
				t.Errorf("%v, %s: %q, want %q", p, name, got, want)
			}
		}
		if got, err := p.Security(); err == nil {
			t.Errorf("%v: Security gives %v, want an error", p, got)
		}
		if got, want := p.String(), "None"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for name, caller := range callers {
		if got := Public.Admit(caller); got != nil {
			t.Errorf("%s: got %v, want nil", name, got)
		}
		if got, want := Public.Check(caller), Allowed; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got, err := Public.Security(); err != nil || got == nil || len(got) != 0 {
		t.Errorf("Security gives %v, %v; want an empty list", got, err)
	}
	if !Public.IsPublic() {
		t.Error("Public is not public")
	}
	for _, p := range append(large, Permission{}) {
		if p.IsPublic() {
			t.Errorf("%v is public", p)
		}
	}
	for name, build := range map[string]func(){
		"Any, first":            func() { Any(Public, HasAPIKey) },
		"Any, alone":            func() { Any(Public) },
		"All, last":             func() { All(HasAPIKey, IsUser, Public) },
		"Not":                   func() { Not(Public) },
		"beside the zero value": func() { Any(Permission{}, Public) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			build()
		})
	}
}

// Guarantees that who sends two credentials is let in only where the rule
// itself says, in a branch that holds, that it takes both.
func TestTwoCredentials(t *testing.T) {
	t.Parallel()
	k, u := HasAPIKey, IsUser
	for _, test := range []struct {
		rule Permission
		want domain.Code
	}{
		{Any(k, All(k, u)), ""}, // absorption holds for verdicts, not for this
		{All(k, Any(k, u)), ""},
		{All(Any(k, Not(u)), u), ""},
		{Not(Any(Not(k), Not(u))), ""},
		{All(k, k), domain.CodeMultipleCredentials},
		{Any(k, Not(u)), domain.CodeMultipleCredentials},
		{Any(k, All(k, Not(u))), domain.CodeMultipleCredentials},
		{Any(k, All(k, u, Not(u))), domain.CodeMultipleCredentials}, // the branch that names both never holds
		{Not(All(Not(k), Not(u))), domain.CodeMultipleCredentials},
		{All(k, Not(u)), domain.CodeForbidden},
		{Not(Any(k, u)), domain.CodeForbidden},
	} {
		if got := domain.CodeOf(test.rule.Admit(callers["both proven"])); got != test.want {
			t.Errorf("%v: got %q, want %q", test.rule, got, test.want)
		}
	}
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	key := [][]Scheme{{"ApiKeyHeader"}, {"ApiKeyAuthorization"}}
	user := [][]Scheme{{"BearerJWT"}}
	together := [][]Scheme{{"ApiKeyHeader", "BearerJWT"}}
	for _, test := range []struct {
		rule Permission
		want [][]Scheme
	}{
		{HasAPIKey, key},
		{IsUser, user},
		{Any(HasAPIKey, IsUser), slices.Concat(key, user)},
		{Any(IsUser, HasAPIKey), slices.Concat(key, user)},
		{All(HasAPIKey, IsUser), together},
		{Any(HasAPIKey, IsUser, All(HasAPIKey, IsUser)), slices.Concat(key, user, together)},
		{Any(IsUser, All(HasAPIKey, IsUser)), slices.Concat(user, together)},
		{Not(HasAPIKey), user},
		{Not(IsUser), key},
	} {
		got, err := test.rule.Security()
		if err != nil {
			t.Errorf("%v: %v", test.rule, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v: %s", test.rule, diff)
		}
	}
	for _, p := range []Permission{All(HasAPIKey, Not(HasAPIKey)), Not(Any(HasAPIKey, IsUser)), {}} {
		if got, err := p.Security(); err == nil {
			t.Errorf("%v: got %v, want an error", p, got)
		}
	}
}

// Guarantees that the contract promises exactly what the server enforces, for
// every rule: an alternative is offered if, and only if, who sends it enters.
func TestSecurityIsWhatIsAdmitted(t *testing.T) {
	t.Parallel()
	offers := map[string][]Scheme{"key": {"ApiKeyHeader"}, "user": {"BearerJWT"}, "both proven": {"ApiKeyHeader", "BearerJWT"}}
	for _, p := range large {
		security, err := p.Security()
		admitted := 0
		for name, offer := range offers {
			got := slices.ContainsFunc(security, func(s []Scheme) bool { return slices.Equal(s, offer) })
			if want := p.Admit(callers[name]) == nil; got != want {
				t.Errorf("%v offers %v: %v, want %v", p, offer, got, want)
			}
			if got {
				admitted++
			}
		}
		if (err != nil) != (admitted == 0) {
			t.Errorf("%v admits %d kinds of caller, and Security says %v", p, admitted, err)
		}
		for _, set := range security {
			if slices.Contains(set, APIKeyAuthorization) && slices.Contains(set, BearerJWT) {
				t.Errorf("%v wants Authorization twice", p)
			}
		}
	}
}

func TestRefusalsSayWhatWouldBeEnough(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule   Permission
		caller string
		want   string
	}{
		{HasAPIKey, "anonymous", "Authentication required. Send an API key."},
		{Any(HasAPIKey, IsUser), "anonymous", "Authentication required. Send an API key, or a user's access token."},
		{IsUser, "key", "These credentials are not accepted here. Send a user's access token."},
		{All(HasAPIKey, IsUser), "user", "These credentials are not accepted here. Send an API key together with a user's access token."},
		{Any(HasAPIKey, IsUser), "both proven", "Two credentials were sent, and this operation takes one. Send an API key, or a user's access token."},
		{Permission{}, "key", "These credentials are not accepted here. No credentials are: the rule of this route admits no one."},
	} {
		err, ok := errors.AsType[*domain.Error](test.rule.Admit(callers[test.caller]))
		if !ok {
			t.Errorf("%v, %s: no domain error", test.rule, test.caller)
			continue
		}
		if diff := cmp.Diff(test.want, err.Detail); diff != "" {
			t.Errorf("%v, %s: %s", test.rule, test.caller, diff)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	k, u := HasAPIKey, IsUser
	for want, p := range map[string]Permission{
		"Public":                                 Public,
		"HasAPIKey":                              k,
		"HasAPIKey|IsUser":                       Any(k, u),
		"HasAPIKey&IsUser":                       All(k, u),
		"HasAPIKey|IsUser|HasAPIKey&IsUser":      Any(k, u, All(k, u)),
		"(HasAPIKey|IsUser)&~(HasAPIKey&IsUser)": All(Any(k, u), Not(All(k, u))),
		"~~IsUser":                               Not(Not(u)),
	} {
		if got := p.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// Go writes these operators with the same precedence, so its parser tells
	// whether what is printed means what was built.
	for _, p := range large {
		expression, err := parser.ParseExpr(p.String())
		if err != nil {
			t.Fatalf("%v: %v", p, err)
		}
		same(t, build(t, expression), p)
	}
}

func build(t *testing.T, e ast.Expr) Permission {
	t.Helper()
	switch e := e.(type) {
	case *ast.Ident:
		return rules[e.Name]
	case *ast.ParenExpr:
		return build(t, e.X)
	case *ast.UnaryExpr:
		if e.Op == token.TILDE {
			return Not(build(t, e.X))
		}
	case *ast.BinaryExpr:
		switch e.Op {
		case token.OR:
			return Any(build(t, e.X), build(t, e.Y))
		case token.AND:
			return All(build(t, e.X), build(t, e.Y))
		}
	}
	t.Fatalf("unexpected %T", e)
	return Permission{}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Permission{
		"HasAPIKey":          HasAPIKey,
		"IsUser":             IsUser,
		"HasAPIKey|IsUser":   Any(HasAPIKey, IsUser),
		"HasAPIKey & IsUser": All(HasAPIKey, IsUser),
		"":                   {},
	} {
		got, err := Parse(s)
		if err != nil || got.String() != want.String() {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"Public", "None", "hasapikey", "HasAPIKey||IsUser", "IsUser|HasAPIKey", "~HasAPIKey", "AllowAny", " "} {
		if got, err := Parse(s); err == nil || got.String() != "None" {
			t.Errorf("%q: got %v, %v; want an error and a rule that denies everybody", s, got, err)
		}
	}
}

// Guarantees that a request is judged without work for the garbage collector.
func TestAdmitDoesNotAllocate(t *testing.T) {
	rule, caller := Any(HasAPIKey, IsUser), callers["key"]
	if got := testing.AllocsPerRun(100, func() {
		if err := rule.Admit(caller); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkAdmit(b *testing.B) {
	rule, caller := Any(HasAPIKey, IsUser), callers["key"]
	b.ReportAllocs()
	for b.Loop() {
		if err := rule.Admit(caller); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleAny() {
	rule := Any(HasAPIKey, All(IsUser, Not(HasAPIKey)))
	security, _ := rule.Security()
	fmt.Println(rule)
	fmt.Println(security)
	fmt.Println(rule.Admit(domain.Principal{}))
	// Output:
	// HasAPIKey|IsUser&~HasAPIKey
	// [[ApiKeyHeader] [ApiKeyAuthorization] [BearerJWT]]
	// unauthenticated: Authentication required. Send an API key, or a user's access token.
}
