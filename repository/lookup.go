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

// Look-ups are the only queries that are written by hand. They are the cost of
// a token that is not in memory, and building them each time would take longer
// than the database needs for them. A key's row is found by its id alone: the
// foreign key ensures that it belongs to the secret's project.
const (
	keyColumns = `s.key_id, s.project_id, s.prefix, s.algorithm, s.pepper_version, s.digest, s.created_at, s.valid_until,
	COALESCE(s.parameters, ''), k.name, k.prefix, k.environment, k.scopes, k.external_id, k.metadata, k.created_at,
	k.created_by_kind, k.created_by_id, k.created_by_name, k.expires_at, k.revoked_at, k.revoked_reason, k.rotated_at,
	k.retiring_prefix, k.retiring_until, k.revision`

	keyQuery = "SELECT " + keyColumns + ` FROM api_key_secrets s JOIN api_keys k ON k.id = s.key_id WHERE s.token_id = `

	callingKeyQuery = "SELECT " + keyColumns + `,
	p.organization_id, p.name, p.slug, p.key_prefix, p.status, p.created_at, p.updated_at, p.revision,
	p.suspended_at, p.suspended_reason, o.suspended_at, o.suspended_reason,
	o.name, o.slug, o.status, o.created_at, o.updated_at, o.revision
FROM api_key_secrets s
JOIN api_keys k ON k.id = s.key_id
JOIN projects p ON p.id = k.project_id
JOIN organizations o ON o.id = p.organization_id
WHERE o.deleted_at IS NULL AND p.deleted_at IS NULL AND s.token_id = `
)

// lookups are the hand-written queries.
type lookups struct {
	key, callingKey lookup
	tracer          *tracer
}

func newLookups() *lookups {
	return &lookups{key: lookup{query: keyQuery}, callingKey: lookup{query: callingKeyQuery}}
}

// lookup is one prepared query.
type lookup struct {
	query    string
	mu       sync.Mutex
	prepared *sql.Stmt
	never    bool // there is a pooler in between, which loses prepared statements
}

// CallingKey returns, in one query, what is needed to prove the token with a
// public id and to act for its key. It checks neither the token's secret, nor
// whether key, project and organization may be used, nor whether Retiring has
// ended: the caller must. It does not find keys that are being deleted.
func (s *Store) CallingKey(ctx context.Context, id domain.TokenID) (domain.Secret, domain.CallingKey, error) {
	var r keyFound
	var t tenantFound
	if err := s.look(ctx, &s.lookups.callingKey, id, append(r.columns(), t.columns()...)); err != nil {
		return domain.Secret{}, domain.CallingKey{}, err
	}
	secret, key, err := r.key(id)
	project, organization := t.tenant(key.ProjectID)
	return secret, domain.CallingKey{Key: key, Project: project, Organization: organization}, err
}

// KeyByToken is like CallingKey, for callers that already have the key's
// project and organization and know that they are not being deleted: it costs
// the database a third less.
func (s *Store) KeyByToken(ctx context.Context, id domain.TokenID) (domain.Secret, domain.Key, error) {
	var r keyFound
	if err := s.look(ctx, &s.lookups.key, id, r.columns()); err != nil {
		return domain.Secret{}, domain.Key{}, err
	}
	return r.key(id)
}

// look runs a look-up and scans its row.
func (s *Store) look(ctx context.Context, l *lookup, id domain.TokenID, columns []any) error {
	if s.link.down.Load() {
		return errDown()
	}
	span := s.lookups.tracer.start(ctx, "SELECT", "api_key_secrets")
	err := s.lookOnce(ctx, l, id, columns)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && l.forgotten(e.Code) {
		err = s.lookOnce(ctx, l, id, columns)
	}
	endSpan(span, err)
	return s.error(err)
}

func (s *Store) lookOnce(ctx context.Context, l *lookup, id domain.TokenID, columns []any) error {
	statement, err := l.statement(ctx, s) //nolint:sqlclosecheck // it is kept until the store closes
	if err != nil {
		return err
	}
	if statement != nil {
		return statement.QueryRowContext(ctx, id).Scan(columns...)
	}
	// The space makes it a different text: pgx would use the statement that it once
	// prepared for the same text.
	return s.pools[0].DB.QueryRowContext(ctx, l.query+s.engine.placeholder()+" ", id).Scan(columns...)
}

// statement prepares the query at the first call. It returns nil if nothing can
// be prepared.
func (l *lookup) statement(ctx context.Context, s *Store) (*sql.Stmt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.never || !s.engine.prepares() {
		return nil, nil //nolint:nilnil // statements cannot be prepared
	}
	if l.prepared == nil {
		var err error
		if l.prepared, err = s.pools[0].DB.PrepareContext(ctx, l.query+s.engine.placeholder()); err != nil {
			return nil, fmt.Errorf("prepare the look-up of keys: %w", err)
		}
	}
	return l.prepared, nil
}

// forgotten reports whether the SQLSTATE comes from a pooler that used another
// connection than the one on which the query was prepared. If so, it stops
// preparing the query from now on.
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

// keyFound receives the secret and key columns of a look-up.
type keyFound struct {
	secret                             domain.Secret
	k                                  domain.Key
	scopes, metadata                   []byte
	created, until                     micros
	keyCreated, keyExpires, keyRevoked micros
	keyRotated, retiringUntil          micros
}

func (r *keyFound) columns() []any {
	s, k := &r.secret, &r.k
	return []any{
		&s.KeyID, &s.ProjectID, &s.Prefix, &s.Algorithm, &s.PepperVersion, (*[]byte)(&s.Digest), &r.created, &r.until,
		&s.Parameters, &k.Name, &k.Prefix, &k.Environment, &r.scopes, &k.ExternalID, &r.metadata, &r.keyCreated,
		&k.CreatedBy.Kind, &k.CreatedBy.ID, &k.CreatedBy.Name, &r.keyExpires, &r.keyRevoked, &k.RevokedReason, &r.keyRotated,
		&k.Retiring.Prefix, &r.retiringUntil, &k.Revision,
	}
}

func (r *keyFound) key(id domain.TokenID) (domain.Secret, domain.Key, error) {
	s, k := r.secret, r.k
	s.TokenID = id
	if err := errors.Join(json.Unmarshal(r.scopes, &k.Scopes), json.Unmarshal(r.metadata, &k.Metadata)); err != nil {
		return domain.Secret{}, domain.Key{}, fmt.Errorf("key %s: %w", s.KeyID, err)
	}
	s.CreatedAt, s.ValidUntil = r.created.Time, r.until.Time
	k.ID, k.ProjectID, k.Retiring.ValidUntil = s.KeyID, s.ProjectID, r.retiringUntil.Time
	k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.RotatedAt = r.keyCreated.Time, r.keyExpires.Time, r.keyRevoked.Time, r.keyRotated.Time
	return s, k, nil
}

// tenantFound receives the project and organization columns of a look-up.
type tenantFound struct {
	p                                                      domain.Project
	o                                                      domain.Organization
	projectCreated, projectUpdated, orgCreated, orgUpdated micros
	projectSuspended, orgSuspended                         micros
}

func (r *tenantFound) columns() []any {
	p, o := &r.p, &r.o
	return []any{
		&o.ID, &p.Name, &p.Slug, &p.KeyPrefix, &p.Status, &r.projectCreated, &r.projectUpdated, &p.Revision,
		&r.projectSuspended, &p.Suspended.Reason, &r.orgSuspended, &o.Suspended.Reason,
		&o.Name, &o.Slug, &o.Status, &r.orgCreated, &r.orgUpdated, &o.Revision,
	}
}

func (r *tenantFound) tenant(id domain.ProjectID) (domain.Project, domain.Organization) {
	p, o := r.p, r.o
	p.ID, p.OrganizationID, p.CreatedAt, p.UpdatedAt = id, o.ID, r.projectCreated.Time, r.projectUpdated.Time
	o.CreatedAt, o.UpdatedAt = r.orgCreated.Time, r.orgUpdated.Time
	p.Suspended.Since, o.Suspended.Since = r.projectSuspended.Time, r.orgSuspended.Time
	return p, o
}
