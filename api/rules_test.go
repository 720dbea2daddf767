package api_test

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// What openapi.yaml tells clients about who may call is what the rules enforce,
// in the same order, for every operation.
func TestRulesAreTheContract(t *testing.T) {
	t.Parallel()
	routes, err := api.Routes() // fails for an operation without a rule, and the other way round
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		op := operation(t, r.Operation)
		alternatives, err := r.Permission.Security()
		if err != nil {
			t.Fatal(err)
		}
		want := openapi3.SecurityRequirements{}
		for _, schemes := range alternatives {
			requirement := openapi3.SecurityRequirement{}
			for _, scheme := range schemes {
				requirement[string(scheme)] = []string{}
			}
			want = append(want, requirement)
		}
		if diff := cmp.Diff(&want, op.Security); diff != "" {
			t.Errorf("%s: the rule %s (-) and openapi.yaml (+) differ: %s", r.Operation, r.Permission, diff)
		}
		action, _ := op.Extensions["x-action"].(string)
		if action != string(r.Action) {
			t.Errorf("%s: openapi.yaml says x-action %q, the rule %q", r.Operation, action, r.Action)
		}
	}
}

func operation(t *testing.T, id string) *openapi3.Operation {
	t.Helper()
	for _, item := range contract().Paths.Map() {
		for _, op := range item.Operations() {
			if op.OperationID == id {
				return op
			}
		}
	}
	t.Fatalf("openapi.yaml has no operation %s", id)
	return nil
}

// Every operation with an action says in its description, which is what people
// read at /docs, which scope or role its callers need.
//
// rehearsePlan is the one that needs two actions.
func TestDescriptionsNameWhatIsNeeded(t *testing.T) {
	t.Parallel()
	routes, err := api.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Action == "" {
			continue
		}
		op := operation(t, r.Operation)
		roles := make([]string, 0, len(domain.Roles))
		for _, role := range domain.RolesHolding(r.Action) {
			roles = append(roles, "`"+string(role)+"`")
		}
		last := len(roles) - 1
		who := "the role " + roles[last]
		if last > 0 {
			who = "the role " + strings.Join(roles[:last], ", ") + " or " + roles[last]
		}
		want := "**A user needs " + who + ".**"
		_, byKey := (*op.Security)[0]["ApiKeyHeader"]
		switch {
		case forKeys(op):
			want = "**Needs a key with the scope `" + string(r.Action) + "`.**"
		case byKey && domain.ValidateScope(r.Action) == "":
			want = "**A key needs the scope `" + string(r.Action) + "`**, a user " + who + "."
			if r.Operation == "rehearsePlan" {
				want = strings.Replace(want, "scope `limits:write`", "scopes `limits:write` and `usage:read`", 1)
			}
		}
		if got := strings.Join(strings.Fields(op.Description), " "); !strings.HasSuffix(got, want) {
			t.Errorf("%s: the description ends with %q, want %q", r.Operation, got[max(0, len(got)-80):], want)
		}
	}
}
