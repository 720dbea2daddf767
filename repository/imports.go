package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// MaxCandidates bounds how many secrets with the same locator an organization
// may have. Other organizations do not count: no one must learn what another
// organization has.
const MaxCandidates = 8

// KnownImports is what the database knows about some locators.
type KnownImports struct {
	Here    map[string][]byte // of this project: locator to import digest
	Ended   map[string]bool   // import digests of keys that have been deleted from this project
	Crowded map[string]bool   // locators that MaxCandidates secrets of the organization share
}

// NextImportBatch returns the number of a new batch, and prevents other imports
// until the transaction ends: see ImportedSince.
func (s *Store) NextImportBatch(ctx context.Context) (int64, error) {
	var number int64
	err := s.write.NewRaw("UPDATE import_batches SET number = number + 1 WHERE id = 1 RETURNING number").Scan(ctx, &number)
	return number, s.error(err)
}

// KnownImports returns what is known about the secrets that are to be imported
// into the project.
func (s *Store) KnownImports(ctx context.Context, scope domain.ProjectScope, secrets []domain.Secret) (KnownImports, error) {
	known := KnownImports{Ended: map[string]bool{}, Crowded: map[string]bool{}}
	locators, digests := make([]string, len(secrets)), make([][]byte, len(secrets))
	for i, v := range secrets {
		locators[i], digests[i] = v.Locator, v.ImportDigest
	}
	var err error
	if known.Here, err = s.importsHere(ctx, scope, locators); err != nil {
		return known, err
	}
	var ended []endedImportRow
	if err := selectIn(s, scope, &ended).Where("x.import_digest IN (?)", bun.List(digests)).Scan(ctx); err != nil {
		return known, s.error(err)
	}
	for _, row := range ended {
		known.Ended[string(row.ImportDigest)] = true
	}
	known.Crowded, err = s.crowdedLocators(ctx, scope, locators)
	return known, err
}

// importsHere returns the import digests of the project's secrets by locator.
func (s *Store) importsHere(ctx context.Context, scope domain.ProjectScope, locators []string) (map[string][]byte, error) {
	var rows []struct {
		Locator string
		Digest  []byte
	}
	one := selectIn(s, scope, (*secretRow)(nil)).Column("import_digest").Where("s.lookup = l.value")
	err := s.read.NewSelect().TableExpr("?", s.engine.texts(locators)).ColumnExpr("l.value AS locator").ColumnExpr("(?) AS digest", one).
		Scan(ctx, &rows)
	here := map[string][]byte{}
	for _, row := range rows {
		if row.Digest != nil {
			here[row.Locator] = row.Digest
		}
	}
	return here, s.error(err)
}

// crowdedLocators returns the locators that MaxCandidates secrets of the
// organization share.
func (s *Store) crowdedLocators(ctx context.Context, scope domain.ProjectScope, locators []string) (map[string]bool, error) {
	var crowded []string
	few := s.read.NewSelect().Model((*secretRow)(nil)).ColumnExpr("1").Join("JOIN projects AS p ON p.id = s.project_id").
		Where("p.organization_id = ?", scope.Organization()).Where("s.lookup = l.value").Limit(MaxCandidates)
	err := s.read.NewSelect().TableExpr("?", s.engine.texts(locators)).ColumnExpr("l.value").
		Where("(SELECT COUNT(*) FROM (?) AS few) = ?", few, MaxCandidates).Scan(ctx, &crowded)
	found := map[string]bool{}
	for _, locator := range crowded {
		found[locator] = true
	}
	return found, s.error(err)
}

// AddImported adds keys with their secrets to the project, as one batch.
func (s *Store) AddImported(ctx context.Context, scope domain.ProjectScope, batch int64, imported []domain.ImportedKey) error {
	if len(imported) == 0 {
		return nil
	}
	keys, secrets := make([]keyRow, len(imported)), make([]secretRow, len(imported))
	for i, v := range imported {
		keys[i], secrets[i] = *newKeyRow(scope, v.Key), *newSecretRow(scope, v.Secret)
		secrets[i].ImportBatch = batch
	}
	if err := insertIn(ctx, s, scope, &keys); err != nil {
		return err
	}
	return insertIn(ctx, s, scope, &secrets)
}

// Import means that a secret can be found by a locator.
type Import struct {
	Locator string
	TokenID domain.TokenID
	Batch   int64
}

// ImportedSince returns up to limit imported secrets of all projects that come
// after last. They are in the order of their batches and, within a batch, of
// their ids. Batches become visible in order, so a caller that continues from
// the last answer misses none.
func (s *Store) ImportedSince(ctx context.Context, last Import, limit int) ([]Import, error) {
	var rows []secretRow
	err := s.read.NewSelect().Model(&rows).Column("lookup", "token_id", "import_batch").Where("s.import_batch IS NOT NULL").
		Where("(s.import_batch, s.token_id) > (?, ?)", last.Batch, last.TokenID).Order("import_batch", "token_id").
		Limit(int64(limit)).Scan(ctx)
	found := make([]Import, len(rows))
	for i, r := range rows {
		found[i] = Import{r.Locator, r.TokenID, r.ImportBatch}
	}
	return found, s.error(err)
}

// UntaggedTokens returns up to limit tokens without a tag that come after the
// given one, of all projects, in the order of their ids.
func (s *Store) UntaggedTokens(ctx context.Context, after domain.TokenID, limit int) ([]domain.TokenID, error) {
	var found []domain.TokenID
	err := s.read.NewSelect().Model((*secretRow)(nil)).Column("token_id").Where("NOT s.tagged").Where("s.lookup IS NULL").
		Where("s.token_id > ?", after).Order("token_id").Limit(int64(limit)).Scan(ctx, &found)
	return found, s.error(err)
}

// RehashSecret replaces the digest of a secret, if it is still the one in old;
// otherwise it returns conflict. It does not touch the key, so a revocation at
// the same time is kept.
func (s *Store) RehashSecret(ctx context.Context, scope domain.ProjectScope, old, replacement domain.Secret) error {
	res, err := updateIn(s, scope, (*secretRow)(nil)).
		Set("algorithm = ?", replacement.Algorithm).Set("pepper_version = ?", replacement.PepperVersion).
		Set("digest = ?", []byte(replacement.Digest)).Set("parameters = NULL").
		Where("s.token_id = ?", old.TokenID).
		Where("s.algorithm = ?", old.Algorithm).Where("s.digest = ?", []byte(old.Digest)).Exec(ctx)
	return s.changed(res, err, conflict(nil))
}

type endedImportRow struct {
	bun.BaseModel `bun:"table:ended_imports,alias:x"`

	ProjectID    domain.ProjectID `bun:",pk"`
	ImportDigest []byte           `bun:",pk"`
}

// endImports records that the imported secrets of a key have ended.
func (s *Store) endImports(ctx context.Context, scope domain.ProjectScope, id domain.KeyID) error {
	var rows []secretRow
	err := selectIn(s, scope, &rows).Column("import_digest").Where("s.key_id = ?", id).Where("s.import_digest IS NOT NULL").Scan(ctx)
	if err != nil || len(rows) == 0 {
		return s.error(err)
	}
	ended := make([]endedImportRow, len(rows))
	for i, r := range rows {
		ended[i] = endedImportRow{ProjectID: scope.Project(), ImportDigest: r.ImportDigest}
	}
	return insertIn(ctx, s, scope, &ended)
}
