package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// ListKeysMadeBy returns the keys of the organization's projects that a user
// made and that are not revoked, newest first.
func (s *Store) ListKeysMadeBy(
	ctx context.Context, scope domain.OrganizationScope, user domain.UserID, p domain.Page,
) (domain.List[domain.Key], error) {
	var rows []keyRow
	projects := selectIn(s, scope, (*projectRow)(nil)).Column("id").Where(projectStanding) // an index finds their keys
	q := madeBy(newest(selectIn(s, scope, &rows), "created_at", p), user).Where("k.project_id IN (?)", projects)
	if err := q.Scan(ctx); err != nil {
		return domain.List[domain.Key]{}, s.error(err)
	}
	return list(rows, p, keyRow.key, func(k domain.Key) domain.Cursor {
		return domain.Cursor{At: k.CreatedAt, ID: string(k.ID)}
	}), nil
}

// CountKeysMadeBy returns how many keys a user made, in all organizations, that
// are not revoked.
func (s *Store) CountKeysMadeBy(ctx context.Context, user domain.UserID) (int, error) {
	n, err := madeBy(s.projectsOfKeys(), user).Count(ctx)
	return int(n), s.error(err)
}

// OrganizationsOfMaker returns the organizations in which a user made keys that
// are not revoked.
func (s *Store) OrganizationsOfMaker(ctx context.Context, user domain.UserID) ([]domain.Organization, error) {
	var rows []organizationRow
	made := madeBy(s.projectsOfKeys().ColumnExpr("k.organization_id"), user)
	if err := s.read.NewSelect().Model(&rows).Where("o.id IN (?)", made).Order("id").Scan(ctx); err != nil {
		return nil, s.error(err)
	}
	organizations := make([]domain.Organization, len(rows))
	for i, r := range rows {
		organizations[i] = r.organization()
	}
	return organizations, nil
}

// projectsOfKeys starts a query of the keys of all tenants, except those that
// are being deleted.
func (s *Store) projectsOfKeys() *bun.SelectQuery {
	return s.projectsOfAll((*projectRow)(nil)).Join("JOIN api_keys AS k ON k.project_id = p.id")
}

func madeBy(q *bun.SelectQuery, user domain.UserID) *bun.SelectQuery {
	return q.Where("k.created_by_kind = ?", domain.ActorUser).Where("k.created_by_id = ?", user).Where("k.revoked_at IS NULL")
}
