package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type userRow struct {
	bun.BaseModel `bun:"table:users,alias:u"`

	ID            domain.UserID `bun:",pk"`
	Kind          domain.UserKind
	Email         string
	Name          string
	PasswordHash  string
	EmailVerified bool
	Operator      bool
	Status        domain.Status
	CreatedAt     micros

	MayDeleteProjects bool
}

func (r userRow) user() domain.User {
	return domain.User{
		ID:            r.ID,
		Kind:          r.Kind,
		Email:         r.Email,
		Name:          r.Name,
		EmailVerified: r.EmailVerified,
		Operator:      r.Operator,
		Status:        r.Status,
		CreatedAt:     r.CreatedAt.Time,

		MayDeleteProjects: r.MayDeleteProjects,
	}
}

// CreateUser adds a person; an address that is taken gives conflict.
func (s *Store) CreateUser(ctx context.Context, u domain.User, passwordHash string) error {
	return s.insert(ctx, &userRow{
		ID:            u.ID,
		Kind:          domain.PersonUser,
		Email:         u.Email,
		Name:          u.Name,
		PasswordHash:  passwordHash,
		EmailVerified: u.EmailVerified,
		Operator:      u.Operator,
		Status:        u.Status,
		CreatedAt:     micros{u.CreatedAt},
	})
}

// GetUser returns a person by id.
func (s *Store) GetUser(ctx context.Context, id domain.UserID) (domain.User, error) {
	var row userRow
	err := s.people(&row).Where("u.id = ?", id).Scan(ctx)
	return row.user(), s.error(err)
}

// people starts a query of users that are persons.
func (s *Store) people(model any) *bun.SelectQuery {
	return s.read.NewSelect().Model(model).Where("u.kind = ?", domain.PersonUser)
}

// GetUserByEmail returns a user, with the hash of their password, by normalized
// address.
func (s *Store) GetUserByEmail(ctx context.Context, email string) (domain.User, string, error) {
	var row userRow
	err := s.people(&row).Where("u.email = ?", email).Scan(ctx)
	return row.user(), row.PasswordHash, s.error(err)
}

// LockUser returns a person, with the hash of their password, and locks the user
// until the transaction ends.
func (s *Store) LockUser(ctx context.Context, id domain.UserID) (domain.User, string, error) {
	var row userRow
	err := s.engine.forUpdate(s.people(&row).Where("u.id = ?", id)).Scan(ctx)
	return row.user(), row.PasswordHash, s.error(err)
}

// ListUsers returns all people of the instance, newest first.
func (s *Store) ListUsers(ctx context.Context, p domain.Page) (domain.List[domain.User], error) {
	var rows []userRow
	if err := newest(s.people(&rows), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.User]{}, s.error(err)
	}
	return list(rows, p, userRow.user, func(u domain.User) domain.Cursor { return domain.Cursor{At: u.CreatedAt, ID: string(u.ID)} }), nil
}

// CountUsers returns how many people the instance has.
func (s *Store) CountUsers(ctx context.Context) (int, error) {
	n, err := s.people((*userRow)(nil)).Count(ctx)
	return int(n), s.error(err)
}

// UpdateUser stores the name, status, and verification of a user, and whether
// they are an operator.
func (s *Store) UpdateUser(ctx context.Context, u domain.User) error {
	res, err := s.write.NewUpdate().Model((*userRow)(nil)).
		Set("name = ?", u.Name).Set("status = ?", u.Status).Set("email_verified = ?", u.EmailVerified).
		Set("operator = ?", u.Operator).
		Where("u.id = ?", u.ID).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// SetPassword replaces the hash of a user's password. Mailed tokens for setting
// another one end with the old password.
func (s *Store) SetPassword(ctx context.Context, id domain.UserID, hash string) error {
	res, err := s.write.NewUpdate().Model((*userRow)(nil)).Set("password_hash = ?", hash).Where("u.id = ?", id).Exec(ctx)
	if err := s.changed(res, err, domain.NotFound()); err != nil {
		return err
	}
	_, err = s.write.NewDelete().Model((*mailedTokenRow)(nil)).Where("t.user_id = ?", id).Exec(ctx)
	return s.error(err)
}

// PasswordHashes returns the stored hashes that begin with a prefix, by user,
// at most this many.
func (s *Store) PasswordHashes(ctx context.Context, prefix string, most int64) (map[domain.UserID]string, error) {
	var rows []userRow
	err := s.read.NewSelect().Model(&rows).Column("id", "password_hash").
		Where("substr(u.password_hash, 1, ?) = ?", len(prefix), prefix).Limit(most).Scan(ctx)
	hashes := make(map[domain.UserID]string, len(rows))
	for _, r := range rows {
		hashes[r.ID] = r.PasswordHash
	}
	return hashes, s.error(err)
}

// RewritePassword replaces the stored hash of a user by another form of it;
// not_found if it is no longer that hash.
func (s *Store) RewritePassword(ctx context.Context, id domain.UserID, stored, successor string) error {
	res, err := s.write.NewUpdate().Model((*userRow)(nil)).Set("password_hash = ?", successor).
		Where("u.id = ?", id).Where("u.password_hash = ?", stored).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// list makes a page of items from rows, which have one row more than the page.
func list[R, T any](rows []R, p domain.Page, item func(R) T, at func(T) domain.Cursor) domain.List[T] {
	items := make([]T, len(rows))
	for i, r := range rows {
		items[i] = item(r)
	}
	return domain.NewList(items, p.Limit, at)
}

// PunycodeEmails returns addresses of accounts that have a domain in punycode, which
// programs before 0.2 stored as it was sent: at most a thousand.
func (s *Store) PunycodeEmails(ctx context.Context) (emails []string, err error) {
	err = s.read.NewSelect().Model((*userRow)(nil)).Column("email").Where("u.email LIKE '%xn--%'").Order("id").Limit(1000).
		Scan(ctx, &emails)
	return emails, s.error(err)
}
