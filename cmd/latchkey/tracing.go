package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-dev/latchkey/api"
)

const (
	otlpGRPC = "grpc"
	otlpHTTP = "http/protobuf"
)

// Time limits of tracing.
const (
	tracingFlush     = 5 * time.Second // at shutdown, for spans that have not been sent
	tracingComplains = time.Minute     // between two log lines about an unreachable collector
)

// tracingSettings are the values of the variables that OpenTelemetry specifies
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// Its library reads those about where and how spans are sent. They are checked here,
// because the library ignores bad values.
type tracingSettings struct {
	on          bool
	protocol    string
	parentBased bool    // a caller with a span decides about its requests
	ratio       float64 // the sampled part of all other requests
	propagated  bool
}

// readTracing reads the OTEL_ variables from given. Unlike the standard, it sends
// nothing unless a variable names an endpoint or OTEL_TRACES_EXPORTER is otlp.
func readTracing(given map[string]string) (t tracingSettings, wrong mistakes) {
	r := otelReader{given: given}
	disabled := r.oneOf("OTEL_SDK_DISABLED", "false", "true", "false") == "true"
	exporter := r.oneOf("OTEL_TRACES_EXPORTER", "", "otlp", "none")
	endpoint := cmp.Or(given["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], given["OTEL_EXPORTER_OTLP_ENDPOINT"])
	t.on = !disabled && exporter != "none" && (exporter == "otlp" || endpoint != "")
	if !t.on {
		return t, r.wrong
	}
	r.otlp()
	t.protocol = r.oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", otlpHTTP, otlpHTTP, otlpGRPC)
	t.protocol = r.oneOf("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", t.protocol, otlpHTTP, otlpGRPC)
	sampler := r.oneOf("OTEL_TRACES_SAMPLER", "parentbased_always_on",
		"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
	kind, parentBased := strings.CutPrefix(sampler, "parentbased_")
	t.parentBased = parentBased
	switch kind {
	case "always_on":
		t.ratio = 1
	case "traceidratio":
		t.ratio = r.fraction("OTEL_TRACES_SAMPLER_ARG")
	}
	for name := range strings.SplitSeq(cmp.Or(given["OTEL_PROPAGATORS"], "tracecontext,baggage"), ",") {
		switch strings.TrimSpace(name) {
		case "tracecontext":
			t.propagated = true
		case "baggage", "none": // baggage ends here, because no other service is called
		default:
			r.mistaken("OTEL_PROPAGATORS", "must be tracecontext, baggage, both with a comma between, or none, not %q", name)
		}
	}
	r.pairs("OTEL_RESOURCE_ATTRIBUTES")
	for _, name := range []string{
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
		"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
		"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT",
	} {
		r.number(name)
	}
	return t, r.wrong
}

// otelReader reads variables and collects their mistakes. It does not repeat values
// that may contain a secret.
type otelReader struct {
	given map[string]string
	wrong mistakes
}

func (r *otelReader) mistaken(name, format string, args ...any) {
	r.wrong.addNamed(name, format, args...)
}

// oneOf returns the value in lower case, or the default without one.
func (r *otelReader) oneOf(name, assumed string, choices ...string) string {
	value := strings.ToLower(r.given[name])
	if value == "" {
		return assumed
	}
	if slices.Contains(choices, value) {
		return value
	}
	r.mistaken(name, "must be one of %s, not %q", strings.Join(choices, ", "), r.given[name])
	return assumed
}

func (r *otelReader) fraction(name string) float64 {
	if r.given[name] == "" {
		return 1
	}
	f, err := strconv.ParseFloat(r.given[name], 64)
	if err != nil || !(f >= 0 && f <= 1) {
		r.mistaken(name, "must be a number from 0 to 1, not %q", r.given[name])
	}
	return f
}

func (r *otelReader) number(name string) {
	if value := r.given[name]; value != "" {
		if n, err := strconv.Atoi(value); err != nil || n < 0 {
			r.mistaken(name, "must be a whole number, not %q", value)
		}
	}
}

func (r *otelReader) pairs(name string) {
	for pair := range strings.SplitSeq(r.given[name], ",") {
		key, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); r.given[name] != "" && (!ok || strings.TrimSpace(key) == "" || err != nil) {
			r.mistaken(name, "must list name=value, with commas between")
			return
		}
	}
}

// otlp checks the variables of the exporter, general ones and those for traces.
func (r *otelReader) otlp() {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		if endpoint := r.given[prefix+"ENDPOINT"]; endpoint != "" {
			u, err := url.Parse(endpoint)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
				u.User != nil || u.RawQuery != "" || u.Fragment != "" {
				r.mistaken(prefix+"ENDPOINT", "must be the address of a collector, as in http://127.0.0.1:4318")
			}
		}
		r.pairs(prefix + "HEADERS")
		r.number(prefix + "TIMEOUT")
		r.oneOf(prefix+"COMPRESSION", "", "gzip", "none")
		r.oneOf(prefix+"INSECURE", "", "true", "false")
		for _, file := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
			if path := r.given[prefix+file]; path != "" {
				if _, err := os.ReadFile(path); err != nil {
					r.mistaken(prefix+file, "%v", err)
				}
			}
		}
	}
}

// sample decides whether a request is sampled. With a trace id, the decision comes
// from the id, so that all services with the same ratio decide alike.
func (t tracingSettings) sample(parent trace.SpanContext) bool {
	draw := rand.Uint64() //nolint:gosec // a sample is no secret
	if parent.IsValid() {
		if t.parentBased {
			return parent.IsSampled()
		}
		id := parent.TraceID()
		draw = binary.BigEndian.Uint64(id[8:])
	}
	const bits = 53 // of a float64
	return float64(draw>>(64-bits))/(1<<bits) < t.ratio
}

// tracing sends spans to a collector.
type tracing struct {
	provider *sdktrace.TracerProvider
	requests *api.Tracing
}

// startTracing returns tracing with these settings, or nil when it is off. Neither
// it nor a request waits for the collector: spans that cannot be sent in time are
// dropped.
func startTracing(ctx context.Context, t tracingSettings, log *slog.Logger) (*tracing, error) {
	if !t.on {
		return nil, nil //nolint:nilnil // tracing is off
	}
	var exporter sdktrace.SpanExporter
	var err error
	if t.protocol == otlpGRPC {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	version, _, _ := buildInfo()
	of, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "latchkey"), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&tracingComplaints{log: log})
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), sdktrace.WithResource(of), sdktrace.WithSampler(sdktrace.AlwaysSample())) // sample has decided
	return &tracing{provider, &api.Tracing{
		Tracer: provider.Tracer("github.com/latchkey-dev/latchkey"), Sample: t.sample, Propagated: t.propagated,
	}}, nil
}

// stop sends the remaining spans, for a limited time.
func (t *tracing) stop(log *slog.Logger) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), tracingFlush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		log.Warn("the last spans could not be sent", "error", err)
	}
}

// tracingComplaints logs that spans cannot be sent, at most once per interval.
type tracingComplaints struct {
	log *slog.Logger

	mu   sync.Mutex
	last time.Time
}

// Handle implements otel.ErrorHandler.
func (c *tracingComplaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.last) > tracingComplains {
		c.last = now
		c.log.Warn("spans cannot be sent", "error", err)
	}
}
