package api

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// CreateDocument adds a document to a project.
func (h *handlers) CreateDocument(ctx context.Context, r CreateDocumentRequestObject) (CreateDocumentResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	created, err := project.CreateDocument(ctx, domain.DocumentSpec{Title: r.Body.Title, Text: r.Body.Text})
	return CreateDocument201JSONResponse(documentFrom(created)), err
}

// ListDocuments answers a project's documents.
func (h *handlers) ListDocuments(ctx context.Context, r ListDocumentsRequestObject) (ListDocumentsResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	list, err := project.ListDocuments(ctx, page)
	next, link := nextPage(ctx, list.Next)
	body := DocumentList{Items: each(list.Items, documentFrom), NextCursor: next}
	return ListDocuments200JSONResponse{Body: body, Headers: ListDocuments200ResponseHeaders{Link: link}}, err
}

func documentFrom(d domain.Document) Document {
	return Document{
		ID:        string(d.ID),
		ProjectID: d.ProjectID,
		Title:     d.Title,
		Text:      d.Text,
		CreatedAt: d.CreatedAt.UTC(),
	}
}
