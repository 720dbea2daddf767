package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func testProjects(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	org := newOrganization(t, s, "acme", ann)
	p := newProject(t, s, org, "api")

	got, in, err := s.ProjectAsMember(ctx, ann.ID, p.ID)
	equal(t, got, p, err)
	equal(t, in, domain.MemberOf{Organization: org, Role: domain.Owner}, nil)
	_, _, err = s.ProjectAsMember(ctx, newUser(t, s, "bob@example.com").ID, p.ID)
	code(t, err, domain.CodeNotFound)

	again := p
	again.ID = domain.NewID[domain.ProjectID](epoch)
	code(t, s.CreateProject(ctx, org.Scope(), again), domain.CodeConflict)
	newProject(t, s, newOrganization(t, s, "other", ann), "api") // a slug is unique in its organization only

	p.Status, p.Revision = domain.Disabled, 2
	check(t, s.UpdateProject(ctx, p.Scope(), p))
	code(t, s.UpdateProject(ctx, p.Scope(), p), domain.CodeConflict)

	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	check(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t1")))
	check(t, s.DeleteProject(ctx, p.Scope(), epoch))
	_, _, err = s.CallingKey(ctx, "t1")
	code(t, err, domain.CodeNotFound) // nothing of it is left
}

// testProjectDeletion guarantees that a deleted project is gone immediately,
// however many keys it has, and that its keys are removed in batches of a
// bounded size, without touching those of others.
func testProjectDeletion(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "acme")
	other := newProject(t, s, org, "other")
	const keys, batch = 3_000, 500
	for first := 0; first < keys; first += 1000 {
		imported := make([]domain.ImportedKey, 1000)
		for i := range imported {
			k := newKey(p, fmt.Sprint("k", first+i), epoch)
			imported[i] = domain.ImportedKey{Key: k, Secret: newSecret(k, domain.TokenID(fmt.Sprintf("t%011d", first+i)))}
		}
		check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
			return tx.AddImported(ctx, p.Scope(), int64(first/1000)+1, imported)
		}))
	}
	kept := newKey(other, "kept", epoch)
	check(t, s.CreateKey(ctx, other.Scope(), kept))

	count := func() int {
		n, err := s.CountAllKeys(ctx)
		check(t, err)
		return n
	}
	check(t, s.DeleteProject(ctx, p.Scope(), epoch))
	equal(t, count(), keys+1, nil)
	code(t, s.DeleteProject(ctx, p.Scope(), epoch), domain.CodeNotFound)
	_, err := s.GetProject(ctx, p.ID)
	code(t, err, domain.CodeNotFound)
	_, err = s.GetProjectBySlug(ctx, org.Scope(), p.Slug)
	code(t, err, domain.CodeNotFound)
	_, err = s.LockProject(ctx, p.Scope())
	code(t, err, domain.CodeNotFound)
	members, err := s.ListMembers(ctx, org.Scope(), domain.Page{Limit: 1})
	check(t, err)
	_, _, err = s.ProjectAsMember(ctx, members.Items[0].User.ID, p.ID)
	code(t, err, domain.CodeNotFound)
	_, _, err = s.CallingKey(ctx, "t00000000000")
	code(t, err, domain.CodeNotFound)
	list, err := s.ListProjects(ctx, org.Scope(), domain.Page{Limit: 10})
	equal(t, list.Items, []domain.Project{other}, err)
	newProject(t, s, org, p.Slug) // which is free

	left := keys + 1
	for more := true; more; {
		more, err = s.PurgeProjects(ctx, batch)
		check(t, err)
		now := count()
		if left-now > batch {
			t.Fatalf("a batch of %d removed %d keys", batch, left-now)
		}
		left = now
	}
	equal(t, left, 1, nil)
	_, err = s.GetKey(ctx, other.Scope(), kept.ID)
	check(t, err)
}
