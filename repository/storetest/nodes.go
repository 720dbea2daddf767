package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func testNodes(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	feed, err := s.Feed(ctx)
	check(t, err)
	defer feed.Close() //nolint:errcheck // nothing depends on it
	atLeast := func(version string, want bool) {
		t.Helper()
		got, err := s.EveryNodeAtLeast(ctx, version)
		equal(t, got, want, err)
	}
	atLeast("0.2.0", true) // there is none
	now := time.Now().UTC().Truncate(time.Microsecond)
	older := domain.Node{ID: "a", Name: "one", StartedAt: now, SeenAt: now, Lag: time.Millisecond} // as 0.1 reports
	newer := domain.Node{ID: "b", Name: "two", Version: domain.Version, StartedAt: now, SeenAt: now, FlushedAt: now}
	check(t, feed.ReportNode(ctx, newer))
	atLeast("0.2.0", true)
	atLeast("99.0.0", false)
	check(t, feed.ReportNode(ctx, older))
	atLeast("0.2.0", false)
	nodes, err := s.ListNodes(ctx)
	equal(t, nodes, []domain.Node{older, newer}, err)
	check(t, feed.RemoveNode(ctx, older.ID))
	atLeast("0.2.0", true)

	// A node that was killed counts as long as it is listed.
	check(t, feed.ReportNode(ctx, older))
	newer.SeenAt = now.Add(2 * time.Hour)
	check(t, feed.ReportNode(ctx, newer))
	atLeast("0.2.0", true)
}
