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

// Tracing makes spans for requests (https://opentelemetry.io). A span has only the
// operation, route, method, status and request id. It leaves out paths, headers
// and addresses, even if the conventions for HTTP ask for them, because clients
// put secrets there by mistake.
type Tracing struct {
	Tracer trace.Tracer

	// Sample says whether a request gets a span. It is called before any work for
	// a span. The parent is not valid if the request names none.
	Sample func(parent trace.SpanContext) bool

	// Propagated lets requests name their parent span, in traceparent and
	// tracestate (W3C Trace Context).
	Propagated bool
}

// Middleware returns the middleware that makes the spans. Put it before all other
// middleware. Spans are named by method and route.
func (t *Tracing) Middleware() echo.MiddlewareFunc { return t.naming(nil) }

// naming is like Middleware, but names spans by operation if there is one.
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
			ctx, span := t.Tracer.Start(trace.ContextWithRemoteSpanContext(r.Context(), parent), "request",
				trace.WithSpanKind(trace.SpanKindServer))
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

// parent returns the parent span that the request names, if it may name one.
func (t *Tracing) parent(h http.Header) trace.SpanContext {
	if !t.Propagated || len(h["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	return trace.SpanContextFromContext(ctx)
}

// knownMethod returns the method, or a fixed text if HTTP has no such method.
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
