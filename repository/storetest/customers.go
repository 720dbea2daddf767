package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// testCustomers guarantees that each external id of a project is one customer with what
// there is of its keys, in pages, and that no other project's keys count.
func testCustomers(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, a := newTenant(t, s, "a")
	_, b := newTenant(t, s, "b")
	now := epoch.Add(time.Hour)
	add := func(p domain.Project, name, externalID string, change func(*domain.Key)) domain.Key {
		k := newKey(p, name, epoch)
		k.ExternalID = externalID
		change(&k)
		check(t, s.CreateKey(ctx, p.Scope(), k))
		return k
	}
	as := func(*domain.Key) {}
	used := add(a, "k1", "c1", as)
	add(a, "k2", "c1", func(k *domain.Key) { k.ExpiresAt = epoch })
	add(a, "k3", "c1", func(k *domain.Key) { k.RevokedAt = epoch })
	add(a, "k4", "c2", func(k *domain.Key) { k.ExpiresAt = now.Add(time.Second) })
	add(a, "k5", "c3", func(k *domain.Key) { k.RevokedAt = epoch })
	add(a, "k6", "", as)
	add(b, "k7", "c1", as)
	check(t, s.AddSecret(ctx, a.Scope(), newSecret(used, "t1")))
	check(t, s.RecordUses(ctx, []domain.Use{{KeyID: used.ID, TokenID: "t1", First: epoch, Last: epoch.Add(time.Minute)}}))

	want := []domain.Customer{
		{ExternalID: "c1", Keys: 3, ActiveKeys: 1, LastUsedAt: epoch.Add(time.Minute)},
		{ExternalID: "c2", Keys: 1, ActiveKeys: 1},
		{ExternalID: "c3", Keys: 1},
	}
	got, err := s.ListCustomers(ctx, a.Scope(), domain.CustomerPage{Limit: 3}, now)
	same(t, "all", got, want, err)
	got, err = s.ListCustomers(ctx, a.Scope(), domain.CustomerPage{Limit: 1}, now)
	same(t, "a page and one more", got, want[:2], err)
	got, err = s.ListCustomers(ctx, a.Scope(), domain.CustomerPage{Limit: 3, After: "c2"}, now)
	same(t, "the page after", got, want[2:], err)
	got, err = s.ListCustomers(ctx, b.Scope(), domain.CustomerPage{Limit: 3}, now)
	same(t, "of another project", got, []domain.Customer{{ExternalID: "c1", Keys: 1, ActiveKeys: 1}}, err)
}
