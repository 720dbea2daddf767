package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// collector takes spans, as one does that listens on loopback.
type collector struct {
	*httptest.Server

	mu    sync.Mutex
	raw   bytes.Buffer
	spans []*tracepb.Span
	names []string // of services
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var unzipped *gzip.Reader
			if unzipped, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, err = io.ReadAll(unzipped)
			}
		}
		var sent coltrace.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &sent) != nil {
			t.Errorf("what was sent to %s is no trace: %v", r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		for _, of := range sent.GetResourceSpans() {
			for _, a := range of.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					c.names = append(c.names, a.GetValue().GetStringValue())
				}
			}
			for _, scope := range of.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// startTraced starts a server whose settings are env.
func startTraced(t *testing.T, env map[string]string) *server {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	cmd := newServe()
	cmd.SetContext(t.Context())
	s, err := readSettings(cmd)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := listen(t.Context(), "LISTEN", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := startServer(t.Context(), s, sockets{public: listener}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

const (
	tracedPassword = "four quiet otters paddle"
	tracedAgent    = "agent-canary/1.0"
)

// call sends a request, which must be answered well, and returns the field of the
// answer that is named.
func (srv *server) call(t *testing.T, method, path, body, field string, headers ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+srv.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", tracedAgent)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, answer, err)
	}
	if field == "" {
		return ""
	}
	fields := map[string]any{}
	if err := json.Unmarshal(answer, &fields); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(fields[field])
}

// Guarantees that spans of requests, and below them those of their statements,
// reach a collector, with the last of them sent at the end, and that no password,
// token, address, header or argument of a statement does.
func TestTracing(t *testing.T) {
	for engine, dsn := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			c := newCollector(t)
			srv := startTraced(t, map[string]string{
				"LATCHKEY_DATABASE": dsn(t), "LATCHKEY_MASTER_KEY": service.NewMasterKey(), "LATCHKEY_ADMIN_LISTEN": "127.0.0.1:0",
				"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_SERVICE_NAME": "keys", "OTEL_BSP_SCHEDULE_DELAY": "600000",
			})
			jwt := srv.call(t, "POST", "/v1/auth/signup", `{"email": "ada-canary@example.com", "password": "`+tracedPassword+`"}`,
				"access_token")
			bearer := []string{"Authorization", "Bearer " + jwt}
			organization := srv.call(t, "POST", "/v1/organizations", `{"name": "name-canary"}`, "id", bearer...)
			project := srv.call(t, "POST", "/v1/organizations/"+organization+"/projects", `{"name": "name-canary"}`, "id", bearer...)
			token := srv.call(t, "POST", "/v1/projects/"+project+"/keys", `{"name": "name-canary"}`, "token", bearer...)
			const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
			srv.call(t, "GET", "/v1/project", "", "id", "X-Api-Key", token, "Traceparent", parent)
			srv.call(t, "GET", "/v1/project", "", "id", "X-Api-Key", token, "Traceparent", strings.TrimSuffix(parent, "1")+"0")
			srv.call(t, "GET", "/console/sign-in", "", "")
			if err := srv.stop(); err != nil {
				t.Fatal(err)
			}

			c.mu.Lock()
			defer c.mu.Unlock()
			byID, under := map[string]*tracepb.Span{}, map[string][]string{}
			for _, span := range c.spans {
				byID[string(span.GetSpanId())] = span
			}
			requests := map[string]int{}
			for _, span := range c.spans {
				switch span.GetKind() {
				case tracepb.Span_SPAN_KIND_SERVER:
					requests[span.GetName()]++
				case tracepb.Span_SPAN_KIND_CLIENT:
					request := byID[string(span.GetParentSpanId())]
					if request.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
						t.Errorf("the statement %s belongs to no request", span.GetName())
					}
					under[request.GetName()] = append(under[request.GetName()], span.GetName())
				default:
					t.Errorf("got a span %s of kind %v", span.GetName(), span.GetKind())
				}
			}
			want := map[string]int{
				"signUp": 1, "createOrganization": 1, "createProject": 1, "createKey": 1, "getCurrentProject": 1, "GET /console/sign-in": 1,
			}
			if diff := cmp.Diff(want, requests); diff != "" {
				t.Error(diff)
			}
			if got, want := under["getCurrentProject"], []string{"SELECT api_key_secrets"}; !slices.Equal(got, want) {
				t.Errorf("getCurrentProject: got statements %q, want %q", got, want)
			}
			for _, want := range []string{"BEGIN", "INSERT api_keys", "INSERT api_key_secrets", "INSERT audit_events", "COMMIT"} {
				if !slices.Contains(under["createKey"], want) {
					t.Errorf("createKey: got statements %q, want %q among them", under["createKey"], want)
				}
			}
			if !slices.Contains(c.names, "keys") {
				t.Errorf("got the services %q, want the name that was set", c.names)
			}
			for _, secret := range []string{
				tracedPassword, jwt, token, token[len("lk_live_"):], "ada-canary", "name-canary", tracedAgent,
				"127.0.0.1", organization, project, "VALUES", "argon2id",
			} {
				if bytes.Contains(c.raw.Bytes(), []byte(secret)) {
					t.Errorf("the traces hold %q", secret)
				}
			}
		})
	}
}

// Guarantees that a collector out of reach costs requests nothing, and the end of
// the process a bounded time.
func TestUnreachableCollector(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed immediately
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.Addr().String()
	nobody.Close()
	srv := startTraced(t, map[string]string{
		"LATCHKEY_DATABASE": "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db"), "LATCHKEY_ADMIN_LISTEN": "127.0.0.1:0",
		"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://" + address + "/v1/traces",
		"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10", "OTEL_BSP_SCHEDULE_DELAY": "1",
	})
	for range 200 {
		srv.call(t, "GET", "/healthz", "", "status")
	}
	start := time.Now()
	if err := srv.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > tracingFlush+5*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// Without a word about tracing there is none.
func TestTracingIsOff(t *testing.T) {
	t.Parallel()
	for _, given := range []map[string]string{
		{},
		{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_SAMPLER": "nonsense"},
		{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"},
		{"OTEL_SERVICE_NAME": "keys"},
	} {
		settings, wrong := readTracing(given)
		if settings.on || len(wrong) > 0 {
			t.Errorf("%v: got %+v, %v, want off", given, settings, wrong)
		}
		started, err := startTracing(context.Background(), settings, slog.New(slog.DiscardHandler))
		if started != nil || err != nil {
			t.Errorf("%v: got %v, %v, want nothing", given, started, err)
		}
	}
}

func TestTracingSampler(t *testing.T) {
	t.Parallel()
	parent := func(low byte, flags trace.TraceFlags) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 8: low, 15: 1},
			SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: true})
	}
	low, high := parent(0x10, 0), parent(0xf0, 0)
	for _, test := range []struct {
		sampler, ratio string
		parent         trace.SpanContext
		want           bool
	}{
		{"", "", trace.SpanContext{}, true},
		{"", "", low, false},
		{"", "", low.WithTraceFlags(trace.FlagsSampled), true},
		{"parentbased_always_off", "", trace.SpanContext{}, false},
		{"parentbased_always_off", "", low.WithTraceFlags(trace.FlagsSampled), true},
		{"parentbased_traceidratio", "0", trace.SpanContext{}, false},
		{"parentbased_traceidratio", "1", trace.SpanContext{}, true},
		{"traceidratio", "0.5", low, true},
		{"traceidratio", "0.5", high.WithTraceFlags(trace.FlagsSampled), false},
		{"always_on", "", low, true},
		{"always_off", "", low.WithTraceFlags(trace.FlagsSampled), false},
	} {
		settings, wrong := readTracing(map[string]string{
			"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": test.sampler, "OTEL_TRACES_SAMPLER_ARG": test.ratio,
		})
		if got := settings.sample(test.parent); got != test.want || len(wrong) > 0 {
			t.Errorf("%s %s of %v: got %t, %v, want %t", test.sampler, test.ratio, test.parent.TraceFlags(), got, wrong, test.want)
		}
	}
}
