package service_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// remembered is an operation whose answer an Idempotency-Key brings again.
type remembered struct {
	ask   func(caller domain.Principal) (answer string, err error)
	end   func(caller domain.Principal) error // ends what was made
	ended domain.Code                         // what asking again is answered then
	role  bool                                // whether it needs a role
}

// remember lists those operations in a tenant.
func (w *world) remember(org domain.OrganizationID, project domain.ProjectID, key domain.KeyID) map[string]remembered {
	w.Helper()
	ctx := w.Context()
	var invitation domain.InvitationID
	var made domain.KeyID
	var secondProject domain.ProjectID
	var secondOrganization domain.OrganizationID
	return map[string]remembered{
		"createKey": {
			func(caller domain.Principal) (string, error) {
				k, token, err := w.project(caller, project).CreateKey(ctx, domain.KeySpec{Name: "k", IdempotencyKey: idempotencyKey})
				if err != nil {
					return "", err
				}
				made = k.ID
				return string(k.ID) + token.Reveal(), nil
			},
			func(caller domain.Principal) error {
				_, err := w.project(caller, project).RevokeKey(ctx, made, "")
				return err
			},
			domain.CodeKeyRevoked, true,
		},
		"rotateKey": {
			func(caller domain.Principal) (string, error) {
				_, token, err := w.project(caller, project).RotateKey(ctx, key, domain.Rotation{IdempotencyKey: idempotencyKey + "-rotate"})
				if err != nil {
					return "", err
				}
				return token.Reveal(), nil
			},
			func(caller domain.Principal) error { return w.project(caller, project).DeleteKey(ctx, key) },
			domain.CodeConflict, true,
		},
		"createProject": {
			func(caller domain.Principal) (string, error) {
				o, err := w.Organization(ctx, caller, org)
				w.check(err)
				p, err := o.CreateProject(ctx, domain.ProjectSpec{Name: "Second", IdempotencyKey: idempotencyKey + "-project"})
				secondProject = p.ID
				return string(p.ID), err
			},
			func(caller domain.Principal) error { return w.project(caller, secondProject).Delete(ctx) },
			domain.CodeConflict, true,
		},
		"createInvitation": {
			func(caller domain.Principal) (string, error) {
				o, err := w.Organization(ctx, caller, org)
				w.check(err)
				spec := domain.InvitationSpec{Email: "eve@example.com", Role: domain.Viewer, IdempotencyKey: idempotencyKey + "-invitation"}
				v, token, err := o.CreateInvitation(ctx, spec)
				invitation = v.ID
				return string(v.ID) + token, err
			},
			func(caller domain.Principal) error {
				o, err := w.Organization(ctx, caller, org)
				w.check(err)
				return o.RevokeInvitation(ctx, invitation)
			},
			domain.CodeConflict, true,
		},
		"createOrganization": {
			func(caller domain.Principal) (string, error) {
				o, err := w.CreateOrganization(ctx, caller, domain.OrganizationSpec{Name: "Other", IdempotencyKey: idempotencyKey + "-org"})
				secondOrganization = o.ID
				return string(o.ID), err
			},
			func(caller domain.Principal) error {
				o, err := w.Organization(ctx, caller, secondOrganization)
				w.check(err)
				return o.Delete(ctx)
			},
			domain.CodeConflict, false,
		},
	}
}

// Guarantees that who asks is part of what is remembered, and that rights are judged
// again: under one Idempotency-Key another caller gets nothing of the first one's
// answer, a caller who has been demoted since gets none, and no one gets what has
// ended since.
func TestRememberedForTheirCallerOnly(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		org, project := w.tenant(ann)
		bob := w.invite(org, "bob@example.com", domain.Owner)
		annID, _ := ann.UserID()
		p, err := project.Get()
		w.check(err)
		bobs := w.organization(bob, org)
		key, _, _ := w.key(project)
		for name, op := range w.remember(w.id(org), p.ID, key.ID) {
			theirs, err := op.ask(bob)
			w.check(err)
			first, err := op.ask(ann)
			w.check(err)
			again, err := op.ask(ann)
			if err != nil || again != first || first == theirs {
				w.Errorf("%s: got %.40s…, %v, after %.40s… and another caller's %.40s…", name, again, err, first, theirs)
			}
			if op.role {
				_, err = bobs.UpdateMember(w.Context(), annID, domain.Viewer)
				w.check(err)
				if _, err := op.ask(ann); domain.CodeOf(err) != domain.CodeForbidden {
					w.Errorf("%s by a demoted caller: got %v, want forbidden", name, err)
				}
				_, err = bobs.UpdateMember(w.Context(), annID, domain.Owner)
				w.check(err)
				if again, err = op.ask(ann); err != nil || again != first {
					w.Errorf("%s by a caller who is owner again: got %.40s…, %v, want %.40s…", name, again, err, first)
				}
			}
			w.check(op.end(ann))
			if _, err := op.ask(ann); domain.CodeOf(err) != op.ended {
				w.Errorf("%s after its end: got %v, want %s", name, err, op.ended)
			}
		}
	})
}

// Guarantees the same between keys: under one Idempotency-Key another key of the
// project, which may do the same, gets nothing of the first one's answer.
func TestRememberedForTheirKeyOnly(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		_, _, first := w.key(project, domain.KeysWrite)
		_, _, second := w.key(project, domain.KeysWrite)
		key, _, _ := w.key(project)
		operations := w.remember(w.id(org), w.projectID(project), key.ID)
		for _, name := range []string{"createKey", "rotateKey"} { // keys may not do the others
			op := operations[name]
			theirs, err := op.ask(second)
			w.check(err)
			mine, err := op.ask(first)
			w.check(err)
			again, err := op.ask(first)
			if err != nil || again != mine || mine == theirs {
				w.Errorf("%s: got %.40s…, %v, after %.40s… and another key's %.40s…", name, again, err, mine, theirs)
			}
		}
	})
}

// Guarantees that a node which answers from memory gives each person what is theirs:
// an access token speaks for its own user, a membership is of the person who has
// it, and a refresh token is good for its own session only.
func TestPeopleInMemoryAreApart(t *testing.T) {
	onEach(t, func(w *world) {
		in := map[string]service.SignedIn{}
		for _, email := range []string{"ann@example.com", "eve@example.com"} {
			signedIn, err := w.SignUp(w.Context(), domain.Origin{}, domain.SignUp{Email: email, Password: password})
			w.check(err)
			in[email] = signedIn
		}
		callers := map[string]domain.Principal{}
		for range 2 { // the second time from memory
			for email, s := range in {
				user, err := w.ProveUser(w.Context(), s.AccessToken)
				w.check(err)
				if user.User.Email != email || user.Session.ID != s.Session.ID {
					w.Errorf("the token of %s speaks for %s", email, user.User.Email)
				}
				callers[email] = domain.NewPrincipal(nil, user, domain.Origin{})
			}
		}
		_, project := w.tenant(callers["ann@example.com"])
		for range 2 {
			w.project(callers["ann@example.com"], w.projectID(project))
			_, err := w.Project(w.Context(), callers["eve@example.com"], w.projectID(project))
			w.code(err, domain.CodeNotFound)
		}
		ann, eve := in["ann@example.com"], in["eve@example.com"]
		next, err := w.Refresh(w.Context(), domain.Origin{}, ann.RefreshToken)
		w.check(err)
		for _, token := range []string{ann.RefreshToken, next.RefreshToken} { // one to be replayed, one not used yet
			_, rest, _ := strings.Cut(token, ".")
			_, err := w.Refresh(w.Context(), domain.Origin{}, string(eve.Session.ID)+"."+rest)
			w.code(err, domain.CodeInvalidToken)
		}
		for _, token := range []string{ann.RefreshToken, eve.RefreshToken} {
			_, err := w.Refresh(w.Context(), domain.Origin{}, token)
			w.check(err)
		}
	})
}
