package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

type documentRow struct {
	bun.BaseModel `bun:"table:documents,alias:d"`

	ID             domain.DocumentID `bun:",pk"`
	OrganizationID domain.OrganizationID
	ProjectID      domain.ProjectID
	Title          string
	Text           string
	CreatedAt      micros
}

func (r documentRow) document() domain.Document {
	return domain.Document{
		ID:        r.ID,
		ProjectID: r.ProjectID,
		Title:     r.Title,
		Text:      r.Text,
		CreatedAt: r.CreatedAt.Time,
	}
}

// CreateDocument adds a document to the project.
func (s *Store) CreateDocument(ctx context.Context, scope domain.ProjectScope, d domain.Document) error {
	return s.insert(ctx, &documentRow{
		ID:             d.ID,
		OrganizationID: scope.Organization(),
		ProjectID:      scope.Project(),
		Title:          d.Title,
		Text:           d.Text,
		CreatedAt:      micros{d.CreatedAt},
	})
}

// ListDocuments returns the project's documents, newest first.
func (s *Store) ListDocuments(ctx context.Context, scope domain.ProjectScope, p domain.Page) (domain.List[domain.Document], error) {
	var rows []documentRow
	if err := newest(selectIn(s, scope, &rows), "created_at", p).Scan(ctx); err != nil {
		return domain.List[domain.Document]{}, s.error(err)
	}
	return list(rows, p, documentRow.document, func(d domain.Document) domain.Cursor {
		return domain.Cursor{At: d.CreatedAt, ID: string(d.ID)}
	}), nil
}
