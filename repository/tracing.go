package repository

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-dev/latchkey/domain"
)

// Trace makes a span for every statement of a request that has a span itself.
// The span names the operation and the table, and nothing of the statement's
// text, in which bun puts the arguments. Call it before the store is used
// concurrently.
func (s *Store) Trace(t trace.Tracer) {
	tracer := &tracer{t, strings.ToLower(s.engine.name())}
	for _, pool := range s.pools {
		pool.AddQueryHook(tracer) //nolint:staticcheck // the other way gives another DB, and these are in use
	}
	s.lookups.tracer = tracer
}

// tracer makes spans of statements. The nil tracer makes none.
type tracer struct {
	tracer trace.Tracer
	system string // as OpenTelemetry calls the database
}

// spanKey is the key of a statement's span while it runs.
type spanKey struct{}

// idle reports whether no span is needed for ctx.
func (t *tracer) idle(ctx context.Context) bool {
	return t == nil || !trace.SpanFromContext(ctx).IsRecording()
}

// BeforeQuery implements bun.QueryHook. It does not change the context, which a
// transaction keeps from its first statement to its last.
func (t *tracer) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if t.idle(ctx) {
		return ctx
	}
	table := ""
	if model, ok := e.Model.(bun.TableModel); ok {
		table = model.Table().Name
	}
	if span := t.start(ctx, verb(e.Query), table); span != nil {
		if e.Stash == nil {
			e.Stash = map[any]any{}
		}
		e.Stash[spanKey{}] = span // beside what other hooks keep there
	}
	return ctx
}

// verb returns the first word of a statement.
func verb(statement string) string {
	text := strings.TrimSpace(statement)
	return text[:len(text)-len(strings.TrimLeft(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
}

// AfterQuery implements bun.QueryHook.
func (t *tracer) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	if span, ok := e.Stash[spanKey{}].(trace.Span); ok {
		endSpan(span, e.Err)
	}
}

// start begins a span, or returns nil if none is needed.
func (t *tracer) start(ctx context.Context, verb, table string) trace.Span {
	if t.idle(ctx) {
		return nil
	}
	attributes := []attribute.KeyValue{attribute.String("db.system.name", t.system), attribute.String("db.operation.name", verb)}
	name := verb
	if table != "" {
		name += " " + table
		attributes = append(attributes, attribute.String("db.collection.name", table))
	}
	client := trace.WithSpanKind(trace.SpanKindClient)
	_, span := t.tracer.Start(ctx, name, client, trace.WithAttributes(attributes...)) //nolint:spancheck // endSpan ends it
	return span                                                                       //nolint:spancheck // the same
}

// endSpan ends a span, if there is one. Errors go to the log only: a database
// repeats values in its messages.
func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) && domain.CodeOf(err) != domain.CodeNotFound {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
