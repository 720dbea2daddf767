package service_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a caller who ends a person's access can end the keys that they made
// with it, those and no others, each with an event; that it needs the right to; and
// that without asking for it the keys work on and are listed.
func TestKeysOfWhoIsRemoved(t *testing.T) {
	onEach(t, func(w *world) {
		ann, bob := w.signUp("ann@example.com"), w.signUp("bob@example.com")
		org, project := w.tenant(ann)
		_, others := w.tenant(bob)
		bobs, _ := bob.UserID()
		join := func() {
			w.Helper()
			membership := domain.Membership{UserID: bobs, Role: domain.Developer, JoinedAt: w.Now()}
			w.check(w.Store.AddMember(w.Context(), mustGet(w, org).Scope(), membership))
		}
		join()
		p, err := project.Get()
		w.check(err)
		first, made, _ := w.key(w.project(bob, p.ID), domain.KeysWrite)
		_, elsewhere, _ := w.key(others)
		_, anns, _ := w.key(project)
		page := domain.Page{Limit: 10}

		w.check(org.RemoveMember(w.Context(), bobs))
		w.answers(map[string]domain.Code{made: "", anns: "", elsewhere: ""})
		keys, err := org.KeysMadeBy(w.Context(), bobs, page)
		if err != nil || len(keys.Items) != 1 || keys.Items[0].ID != first.ID {
			w.Errorf("got %v, %v, want the key that is left", keys.Items, err)
		}
		n, err := w.KeysMadeBy(w.Context(), domain.System(), bobs)
		if err != nil || n != 2 {
			w.Errorf("got %d, %v, want 2 in all organizations", n, err)
		}
		_, err = w.KeysMadeBy(w.Context(), ann, bobs)
		w.code(err, domain.CodeForbidden)
		_, err = w.RevokeKeysMadeBy(w.Context(), ann, bobs)
		w.code(err, domain.CodeForbidden)

		join()
		w.check(org.RemoveMemberAndKeys(w.Context(), bobs))
		w.answers(map[string]domain.Code{made: domain.CodeKeyRevoked, anns: "", elsewhere: ""})
		events, err := org.ListEvents(w.Context(), domain.EventFilter{Action: "key.revoked"}, page)
		w.check(err)
		id, _ := ann.UserID()
		if len(events.Items) != 1 {
			w.Fatalf("got %d events, want 1", len(events.Items))
		}
		got := events.Items[0]
		want := domain.Target{Kind: "key", ID: string(first.ID), Name: first.Name}
		if got.Target != want || got.ProjectID != p.ID || got.OrganizationID != p.OrganizationID || got.Actor.ID != string(id) {
			w.Errorf("got %+v, want %+v by %s", got, want, id)
		}
		w.code(org.RemoveMemberAndKeys(w.Context(), bobs), domain.CodeNotFound)

		n, err = w.RevokeKeysMadeBy(w.Context(), domain.System(), bobs)
		if err != nil || n != 1 {
			w.Errorf("got %d, %v, want 1", n, err)
		}
		w.answers(map[string]domain.Code{elsewhere: domain.CodeKeyRevoked, anns: ""})
	})
}
