package api

import (
	"context"
	"net/url"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// handlers implements the operations of openapi.yaml, with a file for each
// resource. A handler asks the service for a handle, calls one method and maps the
// result to the answer. The request and its credentials have been checked before.
type handlers struct {
	app       *service.App
	documents func() (documents, error)
}

// caller returns the caller that was proved for the operation's permission.
func caller(ctx context.Context) domain.Principal {
	call, _ := callOf(ctx)
	return call.principal
}

// origin returns where the request comes from, for operations without a caller.
func origin(ctx context.Context) domain.Origin {
	call, _ := callOf(ctx)
	return call.origin
}

// page reads the limit and the cursor of a list request.
func page(limit *int, cursor *string) (domain.Page, error) {
	return domain.NewPage(value(limit), value(cursor))
}

// cursor is a position in a list.
type cursor interface {
	IsZero() bool
	String() string
}

// nextPage returns the next_cursor of a list and its Link (RFC 8288), which is the
// request's address with the cursor in it.
func nextPage(ctx context.Context, next cursor) (position nullable.Nullable[string], link *string) {
	if next.IsZero() {
		return nullable.NewNullNullable[string](), nil
	}
	call, _ := callOf(ctx)
	query := call.url.Query()
	query.Set("cursor", next.String())
	target := (&url.URL{Path: call.guard.site.Path(call.url.Path), RawQuery: query.Encode()}).String()
	target = "<" + target + `>; rel="next"`
	return nullable.NewNullableWithValue(next.String()), &target
}

// each maps items; an empty list is [] and not null.
func each[S, T any](items []S, f func(S) T) []T {
	mapped := make([]T, len(items))
	for i, item := range items {
		mapped[i] = f(item)
	}
	return mapped
}

// value returns what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// orNil returns nil, which leaves a field out, for the empty string.
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// orNull returns null for the empty string.
func orNull[T ~string](s T) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(string(s))
}

// timeOrNull returns null for the zero time.
func timeOrNull(t time.Time) nullable.Nullable[time.Time] {
	if t.IsZero() {
		return nullable.NewNullNullable[time.Time]()
	}
	return nullable.NewNullableWithValue(t.UTC())
}

// given reads a field that may be omitted (nil) or null (the zero value).
func given[T any](n nullable.Nullable[T]) *T {
	if !n.IsSpecified() {
		return nil
	}
	v := n[true] // for null this is the zero value
	return &v
}

// seconds reads a duration that may be omitted.
func seconds(n *int) *time.Duration {
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	return &d
}
