package storetest

import (
	"context"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// testRevisions guarantees that no update overwrites one that its caller has
// not seen: every noun with a revision refuses a stale one, a repeated one and
// a future one, and does not change.
func testRevisions(t *testing.T, s *repository.Store) {
	org, p := newTenant(t, s, "acme")
	k := newKey(p, "k", epoch)
	check(t, s.CreateKey(t.Context(), p.Scope(), k))
	plan := newPlan(p, "Pro", epoch)
	check(t, s.CreatePlan(t.Context(), p.Scope(), plan))
	for name, noun := range map[string]struct {
		update func(ctx context.Context, name string, revision int64) error
		read   func(ctx context.Context) (name string, revision int64, err error)
	}{
		"key": {
			func(ctx context.Context, name string, revision int64) error {
				k.Name, k.Revision = name, revision
				return s.UpdateKey(ctx, p.Scope(), k)
			},
			func(ctx context.Context) (string, int64, error) {
				got, err := s.GetKey(ctx, p.Scope(), k.ID)
				return got.Name, got.Revision, err
			},
		},
		"project": {
			func(ctx context.Context, name string, revision int64) error {
				p.Name, p.Revision = name, revision
				return s.UpdateProject(ctx, p.Scope(), p)
			},
			func(ctx context.Context) (string, int64, error) {
				got, err := s.GetProject(ctx, p.ID)
				return got.Name, got.Revision, err
			},
		},
		"plan": {
			func(ctx context.Context, name string, revision int64) error {
				plan.Name, plan.Revision = name, revision
				return s.UpdatePlan(ctx, p.Scope(), plan)
			},
			func(ctx context.Context) (string, int64, error) {
				got, err := s.GetPlan(ctx, p.Scope(), plan.ID)
				return got.Name, got.Revision, err
			},
		},
		"organization": {
			func(ctx context.Context, name string, revision int64) error {
				org.Name, org.Revision = name, revision
				return s.UpdateOrganization(ctx, org.Scope(), org)
			},
			func(ctx context.Context) (string, int64, error) {
				got, err := s.GetOrganization(ctx, org.ID)
				return got.Name, got.Revision, err
			},
		},
	} {
		check(t, noun.update(t.Context(), "second", 2))
		check(t, noun.update(t.Context(), "third", 3))
		for _, stale := range []int64{0, 1, 2, 3, 5} {
			if err := noun.update(t.Context(), "stale", stale); domain.CodeOf(err) != domain.CodeConflict {
				t.Errorf("%s: got %v for revision %d after 3, want conflict", name, err, stale)
			}
		}
		got, revision, err := noun.read(t.Context())
		if got != "third" || revision != 3 || err != nil {
			t.Errorf("%s: got %q, revision %d, %v; want third and 3", name, got, revision, err)
		}
	}
}
