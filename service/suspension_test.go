package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// suspender suspends and resumes something.
type suspender struct {
	suspend, resume func(context.Context) error
}

// suspenders are the organization and the project of a tenant in the hands of the
// operator.
func (w *world) suspenders(o *service.Organization, p *service.Project) map[string]suspender {
	w.Helper()
	org, err := o.Get()
	w.check(err)
	project, err := p.Get()
	w.check(err)
	organization, err := w.Organization(w.Context(), domain.System(), org.ID)
	w.check(err)
	operators := w.project(domain.System(), project.ID)
	return map[string]suspender{
		"organization": {
			func(ctx context.Context) error { _, err := organization.Suspend(ctx, "unpaid"); return err },
			func(ctx context.Context) error { _, err := organization.Resume(ctx); return err },
		},
		"project": {
			func(ctx context.Context) error { _, err := operators.Suspend(ctx, "unpaid"); return err },
			func(ctx context.Context) error { _, err := operators.Resume(ctx); return err },
		},
	}
}

// Guarantees that a suspension ends all keys below on every node, that it is apart
// from the tenant's own status, and that its members cannot lift it.
func TestSuspensionIsNotTheTenantsOwn(t *testing.T) {
	onEach(t, func(w *world) {
		other := w.node()
		go other.Run(w.Context())
		ann := w.signUp("ann@example.com")
		org, project := w.tenant(ann)
		_, token, _ := w.key(project, "documents:read")
		for name, s := range w.suspenders(org, project) {
			answers := func(want domain.Code) {
				w.Helper()
				w.answers(map[string]domain.Code{token: want})
				servicetest.Eventually(w, string(want)+" on the other node", func() bool {
					_, err := other.ProveKey(w.Context(), token, nil)
					return domain.CodeOf(err) == want
				})
			}
			answers("")
			w.check(s.suspend(w.Context()))
			answers(domain.CodeProjectDisabled)
			v, err := w.VerifyKey(w.Context(), domain.System(), service.Question{Token: token})
			if err != nil || v.Code != service.VerifiedProjectDisabled {
				w.Errorf("%s: got %v, %v, want %s", name, v.Code, err, service.VerifiedProjectDisabled)
			}

			active := domain.Active
			o, err := w.Organization(w.Context(), ann, mustGet(w, org).ID)
			w.check(err)
			p, err := project.Get()
			w.check(err)
			_, orgErr := o.Update(w.Context(), domain.OrganizationPatch{Status: &active})
			_, projectErr := w.project(ann, p.ID).Update(w.Context(), domain.ProjectPatch{Status: &active})
			if name == "organization" {
				w.code(orgErr, domain.CodeForbidden)
			}
			w.code(projectErr, domain.CodeForbidden)
			answers(domain.CodeProjectDisabled)

			w.check(s.resume(w.Context()))
			answers("")
		}
	})
}

func mustGet(w *world, o *service.Organization) domain.MemberOf {
	w.Helper()
	org, err := o.Get()
	w.check(err)
	return org
}

// Guarantees that members of what is suspended read and export, and change nothing,
// also by a handle that was made before; that they may leave; and that no one but
// the operator suspends or resumes.
func TestMembersOfWhatIsSuspended(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		org, project := w.tenant(ann)
		key, _, _ := w.key(project)
		bob := w.signUp("bob@example.com")
		bobs, _ := bob.UserID()
		membership := domain.Membership{UserID: bobs, Role: domain.Viewer, JoinedAt: w.Now()}
		w.check(w.Store.AddMember(w.Context(), mustGet(w, org).Scope(), membership))
		_, err := org.Suspend(w.Context(), "mine")
		w.code(err, domain.CodeForbidden)
		_, err = project.Suspend(w.Context(), "mine")
		w.code(err, domain.CodeForbidden)
		before, err := w.Organization(w.Context(), ann, mustGet(w, org).ID)
		w.check(err)

		w.check(w.suspenders(org, project)["organization"].suspend(w.Context()))
		_, err = org.Resume(w.Context())
		w.code(err, domain.CodeForbidden)
		_, err = project.Resume(w.Context())
		w.code(err, domain.CodeForbidden)
		name := "renamed"
		_, err = before.Update(w.Context(), domain.OrganizationPatch{Name: &name})
		w.code(err, domain.CodeForbidden)

		org, err = w.Organization(w.Context(), ann, mustGet(w, org).ID)
		w.check(err)
		p, err := project.Get()
		w.check(err)
		project = w.project(ann, p.ID)
		page := domain.Page{Limit: 10}
		reads := map[string]func() error{
			"get":      func() error { _, err := org.Get(); return err },
			"members":  func() error { _, err := org.ListMembers(w.Context(), page); return err },
			"projects": func() error { _, err := org.ListProjects(w.Context(), page); return err },
			"events":   func() error { _, err := org.ListEvents(w.Context(), domain.EventFilter{}, page); return err },
			"keys":     func() error { _, err := project.ListKeys(w.Context(), domain.KeyFilter{}, page); return err },
			"key":      func() error { _, err := project.GetKey(w.Context(), key.ID); return err },
			"verify": func() error {
				_, err := project.VerifyKey(w.Context(), service.Question{Token: "lk_live_x"})
				return err
			},
		}
		for what, read := range reads {
			if err := read(); err != nil {
				w.Errorf("%s: got %v, want no error", what, err)
			}
		}
		writes := map[string]func() error{
			"create a project": func() error { _, err := org.CreateProject(w.Context(), domain.ProjectSpec{Name: "B"}); return err },
			"delete":           func() error { return org.Delete(w.Context()) },
			"change a member":  func() error { _, err := org.UpdateMember(w.Context(), bobs, domain.Admin); return err },
			"remove a member":  func() error { return org.RemoveMember(w.Context(), bobs) },
			"change a project": func() error { _, err := project.Update(w.Context(), domain.ProjectPatch{Name: &name}); return err },
			"delete a project": func() error { return project.Delete(w.Context()) },
			"create a key":     func() error { _, _, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k"}); return err },
			"change a key": func() error {
				_, err := project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{Name: &name})
				return err
			},
			"revoke a key": func() error { _, err := project.RevokeKey(w.Context(), key.ID, ""); return err },
			"rotate a key": func() error { _, _, err := project.RotateKey(w.Context(), key.ID, domain.Rotation{}); return err },
			"delete a key": func() error { return project.DeleteKey(w.Context(), key.ID) },
			"import keys":  func() error { _, err := project.ImportKeys(w.Context(), nil); return err },
			"invite": func() error {
				_, _, err := org.CreateInvitation(w.Context(), domain.InvitationSpec{Email: "c@example.com", Role: domain.Viewer})
				return err
			},
			"revoke invitation": func() error { return org.RevokeInvitation(w.Context(), domain.NewID[domain.InvitationID](w.Now())) },
		}
		for what, write := range writes {
			if got := domain.CodeOf(write()); got != domain.CodeForbidden {
				w.Errorf("%s: got %q, want %s", what, got, domain.CodeForbidden)
			}
		}
		left, err := w.Organization(w.Context(), bob, mustGet(w, org).ID)
		w.check(err)
		w.check(left.RemoveMember(w.Context(), bobs))
	})
}

// Guarantees that the owner of an organization cannot make away with a project that
// is suspended by deleting what it belongs to: its tokens would be free to be
// imported into another project, and work again.
func TestSuspendedProjectKeepsItsOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		s := w.suspenders(org, project)["project"]
		w.check(s.suspend(w.Context()))
		w.code(org.Delete(w.Context()), domain.CodeForbidden)
		_, err := org.Get()
		w.check(err)
		w.check(s.resume(w.Context()))
		w.check(org.Delete(w.Context()))
	})
}

// Guarantees that what the operator did, and why, is in the tenant's own trail.
func TestSuspensionEvents(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		w.Pass(time.Minute)
		began := w.Now()
		s := w.suspenders(org, project)["project"]
		w.check(s.suspend(w.Context()))
		w.check(s.suspend(w.Context())) // for the same reason: nothing changes
		w.Pass(time.Minute)
		w.check(s.resume(w.Context()))
		w.check(s.resume(w.Context()))
		list, err := org.ListEvents(w.Context(), domain.EventFilter{}, domain.Page{Limit: 2})
		w.check(err)
		p, err := project.Get()
		w.check(err)
		at := began.Format(time.RFC3339Nano)
		event := domain.Event{
			Actor: domain.System().Actor(), Target: domain.Target{Kind: "project", ID: string(p.ID), Name: p.Name},
			OrganizationID: p.OrganizationID, ProjectID: p.ID,
		}
		suspended, resumed := event, event
		suspended.At, suspended.Action = began, "project.suspended"
		suspended.Changes = domain.Changes{"suspended_at": {nil, at}, "suspended_reason": {nil, "unpaid"}}
		resumed.At, resumed.Action = w.Now(), "project.resumed"
		resumed.Changes = domain.Changes{"suspended_at": {at, nil}, "suspended_reason": {"unpaid", nil}}
		want := []domain.Event{resumed, suspended}
		for i := range list.Items {
			list.Items[i].ID = ""
		}
		if diff := cmp.Diff(want, list.Items); diff != "" {
			w.Error(diff)
		}
	})
}
