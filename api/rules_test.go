package api_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
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
