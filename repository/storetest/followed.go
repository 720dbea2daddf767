package storetest

import (
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// storedKey returns a key of a project, and the id of its token.
func storedKey(t *testing.T, s *repository.Store, p domain.Project, name string) (domain.Key, domain.TokenID) {
	t.Helper()
	key := newKey(p, name, epoch)
	id := domain.TokenID("t" + name)
	check(t, s.CreateKey(t.Context(), p.Scope(), key))
	check(t, s.AddSecret(t.Context(), p.Scope(), newSecret(key, id)))
	return key, id
}

// testNotes guarantees that a change of a token is noted with its project, that what
// ends all tokens of a tenant is noted as a reset and a change of its name is not, and
// that the position of a feed has exactly the transactions whose notes it has returned.
func testNotes(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	o, p := newTenant(t, s, "acme")
	feed, err := s.Feed(ctx)
	check(t, err)
	t.Cleanup(func() { check(t, feed.Close()) })
	before := feed.Position()
	polled := func() (notes []domain.Note) {
		t.Helper()
		notes, err := feed.Poll(ctx)
		check(t, err)
		now := feed.Position()
		if !now.Covers(before) {
			t.Errorf("%+v does not cover %+v", now, before)
		}
		for _, n := range notes {
			if before.Has(n.Transaction) || !now.Has(n.Transaction) {
				t.Errorf("%+v between %+v and %+v", n, before, now)
			}
		}
		before = now
		return notes
	}
	resets := func(want ...string) {
		t.Helper()
		var got []string
		for _, n := range polled() {
			if n.Kind == domain.StaleReset {
				got = append(got, n.ID)
			}
		}
		equal(t, got, want, nil)
	}
	key, _ := storedKey(t, s, p, "k")
	polled()
	key.Name, key.Revision = "other", key.Revision+1
	check(t, s.UpdateKey(ctx, p.Scope(), key))
	notes := polled()
	if !slices.ContainsFunc(notes, func(n domain.Note) bool { return n.Kind == domain.StaleToken && n.Project == p.ID && n.ID != "" }) {
		t.Errorf("got %+v", notes)
	}
	check(t, s.DeleteKey(ctx, p.Scope(), key.ID))
	notes = polled()
	if !slices.ContainsFunc(notes, func(n domain.Note) bool { return n.Kind == domain.StaleToken && n.Project == p.ID }) {
		t.Errorf("got %+v", notes)
	}
	p.Name, p.Revision = "Renamed", p.Revision+1
	check(t, s.UpdateProject(ctx, p.Scope(), p))
	o.Name, o.Revision = "Renamed", o.Revision+1
	check(t, s.UpdateOrganization(ctx, o.Scope(), o))
	resets()
	p.Status, p.Revision = domain.Disabled, p.Revision+1
	check(t, s.UpdateProject(ctx, p.Scope(), p))
	resets(string(p.ID))
	o.Status, o.Revision = domain.Disabled, o.Revision+1
	check(t, s.UpdateOrganization(ctx, o.Scope(), o))
	resets(string(o.ID))
	check(t, s.DeleteProject(ctx, p.Scope(), epoch))
	resets(string(p.ID))
}

// testOwnersOfTokens guarantees that a project is shown whose uses those of its own tokens
// are, and nothing of others.
func testOwnersOfTokens(t *testing.T, s *repository.Store) {
	_, p := newTenant(t, s, "acme")
	_, other := newTenant(t, s, "other")
	own, id := storedKey(t, s, p, "own")
	_, foreign := storedKey(t, s, other, "foreign")
	got, err := s.OwnersOfTokens(t.Context(), p.Scope(), []domain.TokenID{foreign, "none", id})
	equal(t, got, []domain.ReportedUse{{
		ProjectID: p.ID, KeyID: own.ID, TokenID: id, ExternalID: own.ExternalID, Environment: own.Environment,
	}}, err)
}
