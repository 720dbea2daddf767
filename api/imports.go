package api

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
)

// ImportKeys takes over keys that were made elsewhere.
func (h *handlers) ImportKeys(ctx context.Context, r ImportKeysRequestObject) (ImportKeysResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	result, err := project.ImportKeys(ctx, each(r.Body.Keys, importRow))
	if err != nil {
		return nil, err
	}
	return ImportKeys200JSONResponse{
		Imported: result.Imported, Unchanged: result.Unchanged,
		Errors: each(result.Errors, func(e domain.FieldError) FieldProblem {
			return FieldProblem{Pointer: "/keys" + e.Pointer, Detail: e.Detail}
		}),
	}, nil
}

func importRow(k ImportedKey) domain.ImportRow {
	row := domain.ImportRow{
		Name: value(k.Name), Algorithm: domain.Algorithm(value(k.Algorithm)), Hash: domain.Hidden(value(k.Hash)), Prefix: value(given(k.Prefix)),
		Environment: domain.Environment(value(given(k.Environment))), ExternalID: value(given(k.ExternalID)),
		Metadata: value(given(k.Metadata)), CreatedAt: importTime(k.CreatedAt), ExpiresAt: importTime(k.ExpiresAt),
		Revoked: value(given(k.Revoked)),
	}
	for _, s := range value(given(k.Scopes)) {
		row.Scopes = append(row.Scopes, domain.Scope(s))
	}
	return row
}

// importTime reads a time of an imported row: null is none.
func importTime(text nullable.Nullable[string]) time.Time {
	return domain.ParseImportTime(value(given(text)))
}
