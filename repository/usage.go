package repository

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type useRow struct {
	bun.BaseModel `bun:"table:api_key_usage,alias:u"`

	ProjectID  domain.ProjectID
	KeyID      domain.KeyID   `bun:",pk"`
	TokenID    domain.TokenID `bun:",pk"`
	LastUsedAt micros
}

// LastUses returns when a key of the project and its retiring token were last used,
// as far as it was recorded; the zero time for never.
func (s *Store) LastUses(ctx context.Context, scope domain.ProjectScope, k domain.Key) (key, retiring time.Time, err error) {
	var last, old micros
	err = selectIn(s, scope, (*useRow)(nil)).ColumnExpr("MAX(u.last_used_at)").
		ColumnExpr("MAX(CASE WHEN s.prefix = ? AND s.valid_until = ? THEN u.last_used_at END)",
			k.Retiring.Prefix, micros{k.Retiring.ValidUntil}).
		Join("LEFT JOIN api_key_secrets AS s ON s.token_id = u.token_id").
		Where("u.key_id = ?", k.ID).Scan(ctx, &last, &old)
	return last.Time, old.Time, s.error(err)
}

// RecordUses records when secrets were used. Uses of deleted secrets are
// dropped. It writes to a separate table, so it can never change a key.
func (s *Store) RecordUses(ctx context.Context, uses []domain.Use) error {
	if len(uses) == 0 {
		return nil
	}
	// In one order, so that two nodes do not wait for each other in a circle.
	slices.SortFunc(uses, func(a, b domain.Use) int {
		return cmp.Or(cmp.Compare(a.KeyID, b.KeyID), cmp.Compare(a.TokenID, b.TokenID), b.Last.Compare(a.Last))
	})
	uses = slices.CompactFunc(uses, func(a, b domain.Use) bool { return a.KeyID == b.KeyID && a.TokenID == b.TokenID })
	var args []any
	for _, u := range uses {
		args = append(args, u.KeyID, u.TokenID, micros{u.First}, micros{u.Last})
	}
	// The join adds the project and leaves out deleted keys. For a key that is
	// being deleted it waits until the key is gone or stays.
	args = append(args, bun.Safe(s.engine.keepRows("k")))
	err := s.again(func() error {
		_, err := s.write.NewRaw(`INSERT INTO api_key_usage (project_id, key_id, token_id, first_used_at, last_used_at)
		SELECT k.project_id, k.id, v.column2, v.column3, v.column4
		FROM (VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(uses)), ", ")+`) AS v
		JOIN api_keys AS k ON k.id = v.column1
		WHERE TRUE ORDER BY k.id, v.column2 ?
		ON CONFLICT (key_id, token_id) DO UPDATE SET last_used_at = EXCLUDED.last_used_at
		WHERE api_key_usage.last_used_at < EXCLUDED.last_used_at`, args...).Exec(ctx)
		return err
	})
	return s.error(err)
}

// usageKey is the primary key of a row of usage_days, without its day.
type usageKey struct {
	project    domain.ProjectID
	subject    string // a key's id, the project's, or tagKind and a tag
	measure    string
	externalID string
}

func (a usageKey) compare(b usageKey) int {
	return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.subject, b.subject), cmp.Compare(a.measure, b.measure),
		cmp.Compare(a.externalID, b.externalID))
}

// usageSum is what is added to a row.
type usageSum struct {
	environment domain.Environment
	count       int64
}

// tagKind is what the subjects of tags begin with.
const tagKind = "tag:"

// sumUsage returns what the counts add to the rows of keys and tags, and to those of
// their projects.
func sumUsage(counts []domain.UsageCount) (parts, projects map[usageKey]usageSum) {
	parts, projects = map[usageKey]usageSum{}, map[usageKey]usageSum{}
	for _, c := range counts {
		if c.Tag != "" {
			k := usageKey{c.ProjectID, tagKind + c.Tag, string(c.Outcome), ""}
			parts[k] = usageSum{"", parts[k].count + c.Count}
			continue
		}
		if c.KeyID != "" {
			k := usageKey{c.ProjectID, string(c.KeyID), string(c.Outcome), c.ExternalID}
			parts[k] = usageSum{c.Environment, parts[k].count + c.Count}
		}
		p := usageKey{c.ProjectID, string(c.ProjectID), string(c.Outcome), ""}
		projects[p] = usageSum{"", projects[p].count + c.Count}
	}
	return parts, projects
}

// RecordUsage adds the counts of a batch to the hour and the minute of its moment,
// unless the batch has been applied already. The counts of projects that do not
// exist any more are dropped. A batch without counts is one statement, which only
// notes the moment.
func (s *Store) RecordUsage(ctx context.Context, b domain.UsageBatch) error {
	if len(b.Counts) == 0 {
		_, err := s.noteBatch(ctx, b)
		return err
	}
	parts, projects := sumUsage(b.Counts)
	return s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		if isNew, err := tx.noteBatch(ctx, b); err != nil || !isNew {
			return err // the answer to the same batch was lost
		}
		for _, sums := range []map[usageKey]usageSum{projects, parts} {
			if err := tx.addToDays(ctx, b.At, sums); err != nil {
				return err
			}
		}
		return tx.addToMinutes(ctx, b.At, projects)
	})
}

// noteBatch notes that a batch is applied, and reports whether it was not before.
func (s *Store) noteBatch(ctx context.Context, b domain.UsageBatch) (isNew bool, err error) {
	res, err := s.write.NewRaw(`INSERT INTO flushes (node_id, number, at) VALUES (?, ?, ?)
		ON CONFLICT (node_id) DO UPDATE SET number = EXCLUDED.number, at = EXCLUDED.at WHERE flushes.number < EXCLUDED.number`,
		b.NodeID, b.Number, micros{b.At}).Exec(ctx)
	if err != nil {
		return false, s.error(err)
	}
	n, err := res.RowsAffected()
	return n > 0, s.error(err)
}

// EndUsage notes that a node leaves nothing unwritten.
func (s *Store) EndUsage(ctx context.Context, node string) error {
	_, err := s.write.NewRaw("DELETE FROM flushes WHERE node_id = ?", node).Exec(ctx)
	return s.error(err)
}

// OwnersOfTokens returns, of those of the tokens that are of the project, whose uses they
// are.
func (s *Store) OwnersOfTokens(ctx context.Context, scope domain.ProjectScope, tokens []domain.TokenID) ([]domain.ReportedUse, error) {
	var rows []struct {
		TokenID     domain.TokenID
		KeyID       domain.KeyID
		ExternalID  string
		Environment domain.Environment
	}
	err := selectIn(s, scope, (*secretRow)(nil)).Column("token_id", "key_id").ColumnExpr("k.external_id, k.environment").
		Join("JOIN api_keys AS k ON k.project_id = s.project_id AND k.id = s.key_id").
		Where("s.token_id IN (?)", bun.List(tokens)).Scan(ctx, &rows)
	owners := make([]domain.ReportedUse, len(rows))
	for i, r := range rows {
		owners[i] = domain.ReportedUse{
			ProjectID:   scope.Project(),
			KeyID:       r.KeyID,
			TokenID:     r.TokenID,
			ExternalID:  r.ExternalID,
			Environment: r.Environment,
		}
	}
	return owners, s.error(err)
}

// ForgetUsage removes at most limit rows of the days and of the minutes that are
// older than a moment each, and reports whether there may be more.
func (s *Store) ForgetUsage(ctx context.Context, days, minutes time.Time, limit int) (more bool, err error) {
	for _, old := range []struct {
		table, key, at string
		before         time.Time
	}{
		{"usage_days", "project_id, subject, day, measure, external_id", "day", days},
		{"usage_minutes", "project_id, minute, measure", "minute", minutes},
		{"flushes", "node_id", "at", days},
	} {
		res, err := s.write.NewRaw("DELETE FROM "+old.table+" WHERE ("+old.key+") IN (SELECT "+old.key+" FROM "+old.table+
			" WHERE "+old.at+" < ? LIMIT ?)", micros{old.before}, limit).Exec(ctx)
		if err != nil {
			return false, s.error(err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return false, s.error(err)
		}
		more = more || n == int64(limit)
	}
	return more, nil
}

// purgeUsage removes at most limit rows of usage of a deleted tenant, in its own
// transaction, and returns how many.
func purgeUsage[S tenant](ctx context.Context, s *Store, scope S, limit int) (int64, error) {
	const key = "project_id, subject, day, measure, external_id"
	some := selectIn(s, scope, (*usageDayRow)(nil)).ColumnExpr(key).Limit(int64(limit)).
		Where("u.project_id IN (?)", selectIn(s, scope, (*projectRow)(nil)).Column("id")) // an index begins with the project
	res, err := deleteIn(s, scope, (*usageDayRow)(nil)).Where("("+key+") IN (?)", some).Exec(ctx)
	if err != nil {
		return 0, s.error(err)
	}
	n, err := res.RowsAffected()
	return n, s.error(err)
}

// addToDays adds to the rows of the day and to the hour of a moment. Rows are
// locked in the order of their keys, so that two nodes do not wait for each other
// in a circle.
func (s *Store) addToDays(ctx context.Context, at time.Time, sums map[usageKey]usageSum) error {
	if len(sums) == 0 {
		return nil
	}
	at = at.UTC()
	args := []any{micros{at.Truncate(24 * time.Hour)}}
	for _, k := range slices.SortedFunc(maps.Keys(sums), usageKey.compare) {
		args = append(args, k.project, k.subject, k.measure, k.externalID, sums[k].environment, sums[k].count)
	}
	hour := fmt.Sprintf("h%02d", at.Hour())
	_, err := s.write.NewRaw(`INSERT INTO usage_days
		(project_id, subject, day, measure, external_id, organization_id, environment, total, `+hour+`)
		SELECT p.id, v.column2, ?, v.column3, v.column4, p.organization_id, v.column5, v.column6, v.column6
		FROM (VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?), ", len(sums)), ", ")+`) AS v
		JOIN projects AS p ON p.id = v.column1
		WHERE p.deleted_at IS NULL ORDER BY p.id, v.column2, v.column3, v.column4 ?
		ON CONFLICT (project_id, subject, day, measure, external_id) DO UPDATE
		SET total = usage_days.total + EXCLUDED.total, `+hour+` = COALESCE(usage_days.`+hour+`, 0) + EXCLUDED.`+hour,
		append(args, bun.Safe(s.engine.keepRows("p")))...).Exec(ctx)
	return s.error(err)
}

// addToMinutes adds to the minute of a moment.
func (s *Store) addToMinutes(ctx context.Context, at time.Time, projects map[usageKey]usageSum) error {
	if len(projects) == 0 {
		return nil
	}
	args := []any{micros{at.Truncate(time.Minute)}}
	for _, k := range slices.SortedFunc(maps.Keys(projects), usageKey.compare) {
		args = append(args, k.project, k.measure, projects[k].count)
	}
	_, err := s.write.NewRaw(`INSERT INTO usage_minutes (project_id, minute, measure, total)
		SELECT p.id, ?, v.column2, v.column3
		FROM (VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?, ?), ", len(projects)), ", ")+`) AS v
		JOIN projects AS p ON p.id = v.column1
		WHERE p.deleted_at IS NULL ORDER BY p.id, v.column2 ?
		ON CONFLICT (project_id, minute, measure) DO UPDATE SET total = usage_minutes.total + EXCLUDED.total`,
		append(args, bun.Safe(s.engine.keepRows("p")))...).Exec(ctx)
	return s.error(err)
}
