package domain

import (
	"encoding/base64"
	"time"
)

// Customer is an external id that keys of a project have.
type Customer struct {
	ExternalID string
	Keys       int64     // of any status
	ActiveKeys int64     // that can be used now
	LastUsedAt time.Time // of any of the keys; zero: never
}

// CustomerPage requests a part of the list of customers, which is ordered by external
// id.
type CustomerPage struct {
	Limit int // 1 to MaxPageSize
	After CustomerCursor
}

// CustomerCursor is the position of a customer in the list: the external id.
type CustomerCursor string

// IsZero reports whether c is no position.
func (c CustomerCursor) IsZero() bool { return c == "" }

// String returns the opaque form that clients send back, or "" for the zero cursor.
func (c CustomerCursor) String() string { return base64.RawURLEncoding.EncodeToString([]byte(c)) }

// NewCustomerPage reads a page request from its parameters. Limit 0 and an empty cursor
// give the defaults; invalid values give validation_failed.
func NewCustomerPage(limit int, cursor string) (CustomerPage, error) {
	p := CustomerPage{Limit: limit}
	if limit == 0 {
		p.Limit = DefaultPageSize
	}
	var v Invalid
	if p.Limit < 1 || p.Limit > MaxPageSize {
		v.Add("limit", "must be 1 to %d", MaxPageSize)
	}
	id, _ := base64.RawURLEncoding.DecodeString(cursor) // what cannot be read does not come back as it was
	p.After = CustomerCursor(id)
	if len(cursor) > maxCursorLength || p.After.String() != cursor || !printable(string(id)) {
		v.Add("cursor", "is not a cursor of this list; start again without one")
	}
	return p, v.Err()
}
