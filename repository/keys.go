package repository

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type keyRow struct {
	bun.BaseModel `bun:"table:api_keys,alias:k"`

	ID             domain.KeyID `bun:",pk"`
	OrganizationID domain.OrganizationID
	ProjectID      domain.ProjectID
	Name           string
	Prefix         string
	Environment    domain.Environment
	Scopes         []domain.Scope `bun:"type:jsonb"`
	ExternalID     string
	Metadata       map[string]string `bun:"type:jsonb"`
	CreatedAt      micros
	CreatedByKind  domain.ActorKind
	CreatedByID    string
	CreatedByName  string
	ExpiresAt      micros
	RevokedAt      micros
	RevokedReason  string
	RotatedAt      micros
	LeakedAt       micros
	RetiringPrefix string
	RetiringUntil  micros
	PlanID         domain.PlanID    `bun:",nullzero"`
	Limits         []domain.Limit   `bun:"type:jsonb"`
	AllowedIPs     []domain.Network `bun:"allowed_ips,type:jsonb"`
	Revision       int64

	LastUsedAt       micros `bun:",scanonly"`
	RetiringLastUsed micros `bun:",scanonly"`
	PlanName         string `bun:",scanonly"`

	Project *projectRow `bun:"rel:belongs-to,join:project_id=id"`
}

func (r keyRow) key() domain.Key {
	return domain.Key{
		ID:            r.ID,
		ProjectID:     r.ProjectID,
		Name:          r.Name,
		Prefix:        r.Prefix,
		Environment:   r.Environment,
		Scopes:        r.Scopes,
		ExternalID:    r.ExternalID,
		Metadata:      r.Metadata,
		CreatedAt:     r.CreatedAt.Time,
		CreatedBy:     domain.Actor{Kind: r.CreatedByKind, ID: r.CreatedByID, Name: r.CreatedByName},
		ExpiresAt:     r.ExpiresAt.Time,
		RevokedAt:     r.RevokedAt.Time,
		RevokedReason: r.RevokedReason,
		LastUsedAt:    r.LastUsedAt.Time,
		RotatedAt:     r.RotatedAt.Time,
		LeakedAt:      r.LeakedAt.Time,
		Retiring: domain.Retiring{
			Prefix: r.RetiringPrefix, ValidUntil: r.RetiringUntil.Time, LastUsedAt: r.RetiringLastUsed.Time,
		},
		Plan:       domain.KeyPlan{ID: r.PlanID, Name: r.PlanName},
		Limits:     someOrNil(r.Limits),
		AllowedIPs: someOrNil(r.AllowedIPs),
		Revision:   r.Revision,
	}
}

func newKeyRow(scope domain.ProjectScope, k domain.Key) *keyRow {
	row := &keyRow{
		ID:             k.ID,
		OrganizationID: scope.Organization(),
		ProjectID:      scope.Project(),
		Name:           k.Name,
		Prefix:         k.Prefix,
		Environment:    k.Environment,
		Scopes:         k.Scopes,
		ExternalID:     k.ExternalID,
		Metadata:       k.Metadata,
		CreatedAt:      micros{k.CreatedAt},
		CreatedByKind:  k.CreatedBy.Kind,
		CreatedByID:    k.CreatedBy.ID,
		CreatedByName:  k.CreatedBy.Name,
		ExpiresAt:      micros{k.ExpiresAt},
		RevokedAt:      micros{k.RevokedAt},
		RevokedReason:  k.RevokedReason,
		RotatedAt:      micros{k.RotatedAt},
		LeakedAt:       micros{k.LeakedAt},
		RetiringPrefix: k.Retiring.Prefix,
		RetiringUntil:  micros{k.Retiring.ValidUntil},
		PlanID:         k.Plan.ID,
		Limits:         listed(k.Limits),
		AllowedIPs:     listed(k.AllowedIPs),
		Revision:       k.Revision,
	}
	if row.Scopes == nil {
		row.Scopes = []domain.Scope{}
	}
	if row.Metadata == nil {
		row.Metadata = map[string]string{}
	}
	return row
}

type secretRow struct {
	bun.BaseModel `bun:"table:api_key_secrets,alias:s"`

	TokenID       domain.TokenID `bun:",pk"`
	ProjectID     domain.ProjectID
	KeyID         domain.KeyID
	Prefix        string
	Algorithm     domain.Algorithm
	PepperVersion int
	Digest        []byte
	Tagged        bool
	CreatedAt     micros
	ValidUntil    micros

	Parameters   string `bun:",nullzero"`
	Locator      string `bun:"lookup,nullzero"`
	ImportDigest []byte
	ImportBatch  int64 `bun:",nullzero"`

	FirstUsedAt micros `bun:",scanonly"`
	LastUsedAt  micros `bun:",scanonly"`

	Key *keyRow `bun:"rel:belongs-to,join:key_id=id"`
}

func (r secretRow) secret() domain.Secret {
	return domain.Secret{
		TokenID:       r.TokenID,
		ProjectID:     r.ProjectID,
		KeyID:         r.KeyID,
		Prefix:        r.Prefix,
		Algorithm:     r.Algorithm,
		PepperVersion: r.PepperVersion,
		Digest:        r.Digest,
		Tagged:        r.Tagged,
		CreatedAt:     r.CreatedAt.Time,
		FirstUsedAt:   r.FirstUsedAt.Time,
		LastUsedAt:    r.LastUsedAt.Time,
		ValidUntil:    r.ValidUntil.Time,
		Parameters:    r.Parameters,
		Locator:       r.Locator,
		ImportDigest:  r.ImportDigest,
	}
}

func newSecretRow(scope domain.ProjectScope, v domain.Secret) *secretRow {
	return &secretRow{
		TokenID:       v.TokenID,
		ProjectID:     scope.Project(),
		KeyID:         v.KeyID,
		Prefix:        v.Prefix,
		Algorithm:     v.Algorithm,
		PepperVersion: v.PepperVersion,
		Digest:        v.Digest,
		Tagged:        v.Tagged,
		CreatedAt:     micros{v.CreatedAt},
		ValidUntil:    micros{v.ValidUntil},
		Parameters:    v.Parameters,
		Locator:       v.Locator,
		ImportDigest:  v.ImportDigest,
	}
}

// CreateKey adds a key to the project.
func (s *Store) CreateKey(ctx context.Context, scope domain.ProjectScope, k domain.Key) error {
	return s.insert(ctx, newKeyRow(scope, k))
}

// AddSecret adds a secret to a key of the project; conflict if the token's id
// is taken or the key already has a current secret.
func (s *Store) AddSecret(ctx context.Context, scope domain.ProjectScope, v domain.Secret) error {
	return s.insert(ctx, newSecretRow(scope, v))
}

// EndSecret sets when a secret of the project stops being accepted. It only
// moves that time forward: conflict if the secret already ends earlier.
func (s *Store) EndSecret(ctx context.Context, scope domain.ProjectScope, id domain.TokenID, at time.Time) error {
	res, err := updateIn(s, scope, (*secretRow)(nil)).Set("valid_until = ?", micros{at}).Where("s.token_id = ?", id).
		WhereGroup(" AND ", func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Where("s.valid_until IS NULL").WhereOr("s.valid_until > ?", micros{at})
		}).Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// LiveSecrets returns the secrets of a key of the project that are accepted at
// now, with the current one first.
func (s *Store) LiveSecrets(ctx context.Context, scope domain.ProjectScope, key domain.KeyID, now time.Time) ([]domain.Secret, error) {
	var rows []secretRow
	err := selectIn(s, scope, &rows).ColumnExpr("?TableColumns").ColumnExpr("u.first_used_at, u.last_used_at").
		Join("LEFT JOIN api_key_usage AS u ON u.key_id = s.key_id AND u.token_id = s.token_id").
		Where("s.key_id = ?", key).
		WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("s.valid_until IS NULL").WhereOr("s.valid_until > ?", micros{now})
		}).OrderExpr("CASE WHEN s.valid_until IS NULL THEN 0 ELSE 1 END, s.valid_until DESC").Scan(ctx)
	if err != nil {
		return nil, s.error(err)
	}
	secrets := make([]domain.Secret, len(rows))
	for i, r := range rows {
		secrets[i] = r.secret()
	}
	return secrets, nil
}

// GetKey returns a key of the project. Its Retiring may have ended already.
func (s *Store) GetKey(ctx context.Context, scope domain.ProjectScope, id domain.KeyID) (domain.Key, error) {
	var row keyRow
	err := keysIn(s, scope, &row).Where("k.id = ?", id).Scan(ctx)
	return row.key(), s.error(err)
}

// LockKey is like GetKey, but locks the key until the transaction ends.
func (s *Store) LockKey(ctx context.Context, scope domain.ProjectScope, id domain.KeyID) (domain.Key, error) {
	var row keyRow
	err := s.engine.forUpdate(keysIn(s, scope, &row).Where("k.id = ?", id)).Scan(ctx)
	return row.key(), s.error(err)
}

// ListKeys returns the project's keys that pass the filter, newest first. Their
// Retiring may have ended already.
func (s *Store) ListKeys(
	ctx context.Context, scope domain.ProjectScope, f domain.KeyFilter, p domain.Page, now time.Time,
) (domain.List[domain.Key], error) {
	var rows []keyRow
	q := newest(keysIn(s, scope, &rows), "created_at", p)
	switch f.Status {
	case domain.KeyActive:
		q = q.Where("k.revoked_at IS NULL").WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("k.expires_at IS NULL").WhereOr("k.expires_at > ?", micros{now})
		})
	case domain.KeyExpired:
		q = q.Where("k.revoked_at IS NULL").Where("k.expires_at <= ?", micros{now})
	case domain.KeyRevoked:
		q = q.Where("k.revoked_at IS NOT NULL")
	}
	if f.Search != "" {
		// The database lowers both sides: one that only knows ASCII letters, as
		// PostgreSQL does in the locale C, still finds other letters as they were
		// typed.
		like := "%" + likeEscape.Replace(f.Search) + "%"
		q = q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			for _, column := range []string{"name", "prefix", "retiring_prefix"} {
				q = q.WhereOr("LOWER(k.?) LIKE LOWER(?) ESCAPE '!'", bun.Ident(column), like)
			}
			return q.WhereOr("k.id = ?", f.Search).WhereOr("k.external_id = ?", f.Search)
		})
	}
	if f.Environment != "" {
		q = q.Where("k.environment = ?", f.Environment)
	}
	if f.ExternalID != "" {
		q = q.Where("k.external_id = ?", f.ExternalID)
	}
	if f.CreatedBy != "" {
		q = q.Where("k.created_by_id = ?", f.CreatedBy)
	}
	if f.Scope != "" {
		q = q.Where("CAST(k.scopes AS TEXT) LIKE ? ESCAPE '!'", `%"`+likeEscape.Replace(string(f.Scope))+`"%`)
	}
	if f.Unrevoked {
		q = q.Where("k.revoked_at IS NULL")
	}
	if f.PlanID != "" {
		q = q.Where("k.plan_id = ?", f.PlanID)
	}
	switch f.Used {
	case domain.UsedEver:
		q = q.Where("EXISTS (SELECT 1 FROM api_key_usage AS u WHERE u.key_id = k.id)")
	case domain.UsedNever:
		q = q.Where("NOT EXISTS (SELECT 1 FROM api_key_usage AS u WHERE u.key_id = k.id)")
	}
	if !f.LastUsedBefore.IsZero() {
		q = q.Where("(SELECT MAX(u.last_used_at) FROM api_key_usage AS u WHERE u.key_id = k.id) < ?", micros{f.LastUsedBefore})
	}
	if err := q.Scan(ctx); err != nil {
		return domain.List[domain.Key]{}, s.error(err)
	}
	return list(rows, p, keyRow.key, func(k domain.Key) domain.Cursor {
		return domain.Cursor{At: k.CreatedAt, ID: string(k.ID)}
	}), nil
}

var likeEscape = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// CountKeys returns how many keys the project has, of any status.
func (s *Store) CountKeys(ctx context.Context, scope domain.ProjectScope) (int, error) {
	n, err := selectIn(s, scope, (*keyRow)(nil)).Count(ctx)
	return int(n), s.error(err)
}

// CountAllKeys returns how many keys the instance has, of any status.
func (s *Store) CountAllKeys(ctx context.Context) (int, error) {
	n, err := s.read.NewSelect().Model((*keyRow)(nil)).Count(ctx)
	return int(n), s.error(err)
}

// keysIn starts a query of the project's keys, with the last uses of them and of
// their retiring tokens, and the names of their plans.
func keysIn(s *Store, scope domain.ProjectScope, model any) *bun.SelectQuery {
	return selectIn(s, scope, model).ColumnExpr("?TableColumns").
		ColumnExpr("(SELECT MAX(u.last_used_at) FROM api_key_usage AS u WHERE u.key_id = k.id) AS last_used_at").
		ColumnExpr("(SELECT MAX(u.last_used_at) FROM api_key_usage AS u JOIN api_key_secrets AS s ON s.token_id = u.token_id " +
			"WHERE u.key_id = k.id AND s.prefix = k.retiring_prefix AND s.valid_until = k.retiring_until) AS retiring_last_used").
		ColumnExpr("COALESCE((SELECT l.name FROM plans AS l WHERE l.id = k.plan_id), '') AS plan_name")
}

// UpdateKey stores k, which must be one revision ahead of the row; otherwise it
// returns conflict. It never changes a revoked key, so nothing can undo a
// revocation.
func (s *Store) UpdateKey(ctx context.Context, scope domain.ProjectScope, k domain.Key) error {
	res, err := updateIn(s, scope, newKeyRow(scope, k)).
		ExcludeColumn("id", "organization_id", "project_id", "environment", "created_at", "created_by_kind", "created_by_id",
			"created_by_name").
		Where("k.id = ?", k.ID).Where("k.revision = ?", k.Revision-1).Where("k.revoked_at IS NULL").Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

// DeleteKey removes a key of the project with its secrets. It records that
// imported secrets have ended.
func (s *Store) DeleteKey(ctx context.Context, scope domain.ProjectScope, id domain.KeyID) error {
	if err := s.endImports(ctx, scope, id); err != nil {
		return err
	}
	res, err := deleteIn(s, scope, (*keyRow)(nil)).Where("k.id = ?", id).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}
