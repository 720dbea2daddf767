package domain

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Bounds of a page, in items.
const (
	DefaultPageSize = 50
	MaxPageSize     = 200
)

// Page requests a part of a list. Lists are ordered by time, newest first, and
// by id if times are equal, so a page stays in place while rows are added.
type Page struct {
	Limit int    // 1 to MaxPageSize
	After Cursor // the last item of the page before; zero: from the start
}

// NewPage reads a page request from its parameters. Limit 0 and an empty cursor
// give the defaults; invalid values give validation_failed.
func NewPage(limit int, cursor string) (Page, error) {
	var v Invalid
	p := Page{Limit: DefaultPageSize}
	if limit != 0 {
		p.Limit = limit
	}
	if p.Limit < 1 || p.Limit > MaxPageSize {
		v.Add("limit", "must be 1 to %d", MaxPageSize)
	}
	if cursor != "" {
		var ok bool
		if p.After, ok = parseCursor(cursor); !ok {
			v.Add("cursor", "is not a cursor of this list; start again without one")
		}
	}
	return p, v.Err()
}

// Cursor is the position of an item in a list: its time, in microseconds as the
// database stores it, and its id.
type Cursor struct {
	At time.Time
	ID string
}

// IsZero reports whether c is no position.
func (c Cursor) IsZero() bool { return c.ID == "" }

// String returns the opaque form that clients send back, or "" for the zero
// cursor.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.At.UnixMicro(), 36) + "." + c.ID))
}

func parseCursor(s string) (Cursor, bool) {
	raw, _ := base64.RawURLEncoding.DecodeString(s) // what cannot be read does not come back as it was
	at, id, _ := strings.Cut(string(raw), ".")
	micros, _ := strconv.ParseInt(at, 36, 64)
	c := Cursor{time.UnixMicro(micros).UTC(), id}
	if len(s) > 200 || !printable(id) || c.String() != s { // numbers and base64 have several spellings, a cursor has one
		return Cursor{}, false
	}
	return c, true
}

// List is one page of items and where the next one starts.
type List[T any] struct {
	Items []T
	Next  Cursor // zero: this was the last page
}

// NewList makes a page from rows, which have one row more than the page.
func NewList[T any](rows []T, limit int, at func(T) Cursor) List[T] {
	if len(rows) <= limit {
		return List[T]{Items: rows}
	}
	return List[T]{Items: rows[:limit], Next: at(rows[limit-1])}
}
