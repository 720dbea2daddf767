package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a deleted organization is gone with the answer to the request:
// its keys belong to no one, no member, handle or command line finds it, its slug is
// free; and that what it owned is then removed.
func TestDeletedOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann := w.signUp("ann@example.com")
		acme, api := w.tenant(ann)
		id, project := w.id(acme), w.projectID(api)
		bob := w.invite(acme, "bob@example.com", domain.Viewer)
		_, invitation, err := acme.CreateInvitation(ctx, domain.InvitationSpec{Email: "eve@example.com", Role: domain.Viewer})
		w.check(err)
		_, token, key := w.key(api, "documents:read")
		w.check(acme.Delete(ctx))

		_, err = w.ProveKey(ctx, token, nil)
		w.code(err, domain.CodeInvalidAPIKey)
		for _, caller := range []domain.Principal{ann, bob, domain.System()} {
			_, err = w.Organization(ctx, caller, id)
			w.code(err, domain.CodeNotFound)
			_, err = w.Project(ctx, caller, project)
			w.code(err, domain.CodeNotFound)
		}
		_, err = w.AcceptInvitation(ctx, w.signUp("eve@example.com"), invitation)
		w.code(err, domain.CodeNotFound)
		w.code(acme.Delete(ctx), domain.CodeNotFound)
		_, err = acme.Update(ctx, domain.OrganizationPatch{})
		w.code(err, domain.CodeNotFound)
		_, err = w.CreateOrganization(ctx, ann, domain.OrganizationSpec{Name: "New", Slug: "acme"})
		w.check(err)
		if got, want := w.countEvents("organization.deleted"), 1; got != want {
			w.Errorf("got %d events of the deletion, want %d", got, want)
		}

		// Run does its jobs immediately when it starts.
		running, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.App.Run(running)
		}()
		for deadline := time.Now().Add(time.Minute); w.countEvents("key.created") > 0; {
			if time.Now().After(deadline) {
				w.Fatal("its events are still there")
			}
		}
		stop()
		<-done
		calling, _ := key.Key()
		_, err = w.ProjectOfKey(ctx, domain.System(), calling.Key.ID)
		w.code(err, domain.CodeNotFound)
	})
}

// Guarantees that a handle that is older than a demotion can neither change nor
// delete the organization.
func TestOrganizationAfterDemotion(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		acme, _ := w.tenant(w.signUp("ann@example.com"))
		bob := w.invite(acme, "bob@example.com", domain.Owner)
		byBob := w.organization(bob, acme)
		_, err := acme.UpdateMember(ctx, userID(bob), domain.Viewer)
		w.check(err)
		_, err = byBob.Update(ctx, domain.OrganizationPatch{})
		w.code(err, domain.CodeForbidden)
		w.code(byBob.Delete(ctx), domain.CodeForbidden)
	})
}
