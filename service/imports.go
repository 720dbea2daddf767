package service

import (
	"context"
	"crypto/hmac"
	"iter"
	"strconv"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

const (
	importBatch     = 1000        // rows to a transaction
	importsInterval = time.Second // how late at most a node learns of keys that another has imported
)

// ImportKeys takes over keys that were made elsewhere, by the hashes of their
// tokens: their clients go on sending what they have. Good rows are taken even
// when others are not. Rows that are here already stay as they are, so that
// importing the same rows again changes nothing, and a key that has been revoked
// or deleted here does not come back. It needs keys:import, and for each row the
// scopes that it asks for, and limits:write if it has a plan or limits.
func (p *Project) ImportKeys(ctx context.Context, rows iter.Seq[domain.ImportRow]) (domain.ImportResult, error) {
	var result domain.ImportResult
	if err := p.Authorize(domain.KeysImport); err != nil {
		return result, err
	}
	plans, err := p.plansByID(ctx)
	if err != nil {
		return result, err
	}
	var good []domain.ImportedKey // of at most one batch, so that memory is bounded whatever the rows are
	var pointers []string
	number := 0
	for row := range rows {
		pointer := "/" + strconv.Itoa(number)
		key, err := p.imported(row, plans)
		switch {
		case err == nil:
			good, pointers = append(good, key), append(pointers, pointer)
		case domain.CodeOf(err) == domain.CodeValidationFailed:
			result.Complain(pointer, domain.FieldErrors(err)...)
		default:
			return result, err
		}
		if number++; number%importBatch == 0 {
			if err := p.importBatch(ctx, good, pointers, &result); err != nil {
				return result, err
			}
			good, pointers = good[:0], pointers[:0]
		}
	}
	if err := p.importBatch(ctx, good, pointers, &result); err != nil {
		return result, err
	}
	if err := p.app.loadImports(ctx); err != nil {
		// The keys are there: this node learns of them as the others do.
		p.app.log.WarnContext(ctx, "imported keys are not known to this node yet", "error", err)
	}
	return result, nil
}

// importBatch stores keys that were made elsewhere, of the rows that the
// pointers name.
func (p *Project) importBatch(ctx context.Context, good []domain.ImportedKey, pointers []string, result *domain.ImportResult) error {
	if err := ctx.Err(); err != nil || len(good) == 0 {
		return err
	}
	var done domain.ImportResult
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		done = domain.ImportResult{}
		number, err := tx.NextImportBatch(ctx)
		if err != nil {
			return err
		}
		fresh, err := p.freshImports(ctx, tx, good, pointers, &done)
		if err != nil || len(fresh) == 0 {
			return err
		}
		if err := tx.AddImported(ctx, p.project.Scope(), number, fresh); err != nil {
			return err
		}
		done.Imported = len(fresh)
		return p.app.record(ctx, tx, p.caller, domain.Event{
			Action:         "keys.imported",
			Target:         domain.Target{Kind: "project", ID: string(p.project.ID), Name: p.project.Name},
			OrganizationID: p.project.OrganizationID,
			ProjectID:      p.project.ID,
			Changes: domain.Changes{
				"imported": {nil, len(fresh)},
				"first":    {nil, fresh[0].Key.ID},
				"last":     {nil, fresh[len(fresh)-1].Key.ID},
			},
		})
	})
	if err != nil {
		return err
	}
	result.Imported += done.Imported
	result.Unchanged += done.Unchanged
	result.Complain("", done.Errors...)
	result.More += done.More
	return nil
}

// imported returns the key that a row asks for, or validation_failed.
func (p *Project) imported(row domain.ImportRow, plans map[domain.PlanID]domain.Plan) (domain.ImportedKey, error) {
	if err := row.Validate(); err != nil {
		return domain.ImportedKey{}, err
	}
	if err := p.requireScopes(row.Scopes); err != nil {
		refused := domain.Invalid{{Pointer: "/scopes",
			Detail: "holds a scope that you do not hold yourself, so you cannot give it to a key"}}
		return domain.ImportedKey{}, refused.Err()
	}
	plan, err := p.importedPlan(row, plans)
	if err != nil {
		return domain.ImportedKey{}, err
	}
	if row.Environment == "" {
		row.Environment = domain.Live
	}
	now := p.app.now()
	created := row.CreatedAt.UTC().Truncate(time.Microsecond)
	if created.IsZero() {
		created = now
	}
	key := domain.Key{
		ID:          domain.NewID[domain.KeyID](now),
		ProjectID:   p.project.ID,
		Name:        row.Name,
		Prefix:      row.Prefix,
		Environment: row.Environment,
		Scopes:      domain.DistinctScopes(row.Scopes),
		ExternalID:  row.ExternalID,
		Metadata:    row.Metadata,
		CreatedAt:   created,
		CreatedBy:   p.caller.Actor(),
		ExpiresAt:   row.ExpiresAt.UTC().Truncate(time.Microsecond),
		Plan:        plan.ForKeys(),
		Limits:      domain.LimitsWithDefaults(row.Limits),
		AllowedIPs:  domain.DistinctNetworks(row.AllowedIPs),
		Revision:    1,
	}
	if row.Revoked {
		key.RevokedAt, key.RevokedReason = now, "It was revoked before it was imported."
	}
	h, _ := row.ParseHash() // it has been validated
	return domain.ImportedKey{Key: key, Secret: domain.Secret{
		TokenID:       domain.NewTokenID(),
		ProjectID:     key.ProjectID,
		KeyID:         key.ID,
		Prefix:        row.Prefix,
		Algorithm:     h.Algorithm,
		PepperVersion: pepperVersion,
		Digest:        p.app.keyring.importedDigest(key.ID, key.ProjectID, h),
		CreatedAt:     now,
		Parameters:    h.Parameters,
		Locator:       p.app.keyring.locator(row.Prefix, h),
		ImportDigest:  p.app.keyring.importDigest(key.ProjectID, h),
	}}, nil
}

// plansByID returns the plans that imported rows may refer to.
func (p *Project) plansByID(ctx context.Context) (map[domain.PlanID]domain.Plan, error) {
	all, err := p.app.store.AllPlans(ctx, p.project.Scope())
	plans := map[domain.PlanID]domain.Plan{}
	for _, plan := range all {
		plans[plan.ID] = plan
	}
	return plans, err
}

// importedPlan returns the plan of a row, or why the row cannot have it or its limits.
func (p *Project) importedPlan(row domain.ImportRow, plans map[domain.PlanID]domain.Plan) (domain.Plan, error) {
	if row.PlanID == "" && len(row.Limits) == 0 {
		return domain.Plan{}, nil
	}
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return domain.Plan{}, err
	}
	plan, ok := plans[row.PlanID]
	if !ok && row.PlanID != "" {
		return domain.Plan{}, planMissing(domain.NotFound())
	}
	return plan, tooManyLimits(domain.Effective(p.project.Limits, plan.Limits, row.Limits))
}

// freshImports returns those of the keys that are not here already, and counts
// or complains of the others.
func (p *Project) freshImports(
	ctx context.Context, tx *repository.Store, keys []domain.ImportedKey, pointers []string, result *domain.ImportResult,
) ([]domain.ImportedKey, error) {
	secrets := make([]domain.Secret, len(keys))
	for i, k := range keys {
		secrets[i] = k.Secret
	}
	known, err := tx.KnownImports(ctx, p.project.Scope(), secrets)
	if err != nil {
		return nil, err
	}
	var fresh []domain.ImportedKey
	for i, k := range keys {
		complain := func(field, detail string) {
			result.Complain(pointers[i], domain.FieldError{Pointer: field, Detail: detail})
		}
		here, isHere := known.Here[k.Secret.Locator]
		switch {
		case isHere && hmac.Equal(here, k.Secret.ImportDigest):
			result.Unchanged++
		case isHere:
			complain("/prefix", "is that of another imported key of this project; import this one into a project of its own")
		case known.Ended[string(k.Secret.ImportDigest)]:
			complain("/hash", "is of a key that has been deleted from this project, which importing does not bring back")
		case known.Crowded[k.Secret.Locator]:
			complain("/prefix", "is shared by too many imported keys; give this client a new key instead")
		default:
			known.Here[k.Secret.Locator] = k.Secret.ImportDigest
			fresh = append(fresh, k)
		}
	}
	return fresh, nil
}
