package service

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// CreateProject makes a project in the organization. It needs projects:write. A
// slug that was asked for and is taken gives conflict.
func (o *Organization) CreateProject(ctx context.Context, spec domain.ProjectSpec) (domain.Project, error) {
	if err := o.Authorize(domain.ProjectsWrite); err != nil {
		return domain.Project{}, err
	}
	if err := spec.Validate(); err != nil {
		return domain.Project{}, err
	}
	now := o.app.now()
	project := domain.Project{
		ID:             domain.NewID[domain.ProjectID](now),
		OrganizationID: o.organization.ID,
		Name:           spec.Name,
		KeyPrefix:      spec.KeyPrefix,
		Status:         domain.Active,
		TokenTTL:       domain.DefaultTokenTTL,
		OnLeak:         domain.LeakRevokes,
		CreatedAt:      now,
		UpdatedAt:      now,
		Revision:       1,
	}
	if project.KeyPrefix == "" {
		project.KeyPrefix = o.app.keyPrefix
	}
	r, err := o.app.newRequest(o.caller, spec.IdempotencyKey.Reveal(), "createProject", o.organization.ID, spec)
	if err != nil {
		return domain.Project{}, err
	}
	return once(ctx, o.app, r, func(ctx context.Context, tx *repository.Store, _ source) (domain.Project, error) {
		err := withSlug(spec.Slug, spec.Name, "project", func(slug string) error {
			project.Slug = slug
			return tx.CreateProject(ctx, o.organization.Scope(), project)
		})
		if err != nil {
			return domain.Project{}, err
		}
		return project, o.app.record(ctx, tx, o.caller, projectEvent("project.created", project, domain.Diff(nil, projectFields(project))))
	}, func(ctx context.Context, tx *repository.Store, answer *domain.Project, _ source) error {
		_, err := tx.LockProject(ctx, answer.Scope())
		return ended(err)
	})
}

// ListProjects returns the organization's projects, newest first. It needs
// projects:read.
func (o *Organization) ListProjects(ctx context.Context, p domain.Page) (domain.List[domain.Project], error) {
	if err := o.Authorize(domain.ProjectsRead); err != nil {
		return domain.List[domain.Project]{}, err
	}
	return o.app.store.ListProjects(ctx, o.organization.Scope(), p)
}

// ProjectBySlug returns the handle for one of the organization's projects. Only
// the command line may.
func (o *Organization) ProjectBySlug(ctx context.Context, slug string) (*Project, error) {
	if err := requireSystem(o.caller); err != nil {
		return nil, err
	}
	project, err := o.app.store.GetProjectBySlug(ctx, o.organization.Scope(), slug)
	return &Project{o.grant, &project}, err
}

// ProjectOfKey returns the handle for the project that owns a key. Only the
// command line may.
func (a *App) ProjectOfKey(ctx context.Context, caller domain.Principal, id domain.KeyID) (*Project, error) {
	if err := requireSystem(caller); err != nil {
		return nil, err
	}
	project, err := a.store.GetProjectOfKey(ctx, id)
	return &Project{grant{app: a, caller: caller}, &project}, err
}

// ProjectOfPlan returns the handle for the project that has a plan. Only the command
// line may.
func (a *App) ProjectOfPlan(ctx context.Context, caller domain.Principal, id domain.PlanID) (*Project, error) {
	if err := requireSystem(caller); err != nil {
		return nil, err
	}
	project, err := a.store.GetProjectOfPlan(ctx, id)
	return &Project{grant{app: a, caller: caller}, &project}, err
}

// KeyPrefixes returns what tokens of the instance start with, in order: its own prefix
// and those of all projects. Only the command line may call it.
func (a *App) KeyPrefixes(ctx context.Context, caller domain.Principal) ([]string, error) {
	if err := requireSystem(caller); err != nil {
		return nil, err
	}
	used, err := a.store.KeyPrefixes(ctx)
	return slices.Compact(slices.Sorted(slices.Values(append(used, a.keyPrefix)))), err
}

// Project is a project in the hands of a caller who belongs there: one of its
// own keys, or a member of its organization.
type Project struct {
	grant
	project *domain.Project // shared with other handles: replaced, never changed
}

// Project returns the handle for a project. For a key, want is empty or the
// key's own project, which costs no query; for a user, a project of an
// organization they are a member of. All else is not_found.
func (a *App) Project(ctx context.Context, caller domain.Principal, want domain.ProjectID) (*Project, error) {
	p := &Project{grant: grant{app: a, caller: caller}}
	return p, p.find(ctx, want)
}

// find is apart from Project so that the handle need not leave its caller's
// stack.
func (p *Project) find(ctx context.Context, want domain.ProjectID) error {
	key, hasKey := p.caller.ProvenKey()
	if hasKey {
		p.project = &key.Tenant().Project
		if want != "" && want != p.project.ID {
			return domain.NotFound()
		}
		want = p.project.ID
	}
	switch user, hasUser := p.caller.UserID(); {
	case p.caller.IsSystem():
		project, err := p.app.store.GetProject(ctx, want)
		p.project = &project
		return err
	case hasUser:
		member, err := p.app.projectMember(ctx, user, want)
		if err != nil {
			return err
		}
		p.project, p.role, p.suspended = &member.Project, member.Role, member.Suspended()
	case !hasKey:
		return errAnonymous()
	}
	return nil
}

// Get returns the project. A user needs project:read; every good key may read
// its own project.
func (p *Project) Get() (domain.Project, error) {
	if p.caller.HasUser() && !p.role.Holds(domain.ProjectRead) {
		return domain.Project{}, p.Authorize(domain.ProjectRead)
	}
	return *p.project, nil
}

// Update changes name, slug, key prefix, status, limits, or what access tokens of
// keys are like. Disabling ends its keys immediately; a higher token epoch ends all
// access tokens of its keys. It needs project:write, for limits limits:write, too, and
// for the token epoch project:delete, as one who could end the keys themselves; a slug
// that is taken gives conflict.
func (p *Project) Update(ctx context.Context, patch domain.ProjectPatch) (domain.Project, error) {
	if err := p.Authorize(domain.ProjectWrite); err != nil {
		return domain.Project{}, err
	}
	if patch.Limits != nil {
		if err := p.Authorize(domain.LimitsWrite); err != nil {
			return domain.Project{}, err
		}
	}
	if patch.TokenEpoch != nil {
		if err := p.Authorize(domain.ProjectDelete); err != nil {
			return domain.Project{}, err
		}
	}
	return p.change(ctx, "project.updated", func(ctx context.Context, tx *repository.Store, before domain.Project) (domain.Project, error) {
		after, err := patch.Apply(before)
		if err == nil && patch.Limits != nil {
			err = fitsPlans(ctx, tx, after)
		}
		return after, err
	})
}

// fitsPlans returns validation_failed if the limits of a locked project are too many
// together with those of one of its plans.
func fitsPlans(ctx context.Context, tx *repository.Store, project domain.Project) error {
	plans, err := tx.AllPlans(ctx, project.Scope())
	if err != nil {
		return err
	}
	for _, plan := range plans {
		if err := tooManyLimits(domain.Effective(project.Limits, plan.Limits, nil)); err != nil {
			return err
		}
	}
	return nil
}

// Suspend stops the project: none of its keys works, members read and change
// nothing in it, and only Resume lifts that. Suspending it again changes the
// reason. Only the command line may.
func (p *Project) Suspend(ctx context.Context, reason string) (domain.Project, error) {
	suspension, err := p.suspension(reason)
	if err != nil {
		return domain.Project{}, err
	}
	return p.change(ctx, "project.suspended", func(_ context.Context, _ *repository.Store, project domain.Project) (domain.Project, error) {
		project.Suspended = project.Suspended.Again(suspension)
		return project, nil
	})
}

// Resume lifts what Suspend did. Only the command line may.
func (p *Project) Resume(ctx context.Context) (domain.Project, error) {
	if err := requireSystem(p.caller); err != nil {
		return domain.Project{}, err
	}
	return p.change(ctx, "project.resumed", func(_ context.Context, _ *repository.Store, project domain.Project) (domain.Project, error) {
		project.Suspended = domain.Suspension{}
		return project, nil
	})
}

// change is how every change to the project's own row is made, as
// Organization.change is for an organization.
func (p *Project) change(
	ctx context.Context, action string, change func(context.Context, *repository.Store, domain.Project) (domain.Project, error),
) (domain.Project, error) {
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		before, err := p.lock(ctx, tx)
		if err != nil {
			return err
		}
		after, err := change(ctx, tx, before)
		if err != nil {
			return err
		}
		p.project = &before
		changes := domain.Diff(projectFields(before), projectFields(after))
		if len(changes) == 0 {
			return nil
		}
		after.UpdatedAt, after.Revision = p.app.now(), before.Revision+1
		if err := tx.UpdateProject(ctx, after.Scope(), after); err != nil {
			return err
		}
		p.project = &after
		return p.app.record(ctx, tx, p.caller, projectEvent(action, after, changes))
	})
	return *p.project, err
}

// lock keeps others from changing the project until the transaction ends. What has
// been suspended since the handle was made is not changed by its members any more.
func (p *Project) lock(ctx context.Context, tx *repository.Store) (domain.Project, error) {
	project, err := p.lockAround(ctx, tx)
	if err != nil {
		return domain.Project{}, err
	}
	return project, p.precondition.Check(project.Revision)
}

// lockAround is like lock, for a change to something in the project: a precondition
// is about that.
func (p *Project) lockAround(ctx context.Context, tx *repository.Store) (domain.Project, error) {
	project, err := tx.LockProject(ctx, p.project.Scope())
	if err == nil && project.Suspended.Active() && !p.caller.IsSystem() {
		return domain.Project{}, errSuspended(project.Suspended)
	}
	return project, err
}

// Delete removes the project with its keys: immediately for all callers, and
// from the database in the background (see Run). It needs project:delete and a
// fresh sign-in, or a service account that may delete projects.
func (p *Project) Delete(ctx context.Context) error {
	if err := p.Authorize(domain.ProjectDelete); err != nil {
		return err
	}
	if user, ok := p.caller.User(); !ok || !user.User.MayDeleteProjects {
		if err := p.requireFreshSignIn(); err != nil {
			return err
		}
	}
	return p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if _, err := p.lock(ctx, tx); err != nil {
			return err
		}
		if err := tx.DeleteProject(ctx, p.project.Scope(), p.app.now()); err != nil {
			return err
		}
		return p.app.record(ctx, tx, p.caller, projectEvent("project.deleted", *p.project, nil))
	})
}

func projectEvent(action string, p domain.Project, changes domain.Changes) domain.Event {
	return domain.Event{
		Action:         action,
		Target:         domain.Target{Kind: "project", ID: string(p.ID), Name: p.Name},
		OrganizationID: p.OrganizationID,
		ProjectID:      p.ID,
		Changes:        changes,
	}
}

func projectFields(p domain.Project) map[string]any {
	fields := map[string]any{
		"name":        p.Name,
		"slug":        p.Slug,
		"key_prefix":  p.KeyPrefix,
		"status":      p.Status,
		"audience":    idOrNull(p.Audience),
		"token_ttl":   p.TokenTTL,
		"token_epoch": p.TokenEpoch,
		"on_leak":     p.OnLeak,
	}
	return withLimits(withSuspension(fields, p.Suspended), p.Limits)
}
