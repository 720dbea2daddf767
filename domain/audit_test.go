package domain_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	before := map[string]any{"name": "a", "scopes": []string{"x"}, "gone": 1, "same": []string{"y"}}
	after := map[string]any{"name": "b", "scopes": []string{"x", "z"}, "new": 2, "same": []string{"y"}}
	want := domain.Changes{
		"name": {"a", "b"}, "scopes": {[]string{"x"}, []string{"x", "z"}}, "gone": {1, nil}, "new": {nil, 2},
	}
	if diff := cmp.Diff(want, domain.Diff(before, after)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(domain.Changes{"a": {nil, 1}}, domain.Diff(nil, map[string]any{"a": 1})); diff != "" {
		t.Error(diff)
	}
}
