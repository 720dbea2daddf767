package api

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
)

// ImportKeys imports keys that were created elsewhere.
func (h *handlers) ImportKeys(ctx context.Context, r ImportKeysRequestObject) (ImportKeysResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	result, err := project.ImportKeys(ctx, r.Body.rows())
	answer := ImportKeys200JSONResponse{
		Imported: result.Imported, Unchanged: result.Unchanged,
		Errors: each(result.Errors, func(e domain.FieldError) FieldProblem {
			return FieldProblem{Pointer: "/keys" + e.Pointer, Detail: e.Detail}
		}),
	}
	if result.More > 0 {
		answer.Errors = append(answer.Errors, FieldProblem{Pointer: "/keys", Detail: fmt.Sprintf("and %d more", result.More)})
	}
	return answer, err
}

// ImportBody is the checked body of importKeys. Its rows are decoded one at a time,
// because all of them would take many times the memory of the text.
type ImportBody struct{ text []byte }

// rows yields the rows in their order. It can be called once.
func (b *ImportBody) rows() iter.Seq[domain.ImportRow] {
	d := jsontext.NewDecoder(bytes.NewBuffer(b.text))
	return func(yield func(domain.ImportRow) bool) {
		// The text has been checked: it is {"keys":[…]}.
		for range 3 {
			if _, err := d.ReadToken(); err != nil {
				return
			}
		}
		for d.PeekKind() == '{' {
			text, err := d.ReadValue()
			if err != nil || !yield(importRow(text)) {
				return
			}
		}
	}
}

func importRow(text []byte) domain.ImportRow {
	if len(text) > domain.MaxImportRowBytes {
		return domain.ImportRow{Unread: fmt.Sprintf("is longer than %d bytes", domain.MaxImportRowBytes)}
	}
	var k ImportedKey
	if err := jsonv2.Unmarshal(text, &k, bound); err != nil {
		return domain.ImportRow{Unread: "cannot be read"}
	}
	row := domain.ImportRow{
		Name:        value(k.Name),
		Algorithm:   domain.Algorithm(value(k.Algorithm)),
		Hash:        domain.Hidden(value(k.Hash)),
		Prefix:      value(given(k.Prefix)),
		Environment: domain.Environment(value(given(k.Environment))),
		ExternalID:  value(given(k.ExternalID)),
		Metadata:    value(given(k.Metadata)),
		CreatedAt:   importTime(k.CreatedAt),
		ExpiresAt:   importTime(k.ExpiresAt),
		Revoked:     value(given(k.Revoked)),
	}
	row.PlanID = domain.PlanID(value(given(k.PlanID)))
	row.Limits = value(k.Limits)
	for _, n := range value(given(k.AllowedIPs)) {
		row.AllowedIPs = append(row.AllowedIPs, domain.Network(n))
	}
	for _, s := range value(given(k.Scopes)) {
		row.Scopes = append(row.Scopes, domain.Scope(s))
	}
	return row
}

// importTime reads a time of an imported row. Null means no time.
func importTime(text nullable.Nullable[string]) time.Time {
	return domain.ParseImportTime(value(given(text)))
}
