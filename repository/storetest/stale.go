package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// testFeeds guarantees that each feed returns each change after its beginning that
// was committed, and each of them once, in whatever order transactions end.
func testFeeds(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	o, p := newTenant(t, s, "acme")
	open := func() *repository.Feed {
		feed, err := s.Feed(ctx)
		check(t, err)
		t.Cleanup(func() { check(t, feed.Close()) })
		return feed
	}
	rename := func(tx *repository.Store, name string) {
		p.Name, p.Revision = name, p.Revision+1
		check(t, tx.UpdateProject(ctx, p.Scope(), p))
	}
	changed := domain.Stale{Kind: domain.StaleProject, ID: string(p.ID)}
	polled := func(feed *repository.Feed, want ...domain.Stale) {
		t.Helper()
		notes, err := feed.Poll(ctx)
		check(t, err)
		var got []domain.Stale
		for _, n := range notes {
			got = append(got, n.Stale)
		}
		// A change may be noted more than once.
		slices.SortFunc(got, func(a, b domain.Stale) int {
			return slices.Compare([]string{string(a.Kind), a.ID}, []string{string(b.Kind), b.ID})
		})
		equal(t, append([]domain.Stale{}, slices.Compact(got)...), append([]domain.Stale{}, want...), nil)
	}
	early := open()
	polled(early)
	rename(s, "one")
	late := open()
	polled(early, changed)
	polled(late)
	polled(early)

	// What is undone is not noted; what is not committed is not noted yet.
	gaveUp := errors.New("gave up")
	var own []domain.Stale
	s.OnStale(func(notes []domain.Stale) { own = notes })
	for _, end := range []error{gaveUp, nil} {
		own = nil
		before := p
		err := s.InTx(ctx, func(_ context.Context, tx *repository.Store) error {
			rename(tx, "two")
			polled(early)
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		if end != nil {
			p = before
			polled(early)
			equal(t, own, nil, nil)
			continue
		}
		polled(early, changed)
		polled(late, changed)
		equal(t, slices.Contains(own, changed), true, nil)
	}
	o.Name, o.Revision = "Acme & Co.", o.Revision+1
	check(t, s.UpdateOrganization(ctx, o.Scope(), o))
	rename(s, "three")
	polled(late, domain.Stale{Kind: domain.StaleOrganization, ID: string(o.ID)}, changed)
	polled(late)

	canceled, cancel := context.WithDeadline(ctx, epoch)
	defer cancel()
	_, err := early.Poll(canceled)
	code(t, err, domain.CodeUnavailable)
	polled(early, domain.Stale{Kind: domain.StaleOrganization, ID: string(o.ID)}, changed)
}

// testDisplacedSessions guarantees that those sessions end that were not used for
// longest.
func testDisplacedSessions(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann, bob := newUser(t, s, "ann@example.com"), newUser(t, s, "bob@example.com")
	var sessions []domain.SessionID // the last used first
	for i, user := range []domain.User{bob, ann, ann, ann, ann} {
		used := epoch.Add(-time.Duration(i) * time.Minute)
		v := domain.Session{
			ID: domain.NewID[domain.SessionID](epoch), UserID: user.ID, CreatedAt: epoch.Add(-time.Hour), LastUsedAt: used,
			ExpiresAt: epoch.Add(time.Hour), RefreshDigest: []byte{byte(i)}, PreviousDigest: []byte{},
		}
		check(t, s.CreateSession(ctx, v))
		sessions = append(sessions, v.ID)
	}
	for _, keep := range []int{5, 4} {
		ended, err := s.DisplaceSessions(ctx, ann.ID, keep)
		equal(t, len(ended), 0, err)
	}
	for _, keep := range []int{3, 2} {
		ended, err := s.DisplaceSessions(ctx, ann.ID, keep)
		equal(t, ended, sessions[keep+1:keep+2], err)
	}
	for i, id := range sessions {
		_, err := s.CallingUser(ctx, id)
		if i < 3 {
			check(t, err)
		} else {
			code(t, err, domain.CodeNotFound)
		}
	}
}
