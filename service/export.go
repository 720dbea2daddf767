package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// Export is everything that passes a filter, in the order of its list. It takes
// one of the places for exports on this node until All returns or the context ends.
type Export[T any] struct {
	first exportPage[T] // read before the answer begins, so that it can still be a refusal
	leave func()
}

// exportPage is a part of an export, and how to read the next one; nil: there is
// none.
type exportPage[T any] struct {
	items []T
	next  func() (exportPage[T], error)
}

// export takes a place and reads the first page. The context must end: that frees
// the place in every case.
func export[T any](ctx context.Context, g *grant, first func() (exportPage[T], error)) (Export[T], error) {
	leave, err := g.app.scarce.exports.enter(ctx, g.caller)
	if err != nil {
		return Export[T]{}, err
	}
	context.AfterFunc(ctx, leave)
	page, err := first()
	if err != nil {
		leave()
	}
	return Export[T]{page, leave}, err
}

// All passes everything to write, one page in memory at a time, and stops at the
// first error.
func (e Export[T]) All(write func([]T) error) error {
	defer e.leave()
	for page := e.first; ; {
		if err := write(page.items); err != nil || page.next == nil {
			return err
		}
		var err error
		if page, err = page.next(); err != nil {
			return err
		}
	}
}

// ExportEvents returns the organization's events after a cursor, newest first. It
// needs audit:read.
func (o *Organization) ExportEvents(ctx context.Context, f domain.EventFilter, after domain.Cursor) (Export[domain.Event], error) {
	if err := o.Authorize(domain.AuditRead); err != nil {
		return Export[domain.Event]{}, err
	}
	return exportList(ctx, &o.grant, after, func(page domain.Page) (domain.List[domain.Event], error) {
		return o.ListEvents(ctx, f, page)
	})
}

// exportList makes an export of a list in pages, from after a cursor.
func exportList[T any](
	ctx context.Context, g *grant, after domain.Cursor, list func(domain.Page) (domain.List[T], error),
) (Export[T], error) {
	var from func(after domain.Cursor) (exportPage[T], error)
	from = func(after domain.Cursor) (exportPage[T], error) {
		some, err := list(domain.Page{Limit: domain.MaxPageSize, After: after})
		page := exportPage[T]{items: some.Items}
		if !some.Next.IsZero() {
			page.next = func() (exportPage[T], error) { return from(some.Next) }
		}
		return page, err
	}
	return export(ctx, g, func() (exportPage[T], error) { return from(after) })
}
