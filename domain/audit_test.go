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

// No cell of an export is a formula to a spreadsheet, whatever a stranger, or a
// release that took more names, put into it.
func TestEventRowsHoldNoFormulas(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"} {
		event := domain.Event{
			Actor:  domain.Actor{Name: name},
			Target: domain.Target{Name: name},
			Origin: domain.Origin{UserAgent: name},
		}
		row, err := event.Row()
		if err != nil {
			t.Fatal(err)
		}
		for i, column := range domain.EventColumns {
			switch column {
			case "actor_name", "target_name", "user_agent":
				if want := "'" + name; row[i] != want {
					t.Errorf("%s: got %q, want %q", column, row[i], want)
				}
			}
		}
	}
}
