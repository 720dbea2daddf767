package api_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// Guarantees that a client hears of a revocation over HTTP while it waits, and that its
// key is shown only what is of its own project.
func TestSyncOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, abroad := w.tenant(t, "home"), w.tenant(t, "abroad")
	verifier := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	stranger := w.key(t, abroad.owner, abroad.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	customers := w.key(t, home.owner, home.project.ID, nil)
	ask := func(by api.CreatedKey, body any) (got api.ChangedKeys) {
		t.Helper()
		w.call(t, "POST", "/v1/keys/sync", byKey(by.Token), body).want(t, http.StatusOK, &got)
		return got
	}
	first, others := ask(verifier, "{}"), ask(stranger, "{}")
	var answer api.Verification
	w.call(t, "POST", "/v1/keys/verify", byKey(verifier.Token), map[string]string{"key": customers.Token}).want(t, http.StatusOK, &answer)
	heard := make(chan api.ChangedKeys)
	go func() { heard <- ask(verifier, map[string]any{"cursor": first.Cursor, "wait": 20}) }()
	servicetest.Eventually(t, "it waits", func() bool { return w.SyncWaiting() == 1 })
	w.call(t, "POST", home.path("/keys/"+string(customers.Key.ID)+"/revoke"), home.owner.as, "{}").want(t, http.StatusOK, nil)
	if got := <-heard; got.Reset || len(got.Changed) != 1 || got.Changed[0] != *answer.TokenID {
		t.Errorf("got %+v, want %s", got, *answer.TokenID)
	}
	if got := ask(stranger, map[string]any{"cursor": others.Cursor, "wait": 0}); got.Reset || len(got.Changed) > 0 {
		t.Errorf("a key of another project gets %+v", got)
	}
	// A cursor of another project is a position, and says nothing.
	if got := ask(stranger, map[string]any{"cursor": first.Cursor, "wait": 0}); got.Reset || len(got.Changed) > 0 {
		t.Errorf("a key of another project gets %+v", got)
	}
}

// park sends n requests to a server that answer after all of them have come, and returns
// the memory that each takes: heap and stacks of both ends.
func park(t *testing.T, h http.Handler, request string, n int, waiting func() int) float64 {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	inUse := func() float64 {
		var m runtime.MemStats
		runtime.GC() // twice, since pools keep what they have for one more
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	before := inUse()
	connections := make([]net.Conn, n)
	for i := range connections {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, request); err != nil {
			t.Fatal(err)
		}
		connections[i] = conn
	}
	servicetest.Eventually(t, "all of them wait", func() bool { return waiting() == n })
	each := (inUse() - before) / float64(n)
	for _, conn := range connections {
		_ = conn.Close()
	}
	servicetest.Eventually(t, "none of them waits", func() bool { return waiting() == 0 })
	return each
}

// Guarantees that a call which waits has a bounded price: at most 20 KiB beyond a request
// that waits in bare net/http, most of it the stack that the way to the handler needs.
func TestPriceOfACallThatWaits(t *testing.T) { //nolint:paralleltest // others would share the memory that is measured
	w := newWorld(t)
	home := w.tenant(t, "home")
	key := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	var first api.ChangedKeys
	w.call(t, "POST", "/v1/keys/sync", byKey(key.Token), "{}").want(t, http.StatusOK, &first)
	const n = 150 // of 200 for a key
	body := fmt.Sprintf(`{"cursor":%q,"wait":20}`, first.Cursor)
	request := fmt.Sprintf("POST /v1/keys/sync HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", key.Token, len(body), body)
	var waiting atomic.Int64
	park(t, w.echo, request, n, w.SyncWaiting) // what is made once, and the stacks that stay
	bare := park(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 512))
		waiting.Add(1)
		<-r.Context().Done()
		waiting.Add(-1)
	}), request, n, func() int { return int(waiting.Load()) })
	ours := park(t, w.echo, request, n, w.SyncWaiting)
	t.Logf("%.1f KiB for a call that waits, %.1f KiB in bare net/http", ours/1024, bare/1024)
	if ours-bare > 20<<10 {
		t.Errorf("a call that waits takes %.1f KiB beyond the %.1f of bare net/http, want 20 at most", (ours-bare)/1024, bare/1024)
	}
}
