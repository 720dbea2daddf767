package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type invitationRow struct {
	bun.BaseModel `bun:"table:invitations,alias:i"`

	ID             domain.InvitationID `bun:",pk"`
	OrganizationID domain.OrganizationID
	Email          string
	Role           domain.Role
	InvitedByKind  domain.ActorKind
	InvitedByID    string
	InvitedByName  string
	Digest         []byte
	CreatedAt      micros
	ExpiresAt      micros
	AcceptedAt     micros

	Organization *organizationRow `bun:"rel:belongs-to,join:organization_id=id"`
}

func (r invitationRow) invitation() domain.Invitation {
	return domain.Invitation{
		ID:             r.ID,
		OrganizationID: r.OrganizationID,
		Email:          r.Email,
		Role:           r.Role,
		InvitedBy:      domain.Actor{Kind: r.InvitedByKind, ID: r.InvitedByID, Name: r.InvitedByName},
		CreatedAt:      r.CreatedAt.Time,
		ExpiresAt:      r.ExpiresAt.Time,
		AcceptedAt:     r.AcceptedAt.Time,
	}
}

// CreateInvitation adds an invitation to the organization with the digest of
// its token.
func (s *Store) CreateInvitation(ctx context.Context, scope domain.OrganizationScope, v domain.Invitation, digest []byte) error {
	return s.insert(ctx, &invitationRow{
		ID:             v.ID,
		OrganizationID: scope.Organization(),
		Email:          v.Email,
		Role:           v.Role,
		InvitedByKind:  v.InvitedBy.Kind,
		InvitedByID:    v.InvitedBy.ID,
		InvitedByName:  v.InvitedBy.Name,
		Digest:         digest,
		CreatedAt:      micros{v.CreatedAt},
		ExpiresAt:      micros{v.ExpiresAt},
		AcceptedAt:     micros{v.AcceptedAt},
	})
}

// InvitationByDigest returns an invitation and its organization by the digest
// of its token. It does not check the caller: having the token is the
// permission.
func (s *Store) InvitationByDigest(ctx context.Context, digest []byte) (domain.Invitation, domain.Organization, error) {
	var row invitationRow
	if err := s.read.NewSelect().Model(&row).Relation("Organization").Where("i.digest = ?", digest).Scan(ctx); err != nil {
		return domain.Invitation{}, domain.Organization{}, s.error(err)
	}
	return row.invitation(), row.Organization.organization(), nil
}

// GetInvitation returns an invitation to the organization.
func (s *Store) GetInvitation(ctx context.Context, scope domain.OrganizationScope, id domain.InvitationID) (domain.Invitation, error) {
	var row invitationRow
	err := selectIn(s, scope, &row).Where("i.id = ?", id).Scan(ctx)
	return row.invitation(), s.error(err)
}

// ListInvitations returns the invitations to the organization, newest first.
func (s *Store) ListInvitations(
	ctx context.Context, scope domain.OrganizationScope, p domain.Page,
) (domain.List[domain.Invitation], error) {
	var rows []invitationRow
	if err := newest(selectIn(s, scope, &rows), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.Invitation]{}, s.error(err)
	}
	return list(rows, p, invitationRow.invitation, func(v domain.Invitation) domain.Cursor {
		return domain.Cursor{At: v.CreatedAt, ID: string(v.ID)}
	}), nil
}

// AcceptInvitation marks an invitation as used; conflict if it already is.
func (s *Store) AcceptInvitation(ctx context.Context, scope domain.OrganizationScope, id domain.InvitationID, now time.Time) error {
	res, err := updateIn(s, scope, (*invitationRow)(nil)).Set("accepted_at = ?", micros{now}).
		Where("i.id = ?", id).Where("i.accepted_at IS NULL").Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// DeleteInvitation withdraws an invitation that has not been accepted.
func (s *Store) DeleteInvitation(ctx context.Context, scope domain.OrganizationScope, id domain.InvitationID) error {
	res, err := deleteIn(s, scope, (*invitationRow)(nil)).Where("i.id = ?", id).Where("i.accepted_at IS NULL").Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}
