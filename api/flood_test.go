package api

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

// strangersRequest is a request of a caller without good credentials.
type strangersRequest struct{ method, path, header, value string }

// strangersRequests returns requests that a stranger can repeat for nothing: every
// operation without credentials and with forged ones, and what the router refuses.
func strangersRequests(t testing.TB) (all []strangersRequest) {
	t.Helper()
	operations, err := loadOperations()
	must(t, err)
	token, err := domain.RandomToken(domain.DefaultKeyPrefix, domain.Live)
	must(t, err)
	forged := token.Reveal()
	paths := map[string]bool{"/v1/nothing": true, "/%2e%2e": true, "/docs/nothing.js": true}
	for _, op := range operations {
		path := strings.NewReplacer(":", "").Replace(op.path)
		paths[path] = true
		all = append(all,
			strangersRequest{op.method, path, "", ""},
			strangersRequest{op.method, path, "X-Api-Key", forged[:len(forged)-1] + "!"},
			strangersRequest{op.method, path, "Authorization", "Bearer forged"},
			strangersRequest{op.method, path, "Authorization", "Bearer " + forged},
			strangersRequest{op.method, path, "Authorization", "Api-Key"},
		)
	}
	for path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodOptions, "BREW"} {
			all = append(all, strangersRequest{method, path, "", ""})
		}
	}
	return all
}

// TestFloodOfAnyKindDoesNotFillTheLog guarantees that whatever a stranger repeats,
// at whichever operation or path, costs the log a bounded number of lines a second
// and a small share beyond that, while the metrics count every request.
func TestFloodOfAnyKindDoesNotFillTheLog(t *testing.T) {
	e := newEdges(t)
	var log strings.Builder
	registry := prometheus.NewRegistry()
	edge, err := newServer(e.App, Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: registry}, true)
	must(t, err)
	all := strangersRequests(t)
	const kinds = 3 // refusals, faults and answers that change nothing, each with a count of its own
	began, sent := time.Now(), 0
	for sent < 15_000 {
		for _, a := range all {
			r := httptest.NewRequest(a.method, a.path, http.NoBody)
			if a.header != "" {
				r.Header.Set(a.header, a.value)
			}
			edge.ServeHTTP(&discard{header: http.Header{}}, r)
			sent++
		}
	}
	seconds := int(time.Since(began).Seconds()) + 2
	most := kinds*100*seconds + sent/25
	if got := strings.Count(log.String(), "\n"); got > most {
		t.Errorf("%d requests of a stranger in %d seconds left %d lines, want at most %d", sent, seconds, got, most)
	}
	var counted float64
	families, err := registry.Gather()
	must(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "latchkey_http_requests_total" {
				counted += m.GetCounter().GetValue()
			}
		}
	}
	if int(counted) != sent {
		t.Errorf("the metrics count %v requests, want %d", counted, sent)
	}
}

// TestFewRefusalsAreAllLogged guarantees that what is no flood is in the log, all
// of it.
func TestFewRefusalsAreAllLogged(t *testing.T) {
	e := newEdges(t)
	for name, c := range map[string]struct {
		ask           ask
		status, lines int
	}{
		"refused":      {hotAsks["a mistyped token"].ask, http.StatusUnauthorized, 1},
		"refused user": {ask{"GET", "/v1/me", "Bearer forged", "", "", ""}, http.StatusUnauthorized, 1},
		"unknown path": {ask{method: "GET", path: "/v1/nothing"}, http.StatusNotFound, 1},
		"unavailable":  {ask{method: "GET", path: "/down"}, http.StatusServiceUnavailable, 2}, // the reason, and the request
	} {
		for requests, want := range map[int]struct{ least, most int }{50: {50 * c.lines, 50 * c.lines}, 10_000: {100, 10_000 / 4}} {
			var log strings.Builder
			edge, err := newServer(e.App, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, true)
			must(t, err)
			edge.GET("/down", func(echo.Context) error { return domain.Unavailable(io.EOF) }, Require(permission.Public))
			once := e.repeat(t, edge, c.ask, c.status)
			for range requests {
				once()
			}
			if got := strings.Count(log.String(), "\n"); got < want.least || got > want.most {
				t.Errorf("of %d requests that were %s there are %d lines, want %d to %d", requests, name, got, want.least, want.most)
			}
		}
	}
}
