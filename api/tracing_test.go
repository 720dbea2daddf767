package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// traced serves the instance with spans, of the requests that sample picks.
func (e *edges) traced(t *testing.T, sample func(trace.SpanContext) bool) (*echo.Echo, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	by, err := newServer(e.App, Config{
		Log: slog.New(slog.DiscardHandler), Tracing: &Tracing{Tracer: tracer, Sample: sample, Propagated: true},
	}, true)
	must(t, err)
	return by, spans
}

// A span is named by its operation, whichever edge answers, and says how the
// request went and nothing that the client wrote.
func TestSpansOfRequests(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	by, spans := e.traced(t, func(trace.SpanContext) bool { return true })
	const canary = "secret-canary"
	for _, a := range []ask{
		{"GET", "/v1/project", "", "$RICH", "", ""},
		{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$RICH"}`},
		{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"` + canary + `"}{}`},
		{"GET", "/v1/projects/" + canary + "?q=" + canary, "Bearer " + canary, "", "", ""},
		{"GET", "/" + canary, "", "", "", ""},
		{"PUT", "/v1/project", "", "", "", ""},
		{"CANARY", "/" + canary, "", canary, "", ""},
	} {
		r := httptest.NewRequest(a.method, "/", strings.NewReader(e.fill(a.body)))
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(a.path, "?")
		r.Header.Set("User-Agent", canary)
		r.Header.Set("X-Forwarded-For", "198.51.100.77")
		r.RemoteAddr = "203.0.113.9:1234"
		for name, value := range map[string]string{"Authorization": a.authorization, "X-Api-Key": a.key, "Content-Type": a.contentType} {
			if value != "" {
				r.Header.Set(name, e.fill(value))
			}
		}
		w := httptest.NewRecorder()
		by.ServeHTTP(w, r)
		ended := spans.Ended()
		last := attributes(ended[len(ended)-1])
		if got, want := last["latchkey.request_id"], w.Header().Get(headerRequestID); got != want {
			t.Errorf("got the request id %q, want %q", got, want)
		}
	}
	var got []string
	for _, span := range spans.Ended() {
		a := attributes(span)
		got = append(got, fmt.Sprintf("%s: operation %s, method %s, route %s, %s", span.Name(), a["latchkey.operation"],
			a["http.request.method"], a["http.route"], a["http.response.status_code"]))
		for _, secret := range []string{canary, "CANARY", "198.51.100.77", "203.0.113.9", e.tokens["RICH"], e.tokens["VERIFIER"]} {
			if strings.Contains(fmt.Sprint(span.Name(), a, span.Events(), span.Status()), secret) {
				t.Errorf("the span %s holds %q", span.Name(), secret)
			}
		}
	}
	want := []string{
		"getCurrentProject: operation getCurrentProject, method GET, route /v1/project, 200",
		"verifyKey: operation verifyKey, method POST, route /v1/keys/verify, 200",
		"verifyKey: operation verifyKey, method POST, route /v1/keys/verify, 400",
		"getProject: operation getProject, method GET, route /v1/projects/:project_id, 401",
		"GET: operation , method GET, route , 404",
		"PUT /v1/project: operation , method PUT, route /v1/project, 405",
		"HTTP: operation , method _OTHER, route , 404",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A request belongs to the span that it names; whether that is sampled is asked
// before anything is done for a span.
func TestSpansBelongToTheirParents(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	by, spans := e.traced(t, trace.SpanContext.IsSampled)
	for _, parent := range []string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "not a span", "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/project", nil)
		r.Header.Set("X-Api-Key", e.tokens["RICH"])
		if parent != "" {
			r.Header.Set("Traceparent", parent)
		}
		by.ServeHTTP(httptest.NewRecorder(), r)
	}
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("got %d spans, want one: that whose parent is sampled", len(ended))
	}
	if got, want := ended[0].Parent().SpanID().String(), "00f067aa0ba902b7"; got != want || !ended[0].Parent().IsRemote() {
		t.Errorf("got the parent %s, want %s", got, want)
	}
	if got := ended[0].Status().Code; got != codes.Unset {
		t.Errorf("got status %v of a good request", got)
	}
}

// An internal error marks its span without its text, which is only in the log.
func TestSpanOfAFault(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	by, spans := e.traced(t, func(trace.SpanContext) bool { return true })
	by.GET("/broken", func(echo.Context) error { panic("a canary") }, Require(rules["getLiveness"].permission))
	by.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/broken", nil))
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("got %d spans, want 1", len(ended))
	}
	if got := ended[0].Status(); got.Code != codes.Error || got.Description != "" {
		t.Errorf("got %v, want an error without words", got)
	}
	if got, want := attributes(ended[0])["error.type"], "500"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUnsampledRequestsCostNextToNothing is the gate for the hot path: a request
// that gets no span is answered by the lean edge as if there was no tracing, but
// for the closure that Echo makes of each middleware.
func TestUnsampledRequestsCostNextToNothing(t *testing.T) {
	e := newEdges(t)
	by, spans := e.traced(t, trace.SpanContext.IsSampled)
	allocations := func(by *echo.Echo) float64 {
		r := httptest.NewRequest(http.MethodGet, "/v1/project", nil)
		r.Header.Set("X-Api-Key", e.tokens["RICH"])
		w := &discard{header: http.Header{}}
		once := func() {
			clear(w.header)
			by.ServeHTTP(w, r)
		}
		least := testing.AllocsPerRun(1, once)
		for range 200 {
			least = min(least, testing.AllocsPerRun(1, once))
		}
		return least
	}
	if got, want := allocations(by), allocations(e.lean)+1; got > want {
		t.Errorf("got %v allocations, want at most %v", got, want)
	}
	if got := len(spans.Ended()); got != 0 {
		t.Errorf("got %d spans, want none", got)
	}
}

func attributes(span sdktrace.ReadOnlySpan) map[attribute.Key]string {
	all := map[attribute.Key]string{}
	for _, a := range span.Attributes() {
		all[a.Key] = a.Value.String()
	}
	return all
}
