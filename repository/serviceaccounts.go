package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// serviceAccountRow is the user of a service account, with what only these have.
type serviceAccountRow struct {
	bun.BaseModel `bun:"table:users,alias:u"`

	ID                domain.UserID `bun:",pk"`
	OrganizationID    domain.OrganizationID
	Kind              domain.UserKind
	Email             string
	Name              string
	PasswordHash      string
	EmailVerified     bool
	Operator          bool
	Status            domain.Status
	MayDeleteProjects bool
	CreatedAt         micros
	UpdatedAt         micros
	Revision          int64

	Role domain.Role `bun:",scanonly"`
}

func (r serviceAccountRow) account() domain.ServiceAccount {
	return domain.ServiceAccount{
		ID:                r.ID,
		OrganizationID:    r.OrganizationID,
		Name:              r.Name,
		Role:              r.Role,
		Status:            r.Status,
		MayDeleteProjects: r.MayDeleteProjects,
		CreatedAt:         r.CreatedAt.Time,
		UpdatedAt:         r.UpdatedAt.Time,
		Revision:          r.Revision,
	}
}

func newServiceAccountRow(scope domain.OrganizationScope, a domain.ServiceAccount) *serviceAccountRow {
	return &serviceAccountRow{
		ID:                a.ID,
		OrganizationID:    scope.Organization(),
		Kind:              domain.ServiceUser,
		Email:             string(a.ID),
		Name:              a.Name,
		Status:            a.Status,
		MayDeleteProjects: a.MayDeleteProjects,
		CreatedAt:         micros{a.CreatedAt},
		UpdatedAt:         micros{a.UpdatedAt},
		Revision:          a.Revision,
	}
}

// CreateServiceAccount adds a service account, which is a member from then on.
func (s *Store) CreateServiceAccount(ctx context.Context, scope domain.OrganizationScope, a domain.ServiceAccount) error {
	if err := s.insert(ctx, newServiceAccountRow(scope, a)); err != nil {
		return err
	}
	return s.AddMember(ctx, scope, domain.Membership{UserID: a.ID, Role: a.Role, JoinedAt: a.CreatedAt})
}

// GetServiceAccount returns a service account of the organization.
func (s *Store) GetServiceAccount(
	ctx context.Context, scope domain.OrganizationScope, id domain.UserID,
) (domain.ServiceAccount, error) {
	var row serviceAccountRow
	err := serviceAccountsIn(s, scope, &row).Where("u.id = ?", id).Scan(ctx)
	return row.account(), s.error(err)
}

// CountServiceAccounts returns how many service accounts the organization has.
func (s *Store) CountServiceAccounts(ctx context.Context, scope domain.OrganizationScope) (int, error) {
	n, err := selectIn(s, scope, (*serviceAccountRow)(nil)).Count(ctx)
	return int(n), s.error(err)
}

// ListServiceAccounts returns the organization's service accounts, newest first.
func (s *Store) ListServiceAccounts(
	ctx context.Context, scope domain.OrganizationScope, p domain.Page,
) (domain.List[domain.ServiceAccount], error) {
	var rows []serviceAccountRow
	if err := newest(serviceAccountsIn(s, scope, &rows), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.ServiceAccount]{}, s.error(err)
	}
	return list(rows, p, serviceAccountRow.account, func(a domain.ServiceAccount) domain.Cursor {
		return domain.Cursor{At: a.CreatedAt, ID: string(a.ID)}
	}), nil
}

// UpdateServiceAccount stores a, which must be one revision ahead of the row; otherwise
// it returns conflict.
func (s *Store) UpdateServiceAccount(ctx context.Context, scope domain.OrganizationScope, a domain.ServiceAccount) error {
	res, err := updateIn(s, scope, newServiceAccountRow(scope, a)).
		Column("name", "status", "may_delete_projects", "updated_at", "revision").
		Where("u.id = ?", a.ID).Where("u.revision = ?", a.Revision-1).Exec(ctx)
	if err := s.changed(res, err, conflict(nil)); err != nil {
		return err
	}
	return s.SetRole(ctx, scope, a.ID, a.Role)
}

// DeleteServiceAccount removes a service account with its tokens.
func (s *Store) DeleteServiceAccount(ctx context.Context, scope domain.OrganizationScope, id domain.UserID) error {
	res, err := deleteIn(s, scope, (*serviceAccountRow)(nil)).Where("u.id = ?", id).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// serviceAccountsIn starts a query of the organization's service accounts, with their
// roles.
func serviceAccountsIn(s *Store, scope domain.OrganizationScope, model any) *bun.SelectQuery {
	return selectIn(s, scope, model).ColumnExpr("?TableColumns").ColumnExpr("m.role AS role").
		Join("JOIN memberships AS m ON m.user_id = u.id AND m.organization_id = u.organization_id")
}
