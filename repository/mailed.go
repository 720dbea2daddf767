package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type mailedTokenRow struct {
	bun.BaseModel `bun:"table:mailed_tokens,alias:t"`

	Digest    []byte `bun:",pk"`
	Purpose   string
	UserID    domain.UserID
	ExpiresAt micros
}

// AddMailedToken stores the digest of a token that was sent to a user by email
// for a purpose.
func (s *Store) AddMailedToken(ctx context.Context, user domain.UserID, purpose string, digest []byte, expires time.Time) error {
	return s.insert(ctx, &mailedTokenRow{Digest: digest, Purpose: purpose, UserID: user, ExpiresAt: micros{expires}})
}

// ProlongMailedToken extends the expiry of a token that is sent again;
// not_found if it has been used since.
func (s *Store) ProlongMailedToken(ctx context.Context, digest []byte, expires time.Time) error {
	res, err := s.write.NewUpdate().Model((*mailedTokenRow)(nil)).Set("expires_at = ?", micros{expires}).Where("t.digest = ?", digest).
		Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// UserByMailedToken returns the user who got a token by email; not_found if it
// was used, has expired at now, or is for another purpose.
func (s *Store) UserByMailedToken(ctx context.Context, purpose string, digest []byte, now time.Time) (domain.UserID, error) {
	var row mailedTokenRow
	err := s.read.NewSelect().Model(&row).Where("t.digest = ?", digest).Where("t.purpose = ?", purpose).
		Where("t.expires_at > ?", micros{now}).Scan(ctx)
	return row.UserID, s.error(err)
}

// UseMailedToken marks a token as used; not_found if another request was first.
// All other tokens of the user for the purpose end with it.
func (s *Store) UseMailedToken(ctx context.Context, user domain.UserID, purpose string, digest []byte) error {
	res, err := s.write.NewDelete().Model((*mailedTokenRow)(nil)).Where("t.digest = ?", digest).Exec(ctx)
	if err := s.changed(res, err, domain.NotFound()); err != nil {
		return err
	}
	_, err = s.write.NewDelete().Model((*mailedTokenRow)(nil)).Where("t.user_id = ?", user).Where("t.purpose = ?", purpose).Exec(ctx)
	return s.error(err)
}

// ForgetMailedTokens removes tokens that have expired at now.
func (s *Store) ForgetMailedTokens(ctx context.Context, now time.Time) error {
	_, err := s.write.NewDelete().Model((*mailedTokenRow)(nil)).Where("t.expires_at <= ?", micros{now}).Exec(ctx)
	return s.error(err)
}
