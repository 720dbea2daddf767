package repository

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-dev/latchkey/domain"
)

// callingKeyQuery is the one query that is written by hand: it is what a token
// that is not cached costs, and building it anew each time would take longer
// than the database needs for it.
const callingKeyQuery = `SELECT
	s.key_id, s.project_id, s.prefix, s.algorithm, s.pepper_version, s.digest, s.created_at, s.valid_until, COALESCE(s.parameters, ''),
	(SELECT u.first_used_at FROM api_key_usage u WHERE u.key_id = s.key_id AND u.token_id = s.token_id),
	k.name, k.prefix, k.environment, k.scopes, k.external_id, k.metadata, k.created_at,
	k.created_by_kind, k.created_by_id, k.created_by_name, k.expires_at, k.revoked_at, k.revoked_reason, k.rotated_at, k.revision,
	CASE WHEN k.rotated_at IS NULL THEN '' ELSE COALESCE((SELECT r.prefix ` + lastRetired + `), '') END,
	CASE WHEN k.rotated_at IS NOT NULL THEN (SELECT r.valid_until ` + lastRetired + `) END,
	p.organization_id, p.name, p.slug, p.key_prefix, p.status, p.created_at, p.updated_at, p.revision,
	o.name, o.slug, o.status, o.created_at, o.updated_at, o.revision
FROM api_key_secrets s
JOIN api_keys k ON k.project_id = s.project_id AND k.id = s.key_id
JOIN projects p ON p.id = k.project_id
JOIN organizations o ON o.id = p.organization_id
WHERE o.deleted_at IS NULL AND p.deleted_at IS NULL AND s.token_id = `

// lastRetired is, of the secrets that rotations left behind, the one that goes on
// for longest. It may have ended already: what is read here is kept for longer
// than a moment, so whoever shows it has to look at the time anyway.
const lastRetired = `FROM api_key_secrets r WHERE r.project_id = s.project_id AND r.key_id = s.key_id AND r.valid_until IS NOT NULL
	ORDER BY r.valid_until DESC, r.token_id LIMIT 1`

// lookup is that query, prepared.
type lookup struct {
	mu       sync.Mutex
	prepared *sql.Stmt
	never    bool // a pooler stands between, and forgets what was prepared
	tracer   *tracer
}

// CallingKey finds by a token's public id what is needed to prove the token and
// to act for its key, in one query. It says nothing about the token's secret,
// nor whether key, project and organization may be used: that is the caller's
// to check, as it is whether Retiring has ended. What is being deleted is not
// found.
func (s *Store) CallingKey(ctx context.Context, id domain.TokenID) (domain.Secret, domain.CallingKey, error) {
	if s.link.down.Load() {
		return domain.Secret{}, domain.CallingKey{}, errDown()
	}
	span := s.lookup.tracer.start(ctx, "SELECT", "api_key_secrets")
	secret, key, err := s.callingKey(ctx, id)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && s.lookup.forgotten(e.Code) {
		secret, key, err = s.callingKey(ctx, id)
	}
	endSpan(span, err)
	return secret, key, s.error(err)
}

func (s *Store) callingKey(ctx context.Context, id domain.TokenID) (domain.Secret, domain.CallingKey, error) {
	statement, err := s.lookup.statement(ctx, s) //nolint:sqlclosecheck // it is kept until the store closes
	if err != nil {
		return domain.Secret{}, domain.CallingKey{}, err
	}
	if statement != nil {
		return scanCallingKey(statement.QueryRowContext(ctx, id), id)
	}
	// The blank makes it another text: pgx would use what it once prepared for the same.
	return scanCallingKey(s.pools[0].DB.QueryRowContext(ctx, callingKeyQuery+s.engine.placeholder()+" ", id), id)
}

// statement prepares the query at the first call; nil where nothing can be
// prepared.
func (l *lookup) statement(ctx context.Context, s *Store) (*sql.Stmt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.never || !s.engine.prepares() {
		return nil, nil //nolint:nilnil // there is none to be had
	}
	if l.prepared == nil {
		var err error
		if l.prepared, err = s.pools[0].DB.PrepareContext(ctx, callingKeyQuery+s.engine.placeholder()); err != nil {
			return nil, fmt.Errorf("prepare the look-up of keys: %w", err)
		}
	}
	return l.prepared, nil
}

// forgotten reports whether the SQLSTATE is what a pooler causes by handing out
// another connection than the one on which the query was prepared, and if so
// goes without preparing from now on.
func (l *lookup) forgotten(state string) bool {
	const invalidStatementName, duplicateStatement, protocolViolation = "26000", "42P05", "08P01"
	if state != invalidStatementName && state != duplicateStatement && state != protocolViolation {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.never = true
	return true
}

func scanCallingKey(row *sql.Row, id domain.TokenID) (domain.Secret, domain.CallingKey, error) {
	secret := domain.Secret{TokenID: id}
	var (
		k                                                      domain.Key
		p                                                      domain.Project
		o                                                      domain.Organization
		scopes, metadata                                       []byte
		created, until, firstUsed                              micros
		keyCreated, keyExpires, keyRevoked, keyRotated         micros
		retiringUntil                                          micros
		projectCreated, projectUpdated, orgCreated, orgUpdated micros
	)
	err := row.Scan(
		&secret.KeyID, &secret.ProjectID, &secret.Prefix, &secret.Algorithm, &secret.PepperVersion, (*[]byte)(&secret.Digest), &created, &until,
		&secret.Parameters, &firstUsed,
		&k.Name, &k.Prefix, &k.Environment, &scopes, &k.ExternalID, &metadata, &keyCreated,
		&k.CreatedBy.Kind, &k.CreatedBy.ID, &k.CreatedBy.Name, &keyExpires, &keyRevoked, &k.RevokedReason, &keyRotated, &k.Revision,
		&k.Retiring.Prefix, &retiringUntil,
		&o.ID, &p.Name, &p.Slug, &p.KeyPrefix, &p.Status, &projectCreated, &projectUpdated, &p.Revision,
		&o.Name, &o.Slug, &o.Status, &orgCreated, &orgUpdated, &o.Revision,
	)
	if err != nil {
		return domain.Secret{}, domain.CallingKey{}, err
	}
	if err := errors.Join(json.Unmarshal(scopes, &k.Scopes), json.Unmarshal(metadata, &k.Metadata)); err != nil {
		return domain.Secret{}, domain.CallingKey{}, fmt.Errorf("key %s: %w", secret.KeyID, err)
	}
	secret.CreatedAt, secret.ValidUntil, secret.FirstUsedAt = created.Time, until.Time, firstUsed.Time
	k.ID, k.ProjectID = secret.KeyID, secret.ProjectID
	k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.RotatedAt = keyCreated.Time, keyExpires.Time, keyRevoked.Time, keyRotated.Time
	k.Retiring.ValidUntil = retiringUntil.Time
	p.ID, p.OrganizationID, p.CreatedAt, p.UpdatedAt = secret.ProjectID, o.ID, projectCreated.Time, projectUpdated.Time
	o.CreatedAt, o.UpdatedAt = orgCreated.Time, orgUpdated.Time
	return secret, domain.CallingKey{Key: k, Project: p, Organization: o}, nil
}
