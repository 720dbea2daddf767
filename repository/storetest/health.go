package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// testHealth guarantees that an operator learns of what should not exist, and of
// nothing else.
func testHealth(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	faults := func(want ...string) repository.Health {
		t.Helper()
		h, err := s.CheckHealth(ctx)
		equal(t, h.Faults, want, err)
		return h
	}
	h := faults()
	if off := time.Since(h.Clock); h.Version == "" || h.Took <= 0 || off < -time.Minute || off > time.Minute || len(h.Notes) > 0 {
		t.Errorf("got %+v, want a version, a time and nothing to say", h)
	}

	o, p := newTenant(t, s, "acme")
	trace := func(action, target string) {
		check(t, s.AddEvent(ctx, domain.Event{
			ID:             domain.NewID[domain.EventID](epoch),
			At:             epoch,
			Actor:          domain.Actor{Kind: domain.ActorSystem, ID: "system"},
			Action:         action,
			Target:         domain.Target{Kind: "key", ID: target},
			OrganizationID: o.ID,
			ProjectID:      p.ID,
		}))
	}
	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	const tokenless, traceless = "1 keys have no token that works, nor ever will", "1 keys were made without a trace in the audit trail"
	faults(tokenless, traceless)
	check(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t1")))
	faults(traceless)
	trace("key.created", string(key.ID))
	faults()
	second := newKey(p, "second", epoch)
	second.RevokedAt = epoch // needs no token
	check(t, s.CreateKey(ctx, p.Scope(), second))
	faults(traceless)
	trace("keys.imported", string(p.ID))
	faults()

	check(t, s.CreateOrganization(ctx, domain.Organization{
		ID:        domain.NewID[domain.OrganizationID](epoch),
		Name:      "No one's",
		Slug:      "no-ones",
		Status:    domain.Active,
		CreatedAt: epoch,
		UpdatedAt: epoch,
		Revision:  1,
	}))
	faults("1 organizations have no owner")

	reserved := domain.Project{
		ID: domain.NewID[domain.ProjectID](epoch), OrganizationID: o.ID, Name: "Old", Slug: "old", KeyPrefix: domain.ServiceTokenPrefix,
		Status: domain.Active, CreatedAt: epoch, UpdatedAt: epoch, Revision: 1,
	}
	check(t, s.CreateProject(ctx, o.Scope(), reserved))
	h, err := s.CheckHealth(ctx)
	equal(t, h.Notes, []string{
		"the key prefix lks is reserved for tokens of Latchkey itself; give these projects another: " + string(reserved.ID),
	}, err)
}

// testMakers guarantees that the keys that a person made are found in every
// organization, except those that have ended.
func testMakers(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	maker := newUser(t, s, "maker@example.com")
	var organizations []domain.Organization
	for i := range 2 {
		o, p := newTenant(t, s, fmt.Sprint("org-", i))
		organizations = append(organizations, o)
		for name, change := range map[string]func(*domain.Key){
			"theirs":   func(*domain.Key) {},
			"revoked":  func(k *domain.Key) { k.RevokedAt = epoch },
			"another":  func(k *domain.Key) { k.CreatedBy.ID = "usr_2" },
			"by a key": func(k *domain.Key) { k.CreatedBy.Kind = domain.ActorKey },
		} {
			k := newKey(p, name, epoch)
			k.CreatedBy.ID = string(maker.ID)
			change(&k)
			check(t, s.CreateKey(ctx, p.Scope(), k))
		}
	}
	newTenant(t, s, "without")
	n, err := s.CountKeysMadeBy(ctx, maker.ID)
	equal(t, n, 2, err)
	found, err := s.OrganizationsOfMaker(ctx, maker.ID)
	equal(t, len(found), 2, err)
	for _, o := range organizations {
		keys, err := s.ListKeysMadeBy(ctx, o.Scope(), maker.ID, domain.Page{Limit: 10})
		check(t, err)
		if len(keys.Items) != 1 || keys.Items[0].Name != "theirs" {
			t.Errorf("got %+v, want the key that they made", keys.Items)
		}
	}
	n, err = s.CountKeysMadeBy(ctx, "usr_none")
	equal(t, n, 0, err)
}
