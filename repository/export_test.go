package repository

// For tests of how values are written into statements.
var (
	NewPostgresDialect = newPostgresDialect
	ArrayOfTexts       = arrayOfTexts
)
