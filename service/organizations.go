package service

import (
	"cmp"
	"context"
	"fmt"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// slugTries bounds the search for a free slug when one is derived from a name.
const slugTries = 20

// CreateOrganization makes an organization whose owner is the calling user; the
// command line names the owner. A slug that was asked for and is taken gives
// conflict; one derived from the name gets a suffix instead.
func (a *App) CreateOrganization(ctx context.Context, caller domain.Principal, spec domain.OrganizationSpec) (domain.MemberOf, error) {
	if err := requirePerson(caller); err != nil {
		return domain.MemberOf{}, err
	}
	if user, ok := caller.User(); ok {
		spec.Owner = user.User.ID
	} else if !caller.IsSystem() {
		return domain.MemberOf{}, errAnonymous()
	}
	if err := spec.Validate(); err != nil {
		return domain.MemberOf{}, err
	}
	now := a.now()
	org := domain.Organization{
		ID:        domain.NewID[domain.OrganizationID](now),
		Name:      spec.Name,
		Status:    domain.Active,
		CreatedAt: now,
		UpdatedAt: now,
		Revision:  1,
	}
	r, err := a.newRequest(caller, spec.IdempotencyKey.Reveal(), "createOrganization", spec.Owner, spec)
	if err != nil {
		return domain.MemberOf{}, err
	}
	return once(ctx, a, r, func(ctx context.Context, tx *repository.Store, _ source) (domain.MemberOf, error) {
		err := withSlug(spec.Slug, spec.Name, "organization", func(slug string) error {
			org.Slug = slug
			return tx.CreateOrganization(ctx, org)
		})
		if err != nil {
			return domain.MemberOf{}, err
		}
		if err := tx.AddMember(ctx, org.Scope(), domain.Membership{UserID: spec.Owner, Role: domain.Owner, JoinedAt: now}); err != nil {
			return domain.MemberOf{}, err
		}
		return domain.MemberOf{Organization: org, Role: domain.Owner}, a.record(ctx, tx, caller, domain.Event{
			Action: "organization.created", Target: organizationTarget(org), OrganizationID: org.ID,
			Changes: domain.Diff(nil, organizationFields(org)),
		})
	}, func(ctx context.Context, tx *repository.Store, answer *domain.MemberOf, _ source) error {
		_, err := tx.OrganizationAsMember(ctx, spec.Owner, answer.ID)
		return ended(err)
	})
}

// withSlug creates something under the slug that was asked for, or under the
// first free one derived from its name.
func withSlug(asked, name, fallback string, create func(slug string) error) error {
	if asked != "" {
		err := create(asked)
		if domain.CodeOf(err) == domain.CodeConflict {
			return domain.Errorf(domain.CodeConflict, "The slug is taken. Choose another, or leave it out to have one made.")
		}
		return err
	}
	base := domain.SlugFrom(name, fallback)
	slug := base
	for try := 2; ; try++ {
		err := create(slug)
		if domain.CodeOf(err) != domain.CodeConflict || try > slugTries {
			return err
		}
		slug = fmt.Sprintf("%s-%d", base, try)
		if try > slugTries/2 { // a crowded name: stop counting, draw
			slug = base + "-" + domain.RandomSlug()
		}
	}
}

// ListOrganizations returns the organizations that the calling user is a member
// of, newest first; to the command line, all.
func (a *App) ListOrganizations(ctx context.Context, caller domain.Principal, p domain.Page) (domain.List[domain.MemberOf], error) {
	if user, ok := caller.User(); ok {
		return a.store.ListOrganizationsOf(ctx, user.User.ID, p)
	}
	if caller.IsSystem() {
		return a.store.ListOrganizations(ctx, p)
	}
	return domain.List[domain.MemberOf]{}, errAnonymous()
}

// Organization is an organization in the hands of a caller who belongs there.
type Organization struct {
	grant
	organization domain.Organization
}

// Organization returns the handle for an organization; not_found to callers who
// are not members, as if it did not exist.
func (a *App) Organization(ctx context.Context, caller domain.Principal, id domain.OrganizationID) (*Organization, error) {
	o := &Organization{grant: grant{app: a, caller: caller}}
	if caller.IsSystem() {
		var err error
		o.organization, err = a.store.GetOrganization(ctx, id)
		return o, err
	}
	user, ok := caller.User()
	if !ok {
		return nil, errAnonymous()
	}
	member, err := a.organizationMember(ctx, user.User.ID, id)
	o.organization, o.role, o.suspended = member.Organization, member.Role, member.Organization.Suspended
	return o, err
}

// OrganizationBySlug returns the handle for the organization with a slug. Only
// the command line may.
func (a *App) OrganizationBySlug(ctx context.Context, caller domain.Principal, slug string) (*Organization, error) {
	if err := requireSystem(caller); err != nil {
		return nil, err
	}
	o := &Organization{grant: grant{app: a, caller: caller}}
	var err error
	o.organization, err = a.store.GetOrganizationBySlug(ctx, slug)
	return o, err
}

// Get returns the organization and the caller's role in it. It needs
// organization:read.
func (o *Organization) Get() (domain.MemberOf, error) {
	return domain.MemberOf{Organization: o.organization, Role: o.role}, o.Authorize(domain.OrganizationRead)
}

// Update changes name, slug or status. Disabling ends every key below
// immediately. It needs organization:write; a slug that is taken gives conflict.
func (o *Organization) Update(ctx context.Context, patch domain.OrganizationPatch) (domain.MemberOf, error) {
	if err := o.Authorize(domain.OrganizationWrite); err != nil {
		return domain.MemberOf{}, err
	}
	return o.change(ctx, "organization.updated", patch.Apply)
}

// Suspend stops the organization: none of its keys works, its members read and
// change nothing, and only Resume lifts that. Suspending it again changes the
// reason. Only the command line may.
func (o *Organization) Suspend(ctx context.Context, reason string) (domain.MemberOf, error) {
	suspension, err := o.suspension(reason)
	if err != nil {
		return domain.MemberOf{}, err
	}
	return o.change(ctx, "organization.suspended", func(org domain.Organization) (domain.Organization, error) {
		org.Suspended = org.Suspended.Again(suspension)
		return org, nil
	})
}

// Resume lifts what Suspend did. Only the command line may.
func (o *Organization) Resume(ctx context.Context) (domain.MemberOf, error) {
	if err := requireSystem(o.caller); err != nil {
		return domain.MemberOf{}, err
	}
	return o.change(ctx, "organization.resumed", func(org domain.Organization) (domain.Organization, error) {
		org.Suspended = domain.Suspension{}
		return org, nil
	})
}

// change is how every change to the organization's own row is made: under a lock,
// one revision on, with what changed in the audit trail. A change that changes
// nothing is neither stored nor recorded.
func (o *Organization) change(
	ctx context.Context, action string, change func(domain.Organization) (domain.Organization, error),
) (domain.MemberOf, error) {
	err := o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := o.lock(ctx, tx); err != nil {
			return err
		}
		if err := cmp.Or(o.Authorize(domain.OrganizationWrite), o.precondition.Check(o.organization.Revision)); err != nil {
			return err
		}
		before := o.organization
		after, err := change(before)
		if err != nil {
			return err
		}
		changes := domain.Diff(organizationFields(before), organizationFields(after))
		if len(changes) == 0 {
			return nil
		}
		after.UpdatedAt, after.Revision = o.app.now(), before.Revision+1
		if err := tx.UpdateOrganization(ctx, after.Scope(), after); err != nil {
			return err
		}
		o.organization = after
		return o.app.record(ctx, tx, o.caller, domain.Event{
			Action: action, Target: organizationTarget(after), OrganizationID: after.ID, Changes: changes,
		})
	})
	return domain.MemberOf{Organization: o.organization, Role: o.role}, err
}

// Delete removes the organization with everything below it, including its audit
// trail. For all callers it is gone immediately, and its keys stop working; the
// rows are removed in the background (see Run). It needs organization:delete
// and a fresh sign-in, and that no project is suspended.
func (o *Organization) Delete(ctx context.Context) error {
	if err := o.Authorize(domain.OrganizationDelete); err != nil {
		return err
	}
	if err := o.requireFreshSignIn(); err != nil {
		return err
	}
	return o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := o.lock(ctx, tx); err != nil {
			return err
		}
		if err := cmp.Or(o.Authorize(domain.OrganizationDelete), o.precondition.Check(o.organization.Revision),
			o.deletable(ctx, tx)); err != nil {
			return err
		}
		if err := tx.DeleteOrganization(ctx, o.organization.Scope(), o.app.now()); err != nil {
			return err
		}
		// Its own trail goes with it; that it was deleted, and by whom, is kept.
		return o.app.record(ctx, tx, o.caller, domain.Event{Action: "organization.deleted", Target: organizationTarget(o.organization)})
	})
}

// deletable returns forbidden to members while one of the projects is suspended.
// A suspended project is only read, and deleting what it belongs to would free its
// tokens, which could then be imported elsewhere and work again.
func (o *Organization) deletable(ctx context.Context, tx *repository.Store) error {
	if o.caller.IsSystem() {
		return nil
	}
	suspended, err := tx.HasSuspendedProject(ctx, o.organization.Scope())
	if err != nil || !suspended {
		return err
	}
	return domain.Errorf(domain.CodeForbidden,
		"The operator of this instance has suspended a project of this organization, "+
			"so the organization cannot be deleted. Ask the operator.")
}

func organizationTarget(o domain.Organization) domain.Target {
	return domain.Target{Kind: "organization", ID: string(o.ID), Name: o.Name}
}

func organizationFields(o domain.Organization) map[string]any {
	return withSuspension(map[string]any{"name": o.Name, "slug": o.Slug, "status": o.Status}, o.Suspended)
}

// purgeBatch bounds how many rows are removed in one transaction, so that no
// request waits for the removal of a large organization or project.
const purgeBatch = 500

// purge removes what deleted organizations and projects owned. If the process
// ends, it or another node continues later.
func (a *App) purge(ctx context.Context) error {
	for _, purge := range []func(context.Context, int) (bool, error){a.store.PurgeOrganizations, a.store.PurgeProjects} {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = purge(ctx, purgeBatch); err != nil {
				return err
			}
		}
	}
	return nil
}
