package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// Export is all events that pass a filter, newest first. It takes one of the
// places for exports on this node until All returns or the context ends.
type Export struct {
	first domain.List[domain.Event] // read before the answer begins, so that it can still be a refusal
	next  func(after domain.Cursor) (domain.List[domain.Event], error)
	leave func()
}

// ExportEvents returns the organization's events after a cursor. It needs
// audit:read. The context must end: that frees the place in every case.
func (o *Organization) ExportEvents(ctx context.Context, f domain.EventFilter, after domain.Cursor) (Export, error) {
	if err := o.Authorize(domain.AuditRead); err != nil {
		return Export{}, err
	}
	leave, err := o.app.scarce.exports.enter(ctx, o.caller)
	if err != nil {
		return Export{}, err
	}
	context.AfterFunc(ctx, leave)
	next := func(after domain.Cursor) (domain.List[domain.Event], error) {
		return o.ListEvents(ctx, f, domain.Page{Limit: domain.MaxPageSize, After: after})
	}
	first, err := next(after)
	if err != nil {
		leave()
	}
	return Export{first, next, leave}, err
}

// All passes every event to write, one page in memory at a time, and stops at
// the first error.
func (e Export) All(write func([]domain.Event) error) error {
	defer e.leave()
	for list := e.first; ; {
		if err := write(list.Items); err != nil || list.Next.IsZero() {
			return err
		}
		var err error
		if list, err = e.next(list.Next); err != nil {
			return err
		}
	}
}
