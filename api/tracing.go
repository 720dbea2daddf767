package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracing has spans made of requests (https://opentelemetry.io). What a span says
// are facts of ours: operation, route, method, status, request id. Paths,
// headers and addresses are not among them, since secrets end up there by
// mistake; so neither are those that the conventions for HTTP would have besides.
type Tracing struct {
	Tracer trace.Tracer

	// Sample says which requests get a span, before anything is done for one.
	// The parent is not valid where the request names none.
	Sample func(parent trace.SpanContext) bool

	// Propagated says that requests may name the span that they belong to, in
	// traceparent and tracestate (W3C Trace Context).
	Propagated bool
}

// Middleware returns what makes the spans, to stand before all other middleware.
// Requests are named by method and route.
func (t *Tracing) Middleware() echo.MiddlewareFunc { return t.naming(nil) }

// naming is Middleware that names requests by operation where there is one.
func (t *Tracing) naming(operations []operation) echo.MiddlewareFunc {
	names := map[route]string{}
	for _, op := range operations {
		names[route{op.method, op.path}] = op.id
		if op.method == http.MethodGet {
			names[route{http.MethodHead, op.path}] = op.id
		}
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			parent := t.parent(r.Header)
			if !t.Sample(parent) {
				return next(c)
			}
			ctx, span := t.Tracer.Start(trace.ContextWithRemoteSpanContext(r.Context(), parent), "request", trace.WithSpanKind(trace.SpanKindServer))
			defer span.End()
			method := knownMethod(r.Method)
			if name, isOperation := names[route{r.Method, c.Path()}]; isOperation {
				span.SetName(name)
				span.SetAttributes(attribute.String("latchkey.operation", name))
			} else {
				span.SetName(spanName(method, c.Path()))
			}
			span.SetAttributes(attribute.String("http.request.method", method))
			if c.Path() != "" {
				span.SetAttributes(attribute.String("http.route", c.Path()))
			}
			c.SetRequest(r.WithContext(ctx))
			err := next(c)
			status := c.Response().Status
			span.SetAttributes(attribute.Int("http.response.status_code", status))
			if id := c.Response().Header().Get(headerRequestID); id != "" {
				span.SetAttributes(attribute.String("latchkey.request_id", id))
			}
			if err != nil || status >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, "")
				span.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
			}
			return err
		}
	}
}

// parent returns the span that the request says it belongs to, if it may.
func (t *Tracing) parent(h http.Header) trace.SpanContext {
	if !t.Propagated || len(h["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	return trace.SpanContextFromContext(ctx)
}

// knownMethod is the method, unless that is a text of the client's own making.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

func spanName(method, path string) string {
	if method == "_OTHER" {
		method = "HTTP"
	}
	if path == "" {
		return method
	}
	return method + " " + path
}
