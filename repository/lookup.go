package repository

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-dev/latchkey/domain"
)

// Look-ups are the only queries that are written by hand. They are the cost of
// a token that is not in memory, and building them each time would take longer
// than the database needs for them. A key's row is found by its id alone: the
// foreign key ensures that it belongs to the secret's project.
//
// Each of their columns is one line of a table, with the place that its value
// goes to.

// found receives the row of a look-up.
type found struct {
	secret       domain.Secret
	key          domain.Key
	project      domain.Project
	organization domain.Organization
	hasPlans     bool
}

// target is a column of a look-up and where its value goes.
type target struct {
	column string
	to     func(*found) any
}

var keyColumns = []target{
	{"s.key_id", func(f *found) any { return &f.secret.KeyID }},
	{"s.project_id", func(f *found) any { return &f.secret.ProjectID }},
	{"s.prefix", func(f *found) any { return &f.secret.Prefix }},
	{"s.algorithm", func(f *found) any { return &f.secret.Algorithm }},
	{"s.pepper_version", func(f *found) any { return &f.secret.PepperVersion }},
	{"s.digest", func(f *found) any { return (*[]byte)(&f.secret.Digest) }},
	{"s.created_at", func(f *found) any { return (*moment)(&f.secret.CreatedAt) }},
	{"s.valid_until", func(f *found) any { return (*moment)(&f.secret.ValidUntil) }},
	{"COALESCE(s.parameters, '')", func(f *found) any { return &f.secret.Parameters }},
	{"k.name", func(f *found) any { return &f.key.Name }},
	{"k.prefix", func(f *found) any { return &f.key.Prefix }},
	{"k.environment", func(f *found) any { return &f.key.Environment }},
	{"k.scopes", func(f *found) any { return fromJSON[[]domain.Scope]{&f.key.Scopes} }},
	{"k.external_id", func(f *found) any { return &f.key.ExternalID }},
	{"k.metadata", func(f *found) any { return fromJSON[map[string]string]{&f.key.Metadata} }},
	{"k.created_at", func(f *found) any { return (*moment)(&f.key.CreatedAt) }},
	{"k.created_by_kind", func(f *found) any { return &f.key.CreatedBy.Kind }},
	{"k.created_by_id", func(f *found) any { return &f.key.CreatedBy.ID }},
	{"k.created_by_name", func(f *found) any { return &f.key.CreatedBy.Name }},
	{"k.expires_at", func(f *found) any { return (*moment)(&f.key.ExpiresAt) }},
	{"k.revoked_at", func(f *found) any { return (*moment)(&f.key.RevokedAt) }},
	{"k.revoked_reason", func(f *found) any { return &f.key.RevokedReason }},
	{"k.rotated_at", func(f *found) any { return (*moment)(&f.key.RotatedAt) }},
	{"k.leaked_at", func(f *found) any { return (*moment)(&f.key.LeakedAt) }},
	{"k.retiring_prefix", func(f *found) any { return &f.key.Retiring.Prefix }},
	{"k.retiring_until", func(f *found) any { return (*moment)(&f.key.Retiring.ValidUntil) }},
	{"COALESCE(k.plan_id, '')", func(f *found) any { return &f.key.Plan.ID }},
	{"COALESCE(l.name, '')", func(f *found) any { return &f.key.Plan.Name }},
	{"k.limits", func(f *found) any { return someFromJSON[domain.Limit]{&f.key.Limits} }},
	{"k.allowed_ips", func(f *found) any { return someFromJSON[domain.Network]{&f.key.AllowedIPs} }},
	{"k.revision", func(f *found) any { return &f.key.Revision }},
}

var tenantColumns = []target{
	{"p.organization_id", func(f *found) any { return &f.organization.ID }},
	{"p.name", func(f *found) any { return &f.project.Name }},
	{"p.slug", func(f *found) any { return &f.project.Slug }},
	{"p.key_prefix", func(f *found) any { return &f.project.KeyPrefix }},
	{"p.status", func(f *found) any { return &f.project.Status }},
	{"p.created_at", func(f *found) any { return (*moment)(&f.project.CreatedAt) }},
	{"p.updated_at", func(f *found) any { return (*moment)(&f.project.UpdatedAt) }},
	{"p.revision", func(f *found) any { return &f.project.Revision }},
	{"p.suspended_at", func(f *found) any { return (*moment)(&f.project.Suspended.Since) }},
	{"p.suspended_reason", func(f *found) any { return &f.project.Suspended.Reason }},
	{"p.limits", func(f *found) any { return someFromJSON[domain.Limit]{&f.project.Limits} }},
	{"p.audience", func(f *found) any { return &f.project.Audience }},
	{"p.token_ttl", func(f *found) any { return &f.project.TokenTTL }},
	{"p.token_epoch", func(f *found) any { return &f.project.TokenEpoch }},
	{"p.on_leak", func(f *found) any { return &f.project.OnLeak }},
	{"EXISTS (SELECT 1 FROM plans q WHERE q.project_id = p.id)", func(f *found) any { return &f.hasPlans }},
	{"o.suspended_at", func(f *found) any { return (*moment)(&f.organization.Suspended.Since) }},
	{"o.suspended_reason", func(f *found) any { return &f.organization.Suspended.Reason }},
	{"o.name", func(f *found) any { return &f.organization.Name }},
	{"o.slug", func(f *found) any { return &f.organization.Slug }},
	{"o.status", func(f *found) any { return &f.organization.Status }},
	{"o.created_at", func(f *found) any { return (*moment)(&f.organization.CreatedAt) }},
	{"o.updated_at", func(f *found) any { return (*moment)(&f.organization.UpdatedAt) }},
	{"o.revision", func(f *found) any { return &f.organization.Revision }},
}

// moment reads a time as micros does, into a time of the domain.
type moment time.Time

func (m *moment) Scan(src any) error {
	var at micros
	err := at.Scan(src)
	*m = moment(at.Time)
	return err
}

// fromJSON reads JSON, as bun writes it.
type fromJSON[T any] struct{ to *T }

func (j fromJSON[T]) Scan(src any) error {
	switch v := src.(type) {
	case []byte:
		return json.Unmarshal(v, j.to)
	case string:
		return json.Unmarshal([]byte(v), j.to)
	}
	return fmt.Errorf("JSON is stored as text, not as %T", src)
}

// someFromJSON is like fromJSON for a list, and reads an empty one as nil.
type someFromJSON[T any] struct{ to *[]T }

func (j someFromJSON[T]) Scan(src any) error {
	var list []T
	err := fromJSON[[]T]{&list}.Scan(src)
	*j.to = someOrNil(list)
	return err
}

// lookups are the hand-written queries.
type lookups struct {
	key, callingKey *lookup
	tracer          *tracer
	measured        func(Kind, time.Duration, bool) // nil: by no one; see Measure
}

func newLookups() *lookups {
	return &lookups{
		key: newLookup(`api_key_secrets s
JOIN api_keys k ON k.id = s.key_id
LEFT JOIN plans l ON l.id = k.plan_id
WHERE s.token_id = `, keyColumns),
		callingKey: newLookup(`api_key_secrets s
JOIN api_keys k ON k.id = s.key_id
LEFT JOIN plans l ON l.id = k.plan_id
JOIN projects p ON p.id = k.project_id
JOIN organizations o ON o.id = p.organization_id
WHERE o.deleted_at IS NULL AND p.deleted_at IS NULL AND s.token_id = `, append(slices.Clone(keyColumns), tenantColumns...)),
	}
}

// lookup is one prepared query.
type lookup struct {
	query    string
	columns  []target
	mu       sync.Mutex
	prepared *sql.Stmt
	never    bool // there is a pooler in between, which loses prepared statements
}

func newLookup(from string, columns []target) *lookup {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.column
	}
	return &lookup{query: "SELECT " + strings.Join(names, ", ") + " FROM " + from, columns: columns}
}

// CallingKey returns, in one query, what is needed to prove the token with a
// public id and to act for its key. It checks neither the token's secret, nor
// whether key, project and organization may be used, nor whether Retiring has
// ended: the caller must. It does not find keys that are being deleted.
func (s *Store) CallingKey(ctx context.Context, id domain.TokenID) (domain.Secret, domain.CallingKey, error) {
	f, err := s.look(ctx, s.lookups.callingKey, id)
	return f.secret, domain.CallingKey{Key: f.key, Project: f.project, Organization: f.organization, HasPlans: f.hasPlans}, err
}

// KeyByToken is like CallingKey, for callers that already have the key's
// project and organization and know that they are not being deleted: it costs
// the database a third less.
func (s *Store) KeyByToken(ctx context.Context, id domain.TokenID) (domain.Secret, domain.Key, error) {
	f, err := s.look(ctx, s.lookups.key, id)
	return f.secret, f.key, err
}

// look runs a look-up; the zero value with an error.
func (s *Store) look(ctx context.Context, l *lookup, id domain.TokenID) (found, error) {
	if s.link.down.Load() {
		return found{}, errDown()
	}
	span := s.lookups.tracer.start(ctx, "SELECT", "api_key_secrets")
	began := time.Now()
	f, err := s.lookOnce(ctx, l, id)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && l.forgotten(e.Code) {
		f, err = s.lookOnce(ctx, l, id)
	}
	endSpan(span, err)
	err = s.error(err)
	if s.lookups.measured != nil {
		s.lookups.measured(LookUp, time.Since(began), domain.CodeOf(err) == domain.CodeUnavailable)
	}
	if err != nil {
		return found{}, err
	}
	f.secret.TokenID = id
	f.key.ID, f.key.ProjectID = f.secret.KeyID, f.secret.ProjectID
	f.project.ID, f.project.OrganizationID = f.secret.ProjectID, f.organization.ID
	return f, nil
}

func (s *Store) lookOnce(ctx context.Context, l *lookup, id domain.TokenID) (f found, err error) {
	statement, err := l.statement(ctx, s) //nolint:sqlclosecheck // it is kept until the store closes
	if err != nil {
		return f, err
	}
	var row *sql.Row
	if statement != nil {
		row = statement.QueryRowContext(ctx, id)
	} else {
		// The space makes it a different text: pgx would use the statement that it once
		// prepared for the same text.
		row = s.pools[0].DB.QueryRowContext(ctx, l.query+s.engine.placeholder()+" ", id)
	}
	targets := make([]any, len(l.columns))
	for i, c := range l.columns {
		targets[i] = c.to(&f)
	}
	return f, row.Scan(targets...)
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
