package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

type settingRow struct {
	bun.BaseModel `bun:"table:settings,alias:t"`

	Name  string `bun:",pk"`
	Value []byte
}

// GetSetting returns a fact about the instance, or not_found.
func (s *Store) GetSetting(ctx context.Context, name string) ([]byte, error) {
	var row settingRow
	err := s.read.NewSelect().Model(&row).Where("t.name = ?", name).Scan(ctx)
	return row.Value, s.error(err)
}

// AddSetting stores a fact about the instance permanently; conflict if another
// node has already stored it.
func (s *Store) AddSetting(ctx context.Context, name string, value []byte) error {
	return s.insert(ctx, &settingRow{Name: name, Value: value})
}

// SigningKey is a key that signs access tokens; its private part is sealed.
type SigningKey struct {
	ID            string
	SealedPrivate []byte
	CreatedAt     time.Time
}

type signingKeyRow struct {
	bun.BaseModel `bun:"table:signing_keys,alias:t"`

	ID            string `bun:",pk"`
	SealedPrivate []byte
	CreatedAt     micros
}

// AddSigningKey stores a signing key.
func (s *Store) AddSigningKey(ctx context.Context, k SigningKey) error {
	return s.insert(ctx, &signingKeyRow{ID: k.ID, SealedPrivate: k.SealedPrivate, CreatedAt: micros{k.CreatedAt}})
}

// DeleteSigningKey removes a signing key, if it exists.
func (s *Store) DeleteSigningKey(ctx context.Context, id string) error {
	_, err := s.write.NewDelete().Model((*signingKeyRow)(nil)).Where("t.id = ?", id).Exec(ctx)
	return s.error(err)
}

// ListSigningKeys returns all signing keys, newest first.
func (s *Store) ListSigningKeys(ctx context.Context) ([]SigningKey, error) {
	var rows []signingKeyRow
	if err := s.read.NewSelect().Model(&rows).Order("created_at DESC", "id DESC").Scan(ctx); err != nil {
		return nil, s.error(err)
	}
	keys := make([]SigningKey, len(rows))
	for i, r := range rows {
		keys[i] = SigningKey{r.ID, r.SealedPrivate, r.CreatedAt.Time}
	}
	return keys, nil
}
