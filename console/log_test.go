package console_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/console"
)

// TestFloodOfPagesDoesNotFillTheLog guarantees that repeated requests of a stranger
// to the console leave a bounded number of lines in the log.
func TestFloodOfPagesDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var log strings.Builder
	pages, err := console.Handler(s.App, console.Config{PublicURL: s.URL, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	began, sent := time.Now(), 0
	for sent < 3000 {
		for _, path := range []string{"/console/nothing", "/console/sign-in", "/console/static/x/y", "/console/projects/x"} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
				r := httptest.NewRequest(method, path, http.NoBody)
				r.Host = s.Listener.Addr().String()
				pages.ServeHTTP(httptest.NewRecorder(), r)
				sent++
			}
		}
	}
	seconds := int(time.Since(began).Seconds()) + 2
	if got, most := strings.Count(log.String(), "\n"), 2*100*seconds+sent/20; got > most {
		t.Errorf("%d requests in %d seconds left %d lines, want at most %d", sent, seconds, got, most)
	}
}
