package service

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that no node is counted out while it may still admit requests: not
// because its clock differs, not after an outage in which it could not report; and that
// one which is gone is.
func TestNodesThatAreAlive(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	var p peers
	now := begin
	reports := map[string]time.Time{
		"here": begin, "early": begin.Add(-40 * time.Second), "late": begin.Add(40 * time.Second), "old": begin.Add(-10 * time.Minute),
	}
	read := func(after time.Duration, reporting ...string) []string {
		now = now.Add(after)
		var nodes []domain.Node
		for id, at := range reports {
			if slices.Contains(reporting, id) {
				at = at.Add(after)
				reports[id] = at
			}
			nodes = append(nodes, domain.Node{ID: id, SeenAt: at})
		}
		ids := p.alive(nodes, now)
		slices.Sort(ids)
		return ids
	}
	all := []string{"early", "here", "late"}
	for i, c := range []struct {
		after     time.Duration
		reporting []string
		want      []string
	}{
		{0, nil, all},
		{NodeReports, all, all},
		{NodeReports, []string{"here", "late", "old"}, []string{"early", "here", "late", "old"}}, // the old report was of one that is there
		{2 * time.Minute, nil, []string{"early", "here", "late", "old"}},                         // an outage
		{NodeReports, []string{"here", "old"}, []string{"here", "late", "old"}},                  // the early one has not reported for 15 s
		{NodeReports, []string{"here", "late", "old"}, []string{"here", "late", "old"}},
		{NodeReports, []string{"here", "old"}, []string{"here", "late", "old"}},
		{NodeReports, []string{"here", "old"}, []string{"here", "late", "old"}},
		{NodeReports, []string{"here", "old"}, []string{"here", "old"}},
	} {
		if got := read(c.after, c.reporting...); !slices.Equal(got, c.want) {
			t.Errorf("reading %d: got %v, want %v", i, got, c.want)
		}
	}
}
