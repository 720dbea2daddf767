package domain

import "time"

// What a key's scopes or a member's role must hold for a project's documents.
// They are scopes of a project's own: viewers hold the one that reads,
// developers and up both, and a key only those that it lists.
const (
	DocumentsRead  Action = "documents:read"
	DocumentsWrite Action = "documents:write"
)

// DocumentID names a document: doc_….
type DocumentID string

func (DocumentID) kind() string { return "doc" }

// Document belongs to one project.
type Document struct {
	ID        DocumentID
	ProjectID ProjectID
	Title     string
	Text      string
	CreatedAt time.Time
}

// MaxDocumentLength is in characters.
const MaxDocumentLength = 10_000

// DocumentSpec is what a caller may decide about a new document.
type DocumentSpec struct {
	Title string
	Text  string
}

// Validate returns validation_failed naming every field that is wrong.
func (s DocumentSpec) Validate() error {
	var v Invalid
	v.Name("/title", s.Title)
	v.Text("/text", s.Text, 0, MaxDocumentLength)
	return v.Err()
}
