package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type membershipRow struct {
	bun.BaseModel `bun:"table:memberships,alias:m"`

	OrganizationID domain.OrganizationID `bun:",pk"`
	UserID         domain.UserID         `bun:",pk"`
	Role           domain.Role
	JoinedAt       micros

	User *userRow `bun:"rel:belongs-to,join:user_id=id"`
}

func (r membershipRow) member() domain.Member {
	return domain.Member{User: r.User.user(), Role: r.Role, JoinedAt: r.JoinedAt.Time}
}

// AddMember adds a user to the organization; conflict if they are a member.
func (s *Store) AddMember(ctx context.Context, scope domain.OrganizationScope, m domain.Membership) error {
	return s.insert(ctx, &membershipRow{
		OrganizationID: scope.Organization(), UserID: m.UserID, Role: m.Role, JoinedAt: micros{m.JoinedAt},
	})
}

// GetMember returns a member of the organization, or not_found.
func (s *Store) GetMember(ctx context.Context, scope domain.OrganizationScope, user domain.UserID) (domain.Member, error) {
	var row membershipRow
	if err := selectIn(s, scope, &row).Relation("User").Where("m.user_id = ?", user).Scan(ctx); err != nil {
		return domain.Member{}, s.error(err)
	}
	return row.member(), nil
}

// HasMemberWithEmail reports whether the account with a normalized address is a
// member of the organization.
func (s *Store) HasMemberWithEmail(ctx context.Context, scope domain.OrganizationScope, email string) (bool, error) {
	found, err := selectIn(s, scope, (*membershipRow)(nil)).Join("JOIN users AS u ON u.id = m.user_id").Where("u.email = ?", email).
		Exists(ctx)
	return found, s.error(err)
}

// ListMembers returns the people who are members of the organization, the latest first.
func (s *Store) ListMembers(ctx context.Context, scope domain.OrganizationScope, p domain.Page) (domain.List[domain.Member], error) {
	var rows []membershipRow
	people := selectIn(s, scope, &rows).Relation("User").Where(`"user"."kind" = ?`, domain.PersonUser)
	if err := newestBy(people, "joined_at", "user_id", p).Scan(ctx); err != nil {
		return domain.List[domain.Member]{}, s.error(err)
	}
	return list(rows, p, membershipRow.member, func(m domain.Member) domain.Cursor {
		return domain.Cursor{At: m.JoinedAt, ID: string(m.User.ID)}
	}), nil
}

// ListOwners returns at most limit owners of the organization, those first who joined
// first.
func (s *Store) ListOwners(ctx context.Context, scope domain.OrganizationScope, limit int) ([]domain.User, error) {
	var rows []membershipRow
	err := selectIn(s, scope, &rows).Relation("User").Where("m.role = ?", domain.Owner).OrderExpr("m.joined_at, m.user_id").
		Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, s.error(err)
	}
	owners := make([]domain.User, len(rows))
	for i, r := range rows {
		owners[i] = r.User.user()
	}
	return owners, nil
}

// CountOwners returns how many owners the organization has.
func (s *Store) CountOwners(ctx context.Context, scope domain.OrganizationScope) (int, error) {
	n, err := selectIn(s, scope, (*membershipRow)(nil)).Where("m.role = ?", domain.Owner).Count(ctx)
	return int(n), s.error(err)
}

// SetRole changes the role of a member of the organization.
func (s *Store) SetRole(ctx context.Context, scope domain.OrganizationScope, user domain.UserID, role domain.Role) error {
	res, err := updateIn(s, scope, (*membershipRow)(nil)).Set("role = ?", role).Where("m.user_id = ?", user).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// RemoveMember takes a user out of the organization.
func (s *Store) RemoveMember(ctx context.Context, scope domain.OrganizationScope, user domain.UserID) error {
	res, err := deleteIn(s, scope, (*membershipRow)(nil)).Where("m.user_id = ?", user).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}
