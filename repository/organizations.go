package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// standing is true for an organization that is not being deleted. Queries by
// membership do not need it: an organization that is being deleted has no
// members.
const standing = "o.deleted_at IS NULL"

type organizationRow struct {
	bun.BaseModel `bun:"table:organizations,alias:o"`

	ID        domain.OrganizationID `bun:",pk"`
	Name      string
	Slug      string
	Status    domain.Status
	CreatedAt micros
	UpdatedAt micros
	Revision  int64

	SuspendedAt     micros
	SuspendedReason string

	Role domain.Role `bun:",scanonly"` // of the member who asks
}

func (r organizationRow) organization() domain.Organization {
	return domain.Organization{
		ID:        r.ID,
		Name:      r.Name,
		Slug:      r.Slug,
		Status:    r.Status,
		Suspended: domain.Suspension{Since: r.SuspendedAt.Time, Reason: r.SuspendedReason},
		CreatedAt: r.CreatedAt.Time,
		UpdatedAt: r.UpdatedAt.Time,
		Revision:  r.Revision,
	}
}

func (r organizationRow) memberOf() domain.MemberOf {
	return domain.MemberOf{Organization: r.organization(), Role: r.Role}
}

func newOrganizationRow(o domain.Organization) *organizationRow {
	return &organizationRow{
		ID:              o.ID,
		Name:            o.Name,
		Slug:            o.Slug,
		Status:          o.Status,
		SuspendedAt:     micros{o.Suspended.Since},
		SuspendedReason: o.Suspended.Reason,
		CreatedAt:       micros{o.CreatedAt},
		UpdatedAt:       micros{o.UpdatedAt},
		Revision:        o.Revision,
	}
}

// CreateOrganization adds an organization; a slug that is taken gives conflict.
func (s *Store) CreateOrganization(ctx context.Context, o domain.Organization) error {
	return s.insert(ctx, newOrganizationRow(o))
}

// GetOrganization returns an organization by id. It does not check the caller,
// who must have proved their permission in another way.
func (s *Store) GetOrganization(ctx context.Context, id domain.OrganizationID) (domain.Organization, error) {
	var row organizationRow
	err := s.read.NewSelect().Model(&row).Where("o.id = ?", id).Where(standing).Scan(ctx)
	return row.organization(), s.error(err)
}

// GetOrganizationBySlug is like GetOrganization, but takes a slug.
func (s *Store) GetOrganizationBySlug(ctx context.Context, slug string) (domain.Organization, error) {
	var row organizationRow
	err := s.read.NewSelect().Model(&row).Where("o.slug = ?", slug).Where(standing).Scan(ctx)
	return row.organization(), s.error(err)
}

// OrganizationAsMember returns an organization that the user is a member of;
// not_found if it does not exist or they are not.
func (s *Store) OrganizationAsMember(ctx context.Context, user domain.UserID, id domain.OrganizationID) (domain.MemberOf, error) {
	var row organizationRow
	err := s.organizationsOf(user, &row).Where("o.id = ?", id).Scan(ctx)
	return row.memberOf(), s.error(err)
}

// ListOrganizationsOf returns the organizations that the user is a member of,
// newest first.
func (s *Store) ListOrganizationsOf(ctx context.Context, user domain.UserID, p domain.Page) (domain.List[domain.MemberOf], error) {
	var rows []organizationRow
	if err := newest(s.organizationsOf(user, &rows), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.MemberOf]{}, s.error(err)
	}
	return list(rows, p, organizationRow.memberOf, organizationCursor), nil
}

// maxNamesAround bounds how many organizations a password is held against. The
// oldest ones count: a stranger can invite a person to any number of new ones.
const maxNamesAround = 100

// OrganizationNamesAround returns the names and slugs of the organizations that a
// user is a member of, or that one of the addresses has been invited to.
func (s *Store) OrganizationNamesAround(ctx context.Context, user domain.UserID, emails []string) (names []string, err error) {
	var rows []organizationRow
	err = s.read.NewSelect().Model(&rows).Column("name", "slug").Where(standing).
		WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("o.id IN (SELECT m.organization_id FROM memberships AS m WHERE m.user_id = ?)", user).
				WhereOr("o.id IN (SELECT i.organization_id FROM invitations AS i WHERE i.email IN (?))", bun.List(emails))
		}).Order("created_at", "id").Limit(maxNamesAround).Scan(ctx)
	for _, row := range rows {
		names = append(names, row.Name, row.Slug)
	}
	return names, s.error(err)
}

// CountOrganizations returns how many organizations the instance has.
func (s *Store) CountOrganizations(ctx context.Context) (int, error) {
	n, err := s.read.NewSelect().Model((*organizationRow)(nil)).Where(standing).Count(ctx)
	return int(n), s.error(err)
}

// ListOrganizations returns all organizations of the instance, newest first,
// without roles.
func (s *Store) ListOrganizations(ctx context.Context, p domain.Page) (domain.List[domain.MemberOf], error) {
	var rows []organizationRow
	if err := newest(s.read.NewSelect().Model(&rows).Where(standing), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.MemberOf]{}, s.error(err)
	}
	return list(rows, p, organizationRow.memberOf, organizationCursor), nil
}

func organizationCursor(o domain.MemberOf) domain.Cursor {
	return domain.Cursor{At: o.CreatedAt, ID: string(o.ID)}
}

// organizationsOf starts a query of the organizations that a user belongs to,
// with their role.
func (s *Store) organizationsOf(user domain.UserID, model any) *bun.SelectQuery {
	return s.read.NewSelect().Model(model).ColumnExpr("?TableColumns").ColumnExpr("m.role AS role").
		Join("JOIN memberships AS m ON m.organization_id = o.id").Where("m.user_id = ?", user)
}

// LockOrganization returns the current organization and locks it until the
// transaction ends.
func (s *Store) LockOrganization(ctx context.Context, scope domain.OrganizationScope) (domain.Organization, error) {
	var row organizationRow
	err := s.engine.forUpdate(selectIn(s, scope, &row).Where(standing)).Scan(ctx)
	return row.organization(), s.error(err)
}

// UpdateOrganization stores o, which must be one revision ahead of the row;
// otherwise it returns conflict.
func (s *Store) UpdateOrganization(ctx context.Context, scope domain.OrganizationScope, o domain.Organization) error {
	res, err := updateIn(s, scope, newOrganizationRow(o)).ExcludeColumn("id", "created_at").
		Where("o.revision = ?", o.Revision-1).Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// DeleteOrganization ends the organization immediately: it is no longer found,
// its keys stop working, and its slug is free. PurgeOrganizations removes what
// it owned.
func (s *Store) DeleteOrganization(ctx context.Context, scope domain.OrganizationScope, now time.Time) error {
	res, err := updateIn(s, scope, (*organizationRow)(nil)).
		Set("deleted_at = ?", micros{now}).Set("status = ?", domain.Disabled).Set("slug = id").Where(standing).Exec(ctx)
	if err := s.changed(res, err, domain.NotFound()); err != nil {
		return err
	}
	for _, rows := range []any{(*membershipRow)(nil), (*invitationRow)(nil), (*serviceAccountRow)(nil)} {
		if _, err := deleteIn(s, scope, rows).Exec(ctx); err != nil {
			return s.error(err)
		}
	}
	return nil
}

// PurgeOrganizations removes at most limit rows of what deleted organizations
// owned, in its own transaction, and reports whether there may be more. The row
// of an organization goes last.
func (s *Store) PurgeOrganizations(ctx context.Context, limit int) (more bool, err error) {
	var deleted []organizationRow
	err = s.read.NewSelect().Model(&deleted).Where("o.deleted_at IS NOT NULL").Limit(1).Scan(ctx)
	if err != nil || len(deleted) == 0 {
		return false, s.error(err)
	}
	scope := deleted[0].organization().Scope()
	if n, err := purgeUsage(ctx, s, scope, limit); err != nil || n > 0 {
		return n > 0, err
	}
	if n, err := purgeCounters(ctx, s, scope, limit); err != nil || n > 0 {
		return n > 0, err
	}
	for _, rows := range []any{(*keyRow)(nil), (*creditEntryRow)(nil), (*eventRow)(nil), (*projectRow)(nil)} {
		if n, err := purgeSome(ctx, s, scope, rows, limit); err != nil || n > 0 {
			return n > 0, err
		}
	}
	_, err = deleteIn(s, scope, (*organizationRow)(nil)).Where("o.deleted_at IS NOT NULL").Exec(ctx)
	return err == nil, s.error(err)
}

// purgeSome removes at most limit of the tenant's rows and returns how many. It
// locks them in the order of their ids, like every statement that locks many
// rows, so two of them never wait for each other in a circle.
func purgeSome[S tenant](ctx context.Context, s *Store, scope S, rows any, limit int) (removed int, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		removed = 0
		var ids []string
		err := selectIn(tx, scope, rows).Column("id").Limit(int64(limit)).Scan(ctx, &ids)
		if err != nil || len(ids) == 0 {
			return tx.error(err)
		}
		locked := selectIn(tx, scope, rows).Column("id").Where("?TableAlias.id IN (?)", bun.List(ids)).OrderExpr("?TableAlias.id")
		if err := tx.engine.forDelete(locked).Scan(ctx, &ids); err != nil {
			return tx.error(err)
		}
		removed = len(ids)
		_, err = deleteIn(tx, scope, rows).Where("?TableAlias.id IN (?)", bun.List(ids)).Exec(ctx)
		return tx.error(err)
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}
