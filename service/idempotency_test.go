package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

const idempotencyKey = "5f1c3b7e-lost-answer"

// Guarantees that a creation whose answer was lost can be asked for again, on any
// node, and brings the same key and token, though the token is stored nowhere.
func TestCreateKeyAgain(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		p, err := project.Get()
		w.check(err)
		spec := domain.KeySpec{Name: "k", Scopes: []domain.Scope{"documents:read"}, Metadata: map[string]string{"a": "b", "c": "d"},
			IdempotencyKey: idempotencyKey}
		key, token, err := project.CreateKey(w.Context(), spec)
		w.check(err)
		// What happens to the project afterwards does not change the answer.
		prefix := "acme"
		_, err = project.Update(w.Context(), domain.ProjectPatch{KeyPrefix: &prefix})
		w.check(err)
		elsewhere, err := w.node().Project(w.Context(), ann, p.ID)
		w.check(err)
		again, sameToken, err := elsewhere.CreateKey(w.Context(), spec)
		w.check(err)
		if diff := cmp.Diff(key, again); diff != "" || token.Reveal() != sameToken.Reveal() {
			w.Errorf("got another token or key %s", diff)
		}
		n, err := project.CountKeys(w.Context())
		if err != nil || n != 1 {
			w.Errorf("got %d keys, %v, want 1", n, err)
		}
		w.answers(map[string]domain.Code{token.Reveal(): ""})

		// Another caller's request of the same name is another request.
		calling, err := w.ProveKey(w.Context(), w.manager(project), nil)
		w.check(err)
		theirs := w.project(domain.ProvenPrincipal(calling, nil, domain.Origin{}), "")
		_, other, err := theirs.CreateKey(w.Context(), spec)
		w.check(err)
		if other.Reveal() == token.Reveal() {
			w.Error("two callers got the same token")
		}
	})
}

// Guarantees that a caller who asks for a token once learns from a repetition that
// there was one, without seeing it.
func TestTokenOnce(t *testing.T) {
	onEach(t, func(w *world) {
		organization, project := w.tenant(w.signUp("ann@example.com"))
		first, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", IdempotencyKey: idempotencyKey, TokenOnce: true})
		w.check(err)
		w.answers(map[string]domain.Code{token.Reveal(): ""})
		again, none, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", IdempotencyKey: idempotencyKey, TokenOnce: true})
		w.check(err)
		if !none.IsZero() || again.ID != first.ID {
			w.Errorf("got the token %v of %s, want none of %s", none, again.ID, first.ID)
		}

		rotation := domain.Rotation{IdempotencyKey: idempotencyKey + "-2", TokenOnce: true}
		_, rotated := w.rotate(project, first.ID, rotation)
		w.answers(map[string]domain.Code{rotated: ""})
		_, none, err = project.RotateKey(w.Context(), first.ID, rotation)
		w.check(err)
		if !none.IsZero() {
			w.Errorf("got the token %v, want none", none)
		}

		spec := domain.InvitationSpec{Email: "bob@example.com", Role: domain.Viewer, IdempotencyKey: idempotencyKey + "-3", TokenOnce: true}
		invitation, link, err := organization.CreateInvitation(w.Context(), spec)
		w.check(err)
		same, empty, err := organization.CreateInvitation(w.Context(), spec)
		w.check(err)
		if link == "" || empty != "" || same.ID != invitation.ID {
			w.Errorf("got %q and then %q of %s, want one of %s and then none", link, empty, same.ID, invitation.ID)
		}
	})
}

// manager is the token of a key that may make keys.
func (w *world) manager(p *service.Project) string {
	w.Helper()
	_, token, _ := w.key(p, domain.KeysWrite, "documents:read")
	return token
}

// Guarantees that an Idempotency-Key answers one request only: another operation,
// target or body under it is refused and does nothing.
func TestIdempotencyMismatch(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		org, project := w.tenant(ann)
		spec := domain.KeySpec{Name: "k", IdempotencyKey: idempotencyKey}
		key, _, err := project.CreateKey(w.Context(), spec)
		w.check(err)
		second, err := org.CreateProject(w.Context(), domain.ProjectSpec{Name: "Second"})
		w.check(err)

		renamed := spec
		renamed.Name = "K"
		_, _, err = project.CreateKey(w.Context(), renamed)
		w.code(err, domain.CodeIdempotencyMismatch)
		_, _, err = w.project(ann, second.ID).CreateKey(w.Context(), spec)
		w.code(err, domain.CodeIdempotencyMismatch)
		_, _, err = project.RotateKey(w.Context(), key.ID, domain.Rotation{IdempotencyKey: idempotencyKey})
		w.code(err, domain.CodeIdempotencyMismatch)
		_, err = org.CreateProject(w.Context(), domain.ProjectSpec{Name: "k", IdempotencyKey: idempotencyKey})
		w.code(err, domain.CodeIdempotencyMismatch)
		_, err = w.CreateOrganization(w.Context(), ann, domain.OrganizationSpec{Name: "k", IdempotencyKey: idempotencyKey})
		w.code(err, domain.CodeIdempotencyMismatch)

		for _, bad := range []string{"short", strings.Repeat("x", 129), "with spaces in it, see", "ünïcödé-characters-in-it"} {
			_, _, err = project.CreateKey(w.Context(), domain.KeySpec{Name: "k", IdempotencyKey: domain.Hidden(bad)})
			w.code(err, domain.CodeValidationFailed)
		}
	})
}

// Guarantees that asking again is no way around what has changed since: a
// revoked, deleted or rotated key, a lost right, a day gone by.
func TestAskingAgainTooLate(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		token := w.manager(project)
		caller := func() *service.Project {
			calling, err := w.ProveKey(w.Context(), token, nil)
			w.check(err)
			return w.project(domain.ProvenPrincipal(calling, nil, domain.Origin{}), "")
		}
		create := func(p *service.Project, name string) (domain.Key, string, error) {
			k, token, err := p.CreateKey(w.Context(), domain.KeySpec{
				Name: name, Scopes: []domain.Scope{"documents:read"}, IdempotencyKey: domain.Hidden(idempotencyKey + name),
			})
			if err != nil {
				return k, "", err
			}
			return k, token.Reveal(), nil
		}
		revoked, _, err := create(caller(), "revoked")
		w.check(err)
		deleted, _, err := create(caller(), "deleted")
		w.check(err)
		rotated, _, err := create(caller(), "rotated")
		w.check(err)
		kept, first, err := create(caller(), "kept")
		w.check(err)

		_, err = project.RevokeKey(w.Context(), revoked.ID, "")
		w.check(err)
		_, _, err = create(caller(), "revoked")
		w.code(err, domain.CodeKeyRevoked)
		w.check(project.DeleteKey(w.Context(), deleted.ID))
		_, _, err = create(caller(), "deleted")
		w.code(err, domain.CodeConflict)
		w.rotate(project, rotated.ID, domain.Rotation{Grace: new(time.Duration(0))})
		_, _, err = create(caller(), "rotated")
		w.code(err, domain.CodeConflict)

		// Who can no longer make such a key does not get it again either.
		me, err := w.ProveKey(w.Context(), token, nil)
		w.check(err)
		less := []domain.Scope{domain.KeysWrite}
		_, err = project.UpdateKey(w.Context(), me.Key().ID, domain.KeyPatch{Scopes: &less})
		w.check(err)
		_, _, err = create(caller(), "kept")
		w.code(err, domain.CodeScopeNotHeld)
		more := []domain.Scope{domain.KeysWrite, "documents:read"}
		_, err = project.UpdateKey(w.Context(), me.Key().ID, domain.KeyPatch{Scopes: &more})
		w.check(err)

		w.Pass(24 * time.Hour)
		same, second, err := create(caller(), "kept")
		w.check(err)
		if same.ID != kept.ID || second != first {
			w.Error("got another key within 24 hours")
		}
		w.Pass(time.Microsecond)
		other, third, err := create(caller(), "kept")
		w.check(err)
		if other.ID == kept.ID || third == first {
			w.Error("got the same key after 24 hours")
		}
	})
}

// Guarantees that a refused request leaves its Idempotency-Key free.
func TestRefusedRequestKeepsNothing(t *testing.T) {
	onEach(t, func(w *world) {
		org, _ := w.tenant(w.signUp("ann@example.com"))
		_, err := org.CreateProject(w.Context(), domain.ProjectSpec{Name: "B", Slug: "api", IdempotencyKey: idempotencyKey})
		w.code(err, domain.CodeConflict)
		p, err := org.CreateProject(w.Context(), domain.ProjectSpec{Name: "B", Slug: "b", IdempotencyKey: idempotencyKey})
		w.check(err)
		again, err := org.CreateProject(w.Context(), domain.ProjectSpec{Name: "B", Slug: "b", IdempotencyKey: idempotencyKey})
		w.check(err)
		if diff := cmp.Diff(p, again); diff != "" {
			w.Error(diff)
		}
	})
}

func TestCreateOrganizationAgain(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		spec := domain.OrganizationSpec{Name: "Acme", IdempotencyKey: idempotencyKey}
		o, err := w.CreateOrganization(w.Context(), ann, spec)
		w.check(err)
		again, err := w.CreateOrganization(w.Context(), ann, spec)
		w.check(err)
		if diff := cmp.Diff(o, again); diff != "" {
			w.Error(diff)
		}
		handle, err := w.Organization(w.Context(), ann, o.ID)
		w.check(err)
		w.check(handle.Delete(w.Context()))
		_, err = w.CreateOrganization(w.Context(), ann, spec)
		w.code(err, domain.CodeConflict)
	})
}
