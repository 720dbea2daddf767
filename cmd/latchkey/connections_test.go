package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// bounded is a server with few connections whose handler waits when asked to.
type bounded struct {
	address string
	listens *connections
	busy    chan struct{} // gets one when /busy is being served
	release chan struct{} // closed: /busy answers
}

func newBounded(t *testing.T, b connectionBounds) *bounded {
	t.Helper()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if b.exempt == nil {
		b.exempt = func(netip.Addr) bool { return false }
	}
	s := &bounded{inner.Addr().String(), newConnections(inner, b), make(chan struct{}, 100), make(chan struct{})}
	routes := http.NewServeMux()
	routes.HandleFunc("/quick", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	routes.HandleFunc("/body", func(_ http.ResponseWriter, r *http.Request) {
		s.busy <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	routes.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		s.busy <- struct{}{}
		_, _ = w.Write(make([]byte, 64<<20))
	})
	routes.HandleFunc("/busy", func(http.ResponseWriter, *http.Request) {
		s.busy <- struct{}{}
		<-s.release
	})
	server := &http.Server{Handler: waitsForClients(routes), ConnContext: inContext, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(s.listens) }()
	t.Cleanup(func() {
		close(s.release)
		_ = server.Close()
	})
	return s
}

// peer is a connection from an address of this machine.
type peer struct {
	net.Conn

	answers *bufio.Reader
}

func (s *bounded) connect(t *testing.T, from string) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
	conn, err := d.DialContext(t.Context(), "tcp4", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &peer{conn, bufio.NewReader(conn)}
}

func (c *peer) send(t *testing.T, request string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
}

// get returns the status of an answer; 0 when the connection is closed.
func (c *peer) get() int {
	if _, err := io.WriteString(c, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return 0
	}
	return c.status()
}

func (c *peer) status() int {
	a, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, a.Body)
	_ = a.Body.Close()
	return a.StatusCode
}

// wants fails the test unless a quick GET on the connection brings the status.
func (c *peer) wants(t *testing.T, status int) {
	t.Helper()
	if got := c.get(); got != status {
		t.Errorf("got %d, want %d", got, status)
	}
}

// Guarantees that a network with the most connections allowed loses those that were
// idle the longest, and that others notice nothing.
func TestANetworkLosesItsOwnConnections(t *testing.T) {
	t.Parallel()
	s := newBounded(t, connectionBounds{total: 10, perNetwork: 3})
	other := s.connect(t, "127.0.9.1")
	other.wants(t, http.StatusOK)
	var own []*peer
	for range 3 {
		c := s.connect(t, "127.0.5.1")
		c.wants(t, http.StatusOK)
		own = append(own, c)
	}
	own[0].wants(t, http.StatusOK) // the second one is idle for the longest now
	s.connect(t, "127.0.5.77").wants(t, http.StatusOK)
	own[1].wants(t, 0)
	own[0].wants(t, http.StatusOK)
	own[2].wants(t, http.StatusOK)
	other.wants(t, http.StatusOK)
}

// Guarantees that when all connections are taken, the network with the most loses
// one to a new client, whatever the server waits for on it: a request, the rest of a
// header or a body, or the client reading an answer.
func TestTheFullServerTakesFromTheLargest(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"idle":   "",
		"header": "GET /quick HTTP/1.1\r\nHost",
		"body":   "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
		"reader": "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		s := newBounded(t, connectionBounds{total: 4, perNetwork: 4})
		other := s.connect(t, "127.0.9.1")
		other.wants(t, http.StatusOK)
		for range 3 {
			c := s.connect(t, "127.0.5.1")
			c.send(t, request)
			if name == "body" || name == "reader" {
				<-s.busy
			}
		}
		eventuallyIs(t, "all connections wait for their clients", func() bool { return s.waiting() == 4 })
		for range 3 {
			s.connect(t, "127.0.8.1").wants(t, http.StatusOK)
		}
		other.wants(t, http.StatusOK)
		if got := s.listens.abandoned.Load(); got != 3 {
			t.Errorf("%s: %d connections were given up, want 3", name, got)
		}
	}
}

// waiting is how many connections the server keeps waiting for their clients.
func (s *bounded) waiting() (n int) {
	s.listens.mu.Lock()
	defer s.listens.mu.Unlock()
	for c := range s.listens.open {
		if c.waiting.Load() > 0 {
			n++
		}
	}
	return n
}

// Guarantees that a request in progress is never aborted: when every connection has
// one, a new client is refused with a 503.
func TestServedRequestsAreKept(t *testing.T) {
	t.Parallel()
	s := newBounded(t, connectionBounds{total: 2, perNetwork: 2})
	var served []*peer
	for range 2 {
		c := s.connect(t, "127.0.5.1")
		c.send(t, "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
		<-s.busy
		served = append(served, c)
	}
	if got := s.connect(t, "127.0.9.1").status(); got != http.StatusServiceUnavailable {
		t.Errorf("the newcomer got %d, want 503", got)
	}
	for range served {
		s.release <- struct{}{}
	}
	for _, c := range served {
		if got := c.status(); got != http.StatusOK {
			t.Errorf("a request that was being served got %d", got)
		}
	}
}

// Guarantees that only the total limits proxies and this machine, which carry many
// clients.
func TestExemptNetworksAreBoundedByTheTotal(t *testing.T) {
	t.Parallel()
	s := newBounded(t, connectionBounds{total: 6, perNetwork: 2, exempt: netip.Addr.IsLoopback})
	var all []*peer
	for range 6 {
		c := s.connect(t, "127.0.5.1")
		c.wants(t, http.StatusOK)
		all = append(all, c)
	}
	for _, c := range all {
		c.wants(t, http.StatusOK)
	}
	public := (&settings{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}).publicBounds()
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "10.1.2.3": true, "11.1.2.3": false, "2001:db8::1": false} {
		if got := public.exempt(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is exempt: %v, want %v", address, got, want)
		}
	}
}

// Guarantees that a refused client receives an HTTP answer.
func TestRefusedConnectionsAreAnswered(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	answered := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(theirs)
		answered <- string(text)
	}()
	refuseConnection(ours)
	if got := <-answered; !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "Retry-After: 1\r\n") {
		t.Errorf("got %q", got)
	}
}

// eventuallyIs waits for something to become true.
func eventuallyIs(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
