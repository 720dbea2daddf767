package domain_test

import (
	"testing"
	"time"

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

// A row of an export has every field of the event, in the order of the columns.
func TestEventRow(t *testing.T) {
	t.Parallel()
	event := domain.Event{
		ID:             "evt_1",
		At:             now.In(time.FixedZone("", 3600)),
		Actor:          domain.Actor{Kind: domain.ActorUser, ID: "usr_1", Name: "Ada"},
		Action:         "key.updated",
		Target:         domain.Target{Kind: "key", ID: "key_1", Name: "ci"},
		OrganizationID: "org_1",
		ProjectID:      "prj_1",
		Origin:         domain.Origin{IP: "192.0.2.1", UserAgent: "curl", RequestID: "r1"},
		Changes:        domain.Changes{"name": {"a", "b"}},
	}
	want := []string{
		"evt_1", "2026-03-04T05:06:07.890123456Z", "user", "usr_1", "Ada", "key.updated", "key", "key_1", "ci", "org_1", "prj_1",
		"192.0.2.1", "curl", "r1", `{"name":["a","b"]}`,
	}
	row, err := event.Row()
	if diff := cmp.Diff(want, row); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	event.Changes = nil
	if row, err := event.Row(); err != nil || row[14] != "{}" {
		t.Errorf("without changes: got %q, %v", row[14], err)
	}
	event.Changes = domain.Changes{"name": {nil, func() {}}}
	if row, err := event.Row(); err == nil {
		t.Errorf("changes that are no JSON: got %q, want an error", row)
	}
}

// An id is that of any kind, and a name is none.
func TestIsID(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		string(domain.NewID[domain.KeyID](now)): true, string(domain.NewID[domain.PlanID](now)): true,
		"key_1": false, "system": false, "": false,
		"x" + string(domain.NewID[domain.KeyID](now)): false,
	} {
		if got := domain.IsID(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
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
