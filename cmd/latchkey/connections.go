package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/service/fair"
)

// connectionBounds limits how many connections a listener has at the same time.
type connectionBounds struct {
	total      int
	perNetwork int                           // of those, from one network
	exempt     func(address netip.Addr) bool // only total limits these networks
}

// connections is a listener that never makes a new client wait for others to
// leave. When the bounds are reached, it closes the connections that have kept the
// server waiting for the longest: for a request, for the rest of a header or a
// body, or for the client to read an answer. It closes those of the network with
// the most connections, so a network that holds too many loses its own. It refuses
// the new connection, with a 503, only when no connection waits.
type connections struct {
	net.Listener

	bounds connectionBounds
	began  time.Time

	mu       sync.Mutex
	open     map[*connection]bool
	networks map[fair.Payer]int // how many of them each network has

	abandoned, refused atomic.Int64
}

func newConnections(l net.Listener, bounds connectionBounds) *connections {
	return &connections{
		Listener: l,
		bounds:   bounds,
		began:    time.Now(),
		open:     map[*connection]bool{},
		networks: map[fair.Payer]int{},
	}
}

// Accept returns the next connection that the bounds allow.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if errors.Is(err, syscall.EMFILE) && l.makeRoom() {
			continue
		}
		if err != nil {
			return nil, err
		}
		if c := l.admit(conn); c != nil {
			return c, nil
		}
		l.refused.Add(1)
		refuseConnection(conn)
	}
}

// makeRoom closes waiting connections when the process has no file descriptors
// left, and reports whether it found any.
func (l *connections) makeRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.abandon(func(*connection) bool { return true }, l.bounds.total)
}

// admit adds conn to the connections and returns it, or nil when there is no place.
func (l *connections) admit(conn net.Conn) *connection {
	c := &connection{Conn: conn, listener: l, network: l.network(conn.RemoteAddr())}
	c.waiting.Store(l.now())
	l.mu.Lock()
	defer l.mu.Unlock()
	switch own := c.network; {
	case own != "" && l.networks[own] >= l.bounds.perNetwork:
		if !l.abandon(func(other *connection) bool { return other.network == own }, l.bounds.perNetwork) {
			return nil
		}
	case len(l.open) >= l.bounds.total:
		if !l.abandon(func(*connection) bool { return true }, l.bounds.total) {
			return nil
		}
	}
	l.open[c] = true
	l.networks[c.network]++
	return c
}

// network returns the network that a connection counts for; empty: only the total.
func (l *connections) network(peer net.Addr) fair.Payer {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok { // a Unix socket: the mode of its file controls who may connect
		return ""
	}
	if l.bounds.exempt(tcp.AddrPort().Addr().Unmap().WithZone("")) {
		return ""
	}
	return fair.Network(tcp.IP.String())
}

// abandon closes connections that wait for their client and reports whether it
// found any. It closes a hundredth of bound each time, so that a flood does not
// cause a search for each of its connections. The caller holds the lock.
func (l *connections) abandon(among func(*connection) bool, bound int) bool {
	var waiting []*connection
	since := map[*connection]int64{}
	for c := range l.open {
		if w := c.waiting.Load(); w > 0 && among(c) {
			waiting = append(waiting, c)
			since[c] = w
		}
	}
	slices.SortFunc(waiting, func(a, b *connection) int {
		return cmp.Or(cmp.Compare(l.weight(b), l.weight(a)), cmp.Compare(since[a], since[b]))
	})
	found := false
	for _, c := range waiting[:min(len(waiting), max(1, bound/100))] {
		if c.waiting.CompareAndSwap(since[c], givenUp) { // otherwise a request has just arrived
			found = true
			l.abandoned.Add(1)
			l.remove(c)
			_ = c.Conn.Close() // the client notices
		}
	}
	return found
}

// weight returns how many connections the network of c has.
func (l *connections) weight(c *connection) int {
	if c.network == "" {
		return 0
	}
	return l.networks[c.network]
}

// remove removes a connection. The caller holds the lock.
func (l *connections) remove(c *connection) {
	if !l.open[c] {
		return
	}
	delete(l.open, c)
	if l.networks[c.network]--; l.networks[c.network] == 0 {
		delete(l.networks, c.network)
	}
}

// count returns how many connections there are.
func (l *connections) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// metrics counts the connections that are open, closed early and refused.
func (l *connections) metrics() []prometheus.Collector {
	closed := func(why string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "latchkey_connections_closed_total",
			Help:        "Connections closed because there were too many, by whether they were new or waiting.",
			ConstLabels: prometheus.Labels{"was": why},
		}, func() float64 { return float64(n.Load()) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "latchkey_connections", Help: "Open connections of clients."},
			func() float64 { return float64(l.count()) }),
		closed("waiting", &l.abandoned), closed("new", &l.refused),
	}
}

// now returns the time since the listener started. It is always positive.
func (l *connections) now() int64 { return int64(time.Since(l.began)) + 1 }

// refuseConnection answers the client's first request with a 503.
func refuseConnection(conn net.Conn) {
	const answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	_, _ = io.WriteString(conn, answer) // the client may have gone
	_ = conn.Close()
}

// givenUp is the state of a connection that is closed because it waited.
const givenUp = -1

// connection records since when the server waits for its client.
type connection struct {
	net.Conn

	listener *connections
	network  fair.Payer
	waiting  atomic.Int64 // since when; 0: a request is being served; or givenUp
	transfer atomic.Int64 // since when the client of this request has been sending or reading; 0: not yet
	body     waitedBody
}

// Close closes the connection and frees its place.
func (c *connection) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Write waits for the client when the client does not read.
func (c *connection) Write(b []byte) (int, error) {
	defer c.resume(c.wait())
	return c.Conn.Write(b)
}

// wait records that the server waits for the client to send a body or to read an
// answer. All waits of a request count from the first one, so that a client gains
// nothing by sending or reading byte by byte.
func (c *connection) wait() int64 {
	if c.waiting.Load() != 0 { // it already waits between two requests
		return 0
	}
	since := c.transfer.Load()
	if since == 0 {
		since = c.listener.now()
		c.transfer.Store(since)
	}
	c.waiting.Store(since)
	return since
}

func (c *connection) resume(since int64) {
	if since != 0 {
		c.waiting.CompareAndSwap(since, 0)
	}
}

// waitedBody is the body of a request that the server waits for.
type waitedBody struct {
	io.ReadCloser

	of *connection
}

func (b *waitedBody) Read(p []byte) (int, error) {
	defer b.of.resume(b.of.wait())
	return b.ReadCloser.Read(p)
}

type connectionKey struct{}

// inContext is the http.Server's ConnContext.
func inContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// waitsForClients returns a handler that records, on the connection of each request,
// when the request is served and when the server waits for the client.
func waitsForClients(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connectionKey{}).(*connection)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if since := c.waiting.Load(); since == givenUp || !c.waiting.CompareAndSwap(since, 0) {
			panic(http.ErrAbortHandler) // the client cannot receive an answer any more
		}
		c.transfer.Store(0)
		defer func() { c.waiting.CompareAndSwap(0, c.listener.now()) }()
		if r.Body != http.NoBody {
			c.body = waitedBody{r.Body, c}
			r.Body = &c.body
		}
		next.ServeHTTP(w, r)
	})
}
