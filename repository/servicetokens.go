package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type serviceTokenRow struct {
	bun.BaseModel `bun:"table:service_tokens,alias:t"`

	TokenID     domain.TokenID `bun:",pk"`
	SessionID   domain.SessionID
	Name        string
	Prefix      string
	Algorithm   domain.Algorithm
	RootVersion int
	Digest      []byte
	CreatedAt   micros
	LastUsedAt  micros

	Session *sessionRow `bun:"rel:belongs-to,join:session_id=id"`
}

func (r serviceTokenRow) token() domain.ServiceToken {
	t := domain.ServiceToken{
		ID:         r.TokenID,
		Name:       r.Name,
		Prefix:     r.Prefix,
		CreatedAt:  r.CreatedAt.Time,
		LastUsedAt: r.LastUsedAt.Time,
	}
	if r.Session != nil && !r.Session.ExpiresAt.Equal(domain.Forever) {
		t.ExpiresAt = r.Session.ExpiresAt.Time
	}
	return t
}

// ServiceSecret is what a service token is proved by.
type ServiceSecret struct {
	Session    domain.SessionID
	Digest     []byte
	LastUsedAt time.Time
}

// CreateServiceToken adds a token of a service account: a session that does not idle
// out, and its secret. A public id that is taken gives conflict.
func (s *Store) CreateServiceToken(ctx context.Context, session domain.Session, t domain.ServiceToken, digest []byte) error {
	if err := s.CreateSession(ctx, session); err != nil {
		return err
	}
	return s.insert(ctx, &serviceTokenRow{
		TokenID:     t.ID,
		SessionID:   session.ID,
		Name:        t.Name,
		Prefix:      t.Prefix,
		Algorithm:   domain.HMACSHA256,
		RootVersion: 1,
		Digest:      digest,
		CreatedAt:   micros{t.CreatedAt},
	})
}

// ServiceSecret returns what a token is proved by, or not_found.
func (s *Store) ServiceSecret(ctx context.Context, id domain.TokenID) (ServiceSecret, error) {
	var row serviceTokenRow
	err := s.read.NewSelect().Model(&row).Where("t.token_id = ?", id).Scan(ctx)
	return ServiceSecret{row.SessionID, row.Digest, row.LastUsedAt.Time}, s.error(err)
}

// ListServiceTokens returns the tokens of a service account that have not expired at
// now, newest first.
func (s *Store) ListServiceTokens(
	ctx context.Context, user domain.UserID, now time.Time, p domain.Page,
) (domain.List[domain.ServiceToken], error) {
	var rows []serviceTokenRow
	if err := newestBy(s.serviceTokens(&rows, user, now), "created_at", "token_id", p).Scan(ctx); err != nil {
		return domain.List[domain.ServiceToken]{}, s.error(err)
	}
	return list(rows, p, serviceTokenRow.token, func(t domain.ServiceToken) domain.Cursor {
		return domain.Cursor{At: t.CreatedAt, ID: string(t.ID)}
	}), nil
}

// CountServiceTokens returns how many tokens of a service account have not expired at
// now.
func (s *Store) CountServiceTokens(ctx context.Context, user domain.UserID, now time.Time) (int, error) {
	n, err := s.serviceTokens((*serviceTokenRow)(nil), user, now).Count(ctx)
	return int(n), s.error(err)
}

func (s *Store) serviceTokens(model any, user domain.UserID, now time.Time) *bun.SelectQuery {
	return s.read.NewSelect().Model(model).Relation("Session").Where(`"session"."user_id" = ?`, user).
		Where(`"session"."expires_at" > ?`, micros{now})
}

// UseServiceToken records that a token was in use at now.
func (s *Store) UseServiceToken(ctx context.Context, id domain.TokenID, now time.Time) error {
	_, err := s.write.NewUpdate().Model((*serviceTokenRow)(nil)).Set("last_used_at = ?", micros{now}).
		Where("t.token_id = ?", id).Exec(ctx)
	return s.error(err)
}

// DeleteServiceToken ends a token of a service account with its session, and returns it.
func (s *Store) DeleteServiceToken(ctx context.Context, user domain.UserID, id domain.TokenID) (domain.ServiceToken, error) {
	var row serviceTokenRow
	err := s.read.NewSelect().Model(&row).Relation("Session").Where("t.token_id = ?", id).Scan(ctx)
	if err != nil {
		return domain.ServiceToken{}, s.error(err)
	}
	return row.token(), s.DeleteSession(ctx, user, row.SessionID)
}
