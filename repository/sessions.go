package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions,alias:s"`

	ID             domain.SessionID `bun:",pk"`
	UserID         domain.UserID
	CreatedAt      micros
	LastUsedAt     micros
	ExpiresAt      micros
	IP             string
	UserAgent      string
	RefreshDigest  []byte
	PreviousDigest []byte
	RotatedAt      micros

	User *userRow `bun:"rel:belongs-to,join:user_id=id"`
}

func (r sessionRow) session() domain.Session {
	return domain.Session{
		ID:             r.ID,
		UserID:         r.UserID,
		CreatedAt:      r.CreatedAt.Time,
		LastUsedAt:     r.LastUsedAt.Time,
		ExpiresAt:      r.ExpiresAt.Time,
		IP:             r.IP,
		UserAgent:      r.UserAgent,
		RefreshDigest:  r.RefreshDigest,
		PreviousDigest: r.PreviousDigest,
		RotatedAt:      r.RotatedAt.Time,
	}
}

// CreateSession adds a session.
func (s *Store) CreateSession(ctx context.Context, v domain.Session) error {
	return s.insert(ctx, &sessionRow{
		ID:             v.ID,
		UserID:         v.UserID,
		CreatedAt:      micros{v.CreatedAt},
		LastUsedAt:     micros{v.LastUsedAt},
		ExpiresAt:      micros{v.ExpiresAt},
		IP:             v.IP,
		UserAgent:      v.UserAgent,
		RefreshDigest:  v.RefreshDigest,
		PreviousDigest: []byte{},
	})
}

// CallingUser returns a session and its user.
func (s *Store) CallingUser(ctx context.Context, id domain.SessionID) (domain.CallingUser, error) {
	var row sessionRow
	if err := s.read.NewSelect().Model(&row).Relation("User").Where("s.id = ?", id).Scan(ctx); err != nil {
		return domain.CallingUser{}, s.error(err)
	}
	return domain.CallingUser{User: row.User.user(), Session: row.session()}, nil
}

// ListSessions returns the sessions of a user that have not ended at now,
// newest first. A session last used before idleSince has ended.
func (s *Store) ListSessions(
	ctx context.Context, user domain.UserID, now, idleSince time.Time, p domain.Page,
) (domain.List[domain.Session], error) {
	var rows []sessionRow
	q := s.read.NewSelect().Model(&rows).Where("s.user_id = ?", user).
		Where("s.expires_at > ?", micros{now}).Where("s.last_used_at >= ?", micros{idleSince})
	if err := newest(q, "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.Session]{}, s.error(err)
	}
	return list(rows, p, sessionRow.session, func(v domain.Session) domain.Cursor {
		return domain.Cursor{At: v.CreatedAt, ID: string(v.ID)}
	}), nil
}

// ForgetSessions removes the sessions of all users that have ended at now,
// including those last used before idleSince.
func (s *Store) ForgetSessions(ctx context.Context, now, idleSince time.Time) error {
	_, err := s.write.NewDelete().Model((*sessionRow)(nil)).WhereGroup(" AND ", func(q *bun.DeleteQuery) *bun.DeleteQuery {
		return q.Where("s.expires_at <= ?", micros{now}).WhereOr("s.last_used_at < ?", micros{idleSince})
	}).Exec(ctx)
	return s.error(err)
}

// RotateRefresh replaces the digest of a session's refresh token if it is still
// old; otherwise it returns conflict and changes nothing.
func (s *Store) RotateRefresh(ctx context.Context, id domain.SessionID, old, successor []byte, now time.Time) error {
	res, err := s.write.NewUpdate().Model((*sessionRow)(nil)).
		Set("refresh_digest = ?", successor).Set("previous_digest = ?", old).Set("last_used_at = ?", micros{now}).
		Set("rotated_at = ?", micros{now}).
		Where("s.id = ?", id).Where("s.refresh_digest = ?", old).Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// TouchSession records that a session was in use at now.
func (s *Store) TouchSession(ctx context.Context, id domain.SessionID, now time.Time) error {
	_, err := s.write.NewUpdate().Model((*sessionRow)(nil)).Set("last_used_at = ?", micros{now}).
		Where("s.id = ?", id).Where("s.last_used_at < ?", micros{now}).Exec(ctx)
	return s.error(err)
}

// DeleteSession ends one session of a user.
func (s *Store) DeleteSession(ctx context.Context, user domain.UserID, id domain.SessionID) error {
	res, err := s.write.NewDelete().Model((*sessionRow)(nil)).Where("s.user_id = ?", user).Where("s.id = ?", id).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// DeleteSessions ends all sessions of a user except keep, which may be empty,
// and returns how many.
func (s *Store) DeleteSessions(ctx context.Context, user domain.UserID, keep domain.SessionID) (int, error) {
	res, err := s.write.NewDelete().Model((*sessionRow)(nil)).Where("s.user_id = ?", user).Where("s.id <> ?", keep).Exec(ctx)
	if err != nil {
		return 0, s.error(err)
	}
	n, err := res.RowsAffected()
	return int(n), s.error(err)
}

// DisplaceSessions ends the least recently used sessions of a user, so that
// keep remain, and returns them.
func (s *Store) DisplaceSessions(ctx context.Context, user domain.UserID, keep int) ([]domain.SessionID, error) {
	var ids []domain.SessionID
	err := s.read.NewSelect().Model((*sessionRow)(nil)).Column("id").Where("s.user_id = ?", user).
		Order("s.last_used_at DESC", "s.id DESC").Limit(1000).Offset(int64(keep)).Scan(ctx, &ids)
	if err != nil || len(ids) == 0 {
		return nil, s.error(err)
	}
	_, err = s.write.NewDelete().Model((*sessionRow)(nil)).Where("s.user_id = ?", user).Where("s.id IN (?)", bun.List(ids)).Exec(ctx)
	return ids, s.error(err)
}
