package api_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Guarantees that what a client of a proxy can do to a request on the wire lets no one in
// and does no harm: HTTP/1.0, an absolute target, both lengths, huge bodies that the proxy
// sends on, and credentials that are folded, doubled or hidden.
func TestForwardAuthOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	token := w.key(t, home.owner, home.project.ID, nil).Token
	server := httptest.NewUnstartedServer(w.echo)
	server.Config.MaxHeaderBytes = 16 << 10
	server.Start()
	t.Cleanup(server.Close)
	at, key := home.path("/forward-auth/-"), "X-Api-Key: "+token+"\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
		closes  bool
	}{
		"plain":                    {"GET " + at + " HTTP/1.1\r\nHost: a\r\n" + key + "\r\n", 200, false},
		"HTTP/1.0 without a host":  {"GET " + at + " HTTP/1.0\r\n" + key + "\r\n", 200, true},
		"any host":                 {"GET " + at + " HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n" + key + "\r\n", 200, false},
		"an absolute target":       {"GET http://evil.example" + at + " HTTP/1.1\r\nHost: a\r\n" + key + "\r\n", 200, false},
		"a short body, not read":   {"POST " + at + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" + key + "\r\nabc", 200, false},
		"a long body, not read":    {"POST " + at + " HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n" + key + "\r\n", 200, true},
		"chunks, not read":         {"POST " + at + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + key + "\r\n", 200, true},
		"asks before it sends":     {"POST " + at + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n" + key + "\r\n", 200, true},
		"an upgrade":               {"GET " + at + " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n", 200, false},
		"hop-by-hop":               {"GET " + at + " HTTP/1.1\r\nHost: a\r\nConnection: X-Api-Key\r\n" + key + "\r\n", 200, false},
		"without a key":            {"GET " + at + " HTTP/1.1\r\nHost: a\r\n\r\n", 401, false},
		"a long body, refused":     {"POST " + at + " HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", 401, true},
		"the key in a trailer":     {"POST " + at + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n\r\n0\r\n" + key + "\r\n", 401, true},
		"the header twice":         {"GET " + at + " HTTP/1.1\r\nHost: a\r\n" + key + key + "\r\n", 401, false},
		"the header in two cases":  {"GET " + at + " HTTP/1.1\r\nHost: a\r\n" + key + "x-api-key: evil\r\n\r\n", 401, false},
		"a space before the colon": {"GET " + at + " HTTP/1.1\r\nHost: a\r\nX-Api-Key : " + token + "\r\n\r\n", 400, true},
		"a folded header":          {"GET " + at + " HTTP/1.1\r\nHost: a\r\nX-Api-Key:\r\n " + token + "x\r\n\r\n", 401, false},
		"both lengths":             {"POST " + at + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 401, true},
		"huge headers":             {"GET " + at + " HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431, true},
		"an authority as target":   {"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n" + key + "\r\n", 404, false},
		"all of the server":        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n" + key + "\r\n", 200, false}, // net/http's own answer, without identity
	} {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connection.Write([]byte(c.request)); err != nil {
			t.Fatal(err)
		}
		got, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		passed := got.Header.Get("X-Latchkey-Key") != ""
		mayPass := c.status == http.StatusOK && !strings.HasPrefix(c.request, "OPTIONS *")
		if got.StatusCode != c.status || got.Close != c.closes || passed != mayPass {
			t.Errorf("%s: got %d, closes: %v, identity: %v", name, got.StatusCode, got.Close, passed)
		}
		got.Body.Close()
		connection.Close()
	}
}
