package domain_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// canary is 32 bytes of text, as long as a digest.
const canary = "canary-canary-canary-canary-0001"

// printed is one value of every struct of the package, by name.
func printed(t *testing.T) map[string]any {
	t.Helper()
	minted, err := domain.RandomToken("lk", domain.Live)
	if err != nil {
		t.Fatal(err)
	}
	secret := domain.Secret{KeyID: "key_1", ProjectID: "prj_1", TokenID: "tok", Algorithm: domain.HMACSHA256, Digest: domain.Digest(canary)}
	proven := domain.NewProvenKey(string(domain.PackKey(nil, secret, domain.Key{ID: "key_1"})), &domain.Tenant{})
	all := map[string]any{"Token": minted, "ProvenKey": proven, "Principal": domain.ProvenPrincipal(proven, nil, domain.Origin{}),
		"Fields": proven.Fields()}
	for _, v := range []any{
		domain.Actor{}, domain.Target{}, domain.Event{}, domain.EventFilter{}, domain.Error{}, domain.FieldError{}, domain.ImportRow{},
		domain.Leak{}, domain.LeakReport{}, domain.KeyName{}, domain.KeyPlace{}, domain.KeySelection{},
		domain.Revocation{},
		domain.ForeignHash{}, domain.Argon2Parameters{}, domain.ScryptParameters{}, domain.ImportResult{}, domain.ImportedKey{},
		domain.Invitation{}, domain.InvitationSpec{}, domain.Key{}, domain.Retiring{}, domain.KeySpec{}, domain.KeyPatch{},
		domain.Rotation{}, domain.KeyFilter{}, domain.KeyStatistics{}, domain.KeyDay{}, domain.Membership{}, domain.Member{}, domain.Node{},
		domain.Organization{}, domain.OrganizationScope{}, domain.MemberOf{}, domain.OrganizationSpec{}, domain.OrganizationPatch{},
		domain.Page{}, domain.Cursor{}, domain.List[domain.ImportedKey]{}, domain.Precondition{}, domain.CallingKey{},
		domain.CallingUser{}, domain.Origin{}, domain.Project{}, domain.Suspension{}, domain.ProjectScope{}, domain.ProjectSpec{},
		domain.ProjectPatch{},
		domain.Tenant{}, domain.Secret{}, domain.Use{}, domain.Stale{},
		domain.Note{}, domain.ReportedUse{}, domain.Keeping{}, domain.Position{}, domain.Node{},
		domain.User{}, domain.SignUp{}, domain.Session{},
		domain.Limit{}, domain.Refill{}, domain.Allowance{}, domain.EffectiveLimit{}, domain.Rate{},
		domain.Share{}, domain.LimitSet{}, domain.Counter{}, domain.Reset{}, domain.Decision{}, domain.LimitState{},
		domain.Holding{}, domain.Record{}, domain.GoneNode{}, domain.EndedLeases{}, domain.Keeping{},
		domain.Known{}, domain.Books{}, domain.Lease{}, domain.Report{}, domain.Terms{}, domain.Entry{},
		domain.ProjectCounter{}, domain.Visit{}, domain.Visits{}, domain.Visited{}, domain.CreditEntry{},
		domain.CreditGrant{}, domain.Granted{}, domain.CreditFilter{}, domain.Subject{},
		domain.Spending{}, domain.Spent{}, domain.Keeping{}, domain.Receipt{}, domain.Taken{},
		domain.Plan{}, domain.PlanSpec{}, domain.PlanPatch{}, domain.KeyPlan{},
		domain.Webhook{}, domain.WebhookSpec{}, domain.WebhookPatch{}, domain.WebhookSecret{}, domain.Delivery{},
		domain.Customer{}, domain.CustomerPage{}, domain.RehearsedKey{}, domain.HourlyUse{}, domain.Rehearser{},
		domain.RehearsalSpec{}, domain.Rehearsal{}, domain.RehearsedLimit{},
		domain.ServiceAccount{}, domain.ServiceAccountSpec{}, domain.ServiceAccountPatch{},
		domain.ServiceToken{}, domain.ServiceTokenSpec{}, domain.Customer{}, domain.CustomerPage{}, domain.RehearsalSpec{},
		domain.Rehearsal{}, domain.RehearsedLimit{}, domain.RehearsedKey{}, domain.HourlyUse{}, domain.Rehearser{},
		domain.UsageCount{}, domain.UsageBatch{}, domain.UsageQuery{}, domain.UsageItem{}, domain.UsageCursor{}, domain.Usage{},
	} {
		filled := reflect.New(reflect.TypeOf(v))
		fill(filled.Elem())
		name, _, _ := strings.Cut(filled.Elem().Type().Name(), "[")
		all[name] = filled.Elem().Interface()
	}
	return all
}

// fill puts the canary wherever a secret belongs.
func fill(v reflect.Value) {
	switch {
	case !v.CanSet():
	case v.Type() == reflect.TypeFor[domain.Digest](), v.Type() == reflect.TypeFor[domain.Hidden]():
		v.Set(reflect.ValueOf(canary).Convert(v.Type()))
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			fill(field)
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	}
}

// A secret leaves a mark where it would have been, so that a log shows that there was one.
func TestHiddenTextsLeaveAMark(t *testing.T) {
	t.Parallel()
	for _, secret := range []any{domain.Hidden("x"), domain.Digest("x")} {
		for _, verb := range []string{"%v", "%s", "%q", "%x", "%+v", "%#v"} {
			if got := fmt.Sprintf(verb, secret); got != "…" {
				t.Errorf("%s of a %T: got %q, want …", verb, secret, got)
			}
		}
	}
}

// Guarantees that no struct of the package shows a secret or a digest when it
// is printed, logged or encoded, by itself or inside another value.
func TestNothingShowsSecrets(t *testing.T) {
	t.Parallel()
	all := printed(t)
	minted, _ := all["Token"].(domain.Token)
	forms := map[string]string{}
	for _, secret := range []string{canary, strings.TrimPrefix(minted.Reveal(), minted.Prefix()+"_")} {
		forms[secret] = "in clear"
		forms[hex.EncodeToString([]byte(secret))] = "in hexadecimal"
		forms[strings.ToUpper(hex.EncodeToString([]byte(secret)))] = "in hexadecimal"
		forms[base64.StdEncoding.EncodeToString([]byte(secret))] = "in base64"
		forms[strings.Trim(fmt.Sprint([]byte(secret)), "[]")] = "as numbers"
	}
	for name, v := range all {
		var out bytes.Buffer
		within := struct {
			Value any `json:"value"`
		}{v}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n"+verb+"\n"+verb+"\n", v, within, []any{v, &v})
		}
		if err := json.NewEncoder(&out).Encode(within); err != nil && name != "Error" {
			t.Errorf("%s: %v", name, err)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("m", "v", v, "within", within, "s", []any{v})
		}
		for form, how := range forms {
			if strings.Contains(out.String(), form) {
				t.Errorf("%s shows a secret %s", name, how)
			}
		}
	}
}

// Guarantees that the test above knows every struct, and that in none of them a
// secret lies in a field of a type that shows it.
func TestSecretsHaveTheirTypes(t *testing.T) {
	t.Parallel()
	all := printed(t)
	ours := func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }
	files, err := parser.ParseDir(token.NewFileSet(), ".", ours, 0) //nolint:staticcheck // build tags do not matter here
	if err != nil {
		t.Fatal(err)
	}
	for node := range ast.Preorder(files["domain"]) {
		spec, ok := node.(*ast.TypeSpec)
		if _, isStruct := specType(spec).(*ast.StructType); !ok || !isStruct || !spec.Name.IsExported() {
			continue
		}
		if _, known := all[spec.Name.Name]; !known {
			t.Errorf("%s is not among the structs that are printed", spec.Name.Name)
		}
	}
	secretive := regexp.MustCompile(`(?i)password|secret$|digest|hash$|idempotencykey`)
	for name, v := range all {
		for f := range reflect.TypeOf(v).Fields() {
			shows := f.Type.Kind() == reflect.String && f.Type != reflect.TypeFor[domain.Hidden]()
			bytes := f.Type == reflect.TypeFor[[]byte]()
			if f.IsExported() && (bytes || shows && secretive.MatchString(f.Name)) {
				t.Errorf("%s.%s is a %s, which shows what it holds: make it a Digest or Hidden", name, f.Name, f.Type)
			}
		}
	}
}

func specType(s *ast.TypeSpec) ast.Expr {
	if s == nil {
		return nil
	}
	return s.Type
}
