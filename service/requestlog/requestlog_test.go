package requestlog_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/service/requestlog"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// Guarantees that a flood of one kind is logged in part, and that the log still
// has every request of the other kinds.
func TestAFloodIsLoggedInPart(t *testing.T) {
	t.Parallel()
	const sent = 50_000
	for _, flood := range []struct {
		kind   requestlog.Kind
		method string
		status int
	}{
		{requestlog.Refused, "POST", 401}, {requestlog.Refused, "GET", 404},
		{requestlog.Failed, "GET", 503}, {requestlog.Read, "GET", 200},
		{requestlog.Read, "OPTIONS", 204},
	} {
		rule := requestlog.NewRule()
		kept := 0
		for range sent {
			if rule.Keeps(flood.method, flood.status, noon) {
				kept++
			}
		}
		if least, most := requestlog.PerSecond, requestlog.PerSecond+2*sent/requestlog.Share; kept < least || kept > most {
			t.Errorf("%v: %d of %d are kept, want %d to %d", flood, kept, sent, least, most)
		}
		if got, want := rule.Omitted(flood.kind), int64(sent-kept); got != want {
			t.Errorf("%v: %d are counted as omitted, want %d", flood, got, want)
		}
		for status, kind := range map[int]requestlog.Kind{200: requestlog.Read, 403: requestlog.Refused, 500: requestlog.Failed} {
			if kind != flood.kind && !rule.Keeps("GET", status, noon) {
				t.Errorf("a flood of what was %v hides a %d", flood.kind, status)
			}
		}
		if !rule.Keeps(flood.method, flood.status, noon.Add(time.Second)) {
			t.Errorf("%v: the next second is not counted afresh", flood)
		}
	}
}

// Guarantees that every change is in the log, whatever floods it.
func TestChangesAreAlwaysLogged(t *testing.T) {
	t.Parallel()
	rule := requestlog.NewRule()
	for range 10_000 {
		if !rule.Keeps("POST", 201, noon) || !rule.Keeps("DELETE", 204, noon) {
			t.Fatal("a change is not in the log")
		}
	}
}
