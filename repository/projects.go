package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// projectStanding is true for a project that is not being deleted.
const projectStanding = "p.deleted_at IS NULL"

type projectRow struct {
	bun.BaseModel `bun:"table:projects,alias:p"`

	ID             domain.ProjectID `bun:",pk"`
	OrganizationID domain.OrganizationID
	Name           string
	Slug           string
	KeyPrefix      string
	Status         domain.Status
	CreatedAt      micros
	UpdatedAt      micros
	Revision       int64

	SuspendedAt     micros
	SuspendedReason string
	Limits          []domain.Limit `bun:"type:jsonb"`
	Audience        string
	TokenTTL        int64
	TokenEpoch      int64
	OnLeak          domain.OnLeak

	Organization *organizationRow `bun:"rel:belongs-to,join:organization_id=id"`
	Role         domain.Role      `bun:",scanonly"` // of the member who asks
}

func (r projectRow) project() domain.Project {
	return domain.Project{
		ID:             r.ID,
		OrganizationID: r.OrganizationID,
		Name:           r.Name,
		Slug:           r.Slug,
		KeyPrefix:      r.KeyPrefix,
		Status:         r.Status,
		Suspended:      domain.Suspension{Since: r.SuspendedAt.Time, Reason: r.SuspendedReason},
		Limits:         someOrNil(r.Limits),
		Audience:       r.Audience,
		TokenTTL:       r.TokenTTL,
		TokenEpoch:     r.TokenEpoch,
		OnLeak:         r.OnLeak,
		CreatedAt:      r.CreatedAt.Time,
		UpdatedAt:      r.UpdatedAt.Time,
		Revision:       r.Revision,
	}
}

func newProjectRow(p domain.Project) *projectRow {
	return &projectRow{
		ID:              p.ID,
		OrganizationID:  p.OrganizationID,
		Name:            p.Name,
		Slug:            p.Slug,
		KeyPrefix:       p.KeyPrefix,
		Status:          p.Status,
		SuspendedAt:     micros{p.Suspended.Since},
		SuspendedReason: p.Suspended.Reason,
		Limits:          listed(p.Limits),
		Audience:        p.Audience,
		TokenTTL:        p.TokenTTL,
		TokenEpoch:      p.TokenEpoch,
		OnLeak:          p.OnLeak,
		CreatedAt:       micros{p.CreatedAt},
		UpdatedAt:       micros{p.UpdatedAt},
		Revision:        p.Revision,
	}
}

// CreateProject adds a project to the organization; a slug that is taken there
// gives conflict.
func (s *Store) CreateProject(ctx context.Context, scope domain.OrganizationScope, p domain.Project) error {
	p.OrganizationID = scope.Organization()
	return s.insert(ctx, newProjectRow(p))
}

// GetProject returns a project by id. It does not check the caller, who must
// have proved their permission in another way.
func (s *Store) GetProject(ctx context.Context, id domain.ProjectID) (domain.Project, error) {
	var row projectRow
	err := s.projectsOfAll(&row).Where("p.id = ?", id).Scan(ctx)
	return row.project(), s.error(err)
}

// GetProjectOfKey returns the project that owns a key. It does not check the
// caller.
func (s *Store) GetProjectOfKey(ctx context.Context, id domain.KeyID) (domain.Project, error) {
	var row projectRow
	err := s.projectsOfAll(&row).Join("JOIN api_keys AS k ON k.project_id = p.id").Where("k.id = ?", id).Scan(ctx)
	return row.project(), s.error(err)
}

// GetProjectOfPlan returns the project that has a plan. It does not check the caller.
func (s *Store) GetProjectOfPlan(ctx context.Context, id domain.PlanID) (domain.Project, error) {
	var row projectRow
	err := s.projectsOfAll(&row).Join("JOIN plans AS l ON l.project_id = p.id").Where("l.id = ?", id).Scan(ctx)
	return row.project(), s.error(err)
}

// projectsOfAll starts a query of the projects of all tenants.
func (s *Store) projectsOfAll(model any) *bun.SelectQuery {
	return s.read.NewSelect().Model(model).Join("JOIN organizations AS o ON o.id = p.organization_id").Where(standing).
		Where(projectStanding)
}

// GetProjectBySlug returns one of the organization's projects.
func (s *Store) GetProjectBySlug(ctx context.Context, scope domain.OrganizationScope, slug string) (domain.Project, error) {
	var row projectRow
	err := selectIn(s, scope, &row).Where("p.slug = ?", slug).Where(projectStanding).Scan(ctx)
	return row.project(), s.error(err)
}

// ProjectAsMember returns a project of an organization that the user is a
// member of, with that organization and their role there; not_found if it does
// not exist or they are not a member.
func (s *Store) ProjectAsMember(ctx context.Context, user domain.UserID, id domain.ProjectID) (domain.Project, domain.MemberOf, error) {
	var row projectRow
	err := s.read.NewSelect().Model(&row).ColumnExpr("?TableColumns").ColumnExpr("m.role AS role").Relation("Organization").
		Join("JOIN memberships AS m ON m.organization_id = p.organization_id").
		Where("p.id = ?", id).Where("m.user_id = ?", user).Where(projectStanding).Scan(ctx)
	if err != nil {
		return domain.Project{}, domain.MemberOf{}, s.error(err)
	}
	return row.project(), domain.MemberOf{Organization: row.Organization.organization(), Role: row.Role}, nil
}

// CountProjects returns how many projects the instance has.
func (s *Store) CountProjects(ctx context.Context) (int, error) {
	n, err := s.read.NewSelect().Model((*projectRow)(nil)).Where(projectStanding).Count(ctx)
	return int(n), s.error(err)
}

// ListProjects returns the organization's projects, newest first.
func (s *Store) ListProjects(ctx context.Context, scope domain.OrganizationScope, p domain.Page) (domain.List[domain.Project], error) {
	var rows []projectRow
	if err := newest(selectIn(s, scope, &rows).Where(projectStanding), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.Project]{}, s.error(err)
	}
	return list(rows, p, projectRow.project, func(p domain.Project) domain.Cursor {
		return domain.Cursor{At: p.CreatedAt, ID: string(p.ID)}
	}), nil
}

// KeyPrefixes returns what tokens of projects start with, each prefix once.
func (s *Store) KeyPrefixes(ctx context.Context) (prefixes []string, err error) {
	err = s.read.NewSelect().Model((*projectRow)(nil)).ColumnExpr("DISTINCT p.key_prefix").Where(projectStanding).Scan(ctx, &prefixes)
	return prefixes, s.error(err)
}

// HasSuspendedProject reports whether the operator has suspended one of the
// organization's projects.
func (s *Store) HasSuspendedProject(ctx context.Context, scope domain.OrganizationScope) (bool, error) {
	found, err := selectIn(s, scope, (*projectRow)(nil)).Where("p.suspended_at IS NOT NULL").Where(projectStanding).Exists(ctx)
	return found, s.error(err)
}

// LockProject returns the current project and locks it until the transaction
// ends.
func (s *Store) LockProject(ctx context.Context, scope domain.ProjectScope) (domain.Project, error) {
	var row projectRow
	err := s.engine.forUpdate(selectIn(s, scope, &row).Where(projectStanding)).Scan(ctx)
	return row.project(), s.error(err)
}

// UpdateProject stores p, which must be one revision ahead of the row;
// otherwise it returns conflict.
func (s *Store) UpdateProject(ctx context.Context, scope domain.ProjectScope, p domain.Project) error {
	res, err := updateIn(s, scope, newProjectRow(p)).ExcludeColumn("id", "organization_id", "created_at").
		Where("p.revision = ?", p.Revision-1).Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// DeleteProject ends the project immediately: it is no longer found, its keys
// stop working, and its slug is free. PurgeProjects removes its keys.
func (s *Store) DeleteProject(ctx context.Context, scope domain.ProjectScope, now time.Time) error {
	res, err := updateIn(s, scope, (*projectRow)(nil)).
		Set("deleted_at = ?", micros{now}).Set("status = ?", domain.Disabled).Set("slug = id").Where(projectStanding).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// PurgeProjects removes at most limit keys or rows of usage of a deleted project, in
// its own transaction, and reports whether there may be more. The row of the project
// goes last.
func (s *Store) PurgeProjects(ctx context.Context, limit int) (more bool, err error) {
	var deleted []projectRow
	err = s.read.NewSelect().Model(&deleted).Where("p.deleted_at IS NOT NULL").Limit(1).Scan(ctx)
	if err != nil || len(deleted) == 0 {
		return false, s.error(err)
	}
	scope := deleted[0].project().Scope()
	if n, err := purgeSome(ctx, s, scope, (*keyRow)(nil), limit); err != nil || n > 0 {
		return n > 0, err
	}
	if n, err := purgeUsage(ctx, s, scope, limit); err != nil || n > 0 {
		return n > 0, err
	}
	if n, err := purgeCounters(ctx, s, scope, limit); err != nil || n > 0 {
		return n > 0, err
	}
	if n, err := purgeSome(ctx, s, scope, (*creditEntryRow)(nil), limit); err != nil || n > 0 {
		return n > 0, err
	}
	_, err = deleteIn(s, scope, (*projectRow)(nil)).Where("p.deleted_at IS NOT NULL").Exec(ctx)
	return err == nil, s.error(err)
}
