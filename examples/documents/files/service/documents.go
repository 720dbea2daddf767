package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// CreateDocument adds a document to the project. It needs documents:write.
func (p *Project) CreateDocument(ctx context.Context, spec domain.DocumentSpec) (domain.Document, error) {
	if err := p.Authorize(domain.DocumentsWrite); err != nil {
		return domain.Document{}, err
	}
	if err := spec.Validate(); err != nil {
		return domain.Document{}, err
	}
	now := p.app.now()
	d := domain.Document{
		ID:        domain.NewID[domain.DocumentID](now),
		ProjectID: p.project.ID,
		Title:     spec.Title,
		Text:      spec.Text,
		CreatedAt: now,
	}
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		if err := tx.CreateDocument(ctx, p.project.Scope(), d); err != nil {
			return err
		}
		return p.app.record(ctx, tx, p.caller, domain.Event{
			Action:         "document.created",
			Target:         domain.Target{Kind: "document", ID: string(d.ID), Name: d.Title},
			OrganizationID: p.project.OrganizationID,
			ProjectID:      p.project.ID,
			Changes:        domain.Diff(nil, map[string]any{"title": d.Title}),
		})
	})
	return d, err
}

// ListDocuments returns the project's documents, newest first. It needs
// documents:read.
func (p *Project) ListDocuments(ctx context.Context, page domain.Page) (domain.List[domain.Document], error) {
	if err := p.Authorize(domain.DocumentsRead); err != nil {
		return domain.List[domain.Document]{}, err
	}
	return p.app.store.ListDocuments(ctx, p.project.Scope(), page)
}
