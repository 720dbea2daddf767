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

// connectionBounds say how many connections a listener has at the same time.
type connectionBounds struct {
	total      int
	perNetwork int                           // of those, from one network
	exempt     func(address netip.Addr) bool // whose network is bounded by total only
}

// connections is a listener that never makes a new client wait for others to
// leave. When there are as many connections as the bounds allow, it gives up
// those that have kept the server waiting for the longest: for a request, for the
// rest of a header or a body, or for an answer to be read. It takes them from the
// network with the most connections, so a network that hoards them loses its own.
// Only when none waits is the new connection refused, with a 503.
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
	return &connections{Listener: l, bounds: bounds, began: time.Now(), open: map[*connection]bool{}, networks: map[fair.Payer]int{}}
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

// makeRoom gives up connections where the process may have no more files open,
// and reports whether it found any.
func (l *connections) makeRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.abandon(func(*connection) bool { return true }, l.bounds.total)
}

// admit returns conn as one of the connections, or nil when there is no place.
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

// network returns who is charged for a connection; empty: the total alone.
func (l *connections) network(peer net.Addr) fair.Payer {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok { // a Unix socket, whose file says who may connect
		return ""
	}
	if l.bounds.exempt(tcp.AddrPort().Addr().Unmap().WithZone("")) {
		return ""
	}
	return fair.Network(tcp.IP.String())
}

// abandon closes connections that wait for their client, one in a hundred of
// bound so that a flood does not look through all of them for each of its own. It
// reports whether it found any. The lock is held.
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
		if c.waiting.CompareAndSwap(since[c], givenUp) { // else a request has just come
			found = true
			l.abandoned.Add(1)
			l.remove(c)
			_ = c.Conn.Close() // the client hears of it
		}
	}
	return found
}

// weight is how many connections those who are charged for c have.
func (l *connections) weight(c *connection) int {
	if c.network == "" {
		return 0
	}
	return l.networks[c.network]
}

// remove forgets a connection. The lock is held.
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

// metrics count the connections, and those that were not kept.
func (l *connections) metrics() []prometheus.Collector {
	closed := func(why string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "latchkey_connections_closed_total", Help: "Connections closed because there were too many, by what they did.",
			ConstLabels: prometheus.Labels{"was": why},
		}, func() float64 { return float64(n.Load()) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "latchkey_connections", Help: "Connections of clients."},
			func() float64 { return float64(l.count()) }),
		closed("waiting", &l.abandoned), closed("new", &l.refused),
	}
}

// now is the time since the listener began; it is never 0 or less.
func (l *connections) now() int64 { return int64(time.Since(l.began)) + 1 }

// refuseConnection answers whatever the client is about to ask with a 503.
func refuseConnection(conn net.Conn) {
	const answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	_, _ = io.WriteString(conn, answer) // the client may have gone
	_ = conn.Close()
}

// givenUp is the state of a connection that is closed for having waited.
const givenUp = -1

// connection knows since when the server waits for its client.
type connection struct {
	net.Conn

	listener *connections
	network  fair.Payer
	waiting  atomic.Int64 // since when; 0: a request is being served; givenUp
	transfer atomic.Int64 // since when the client of this request sends or reads; 0: not yet
	body     waitedBody
}

// Close closes the connection and makes its place free.
func (c *connection) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Write waits for the client where it does not read what it is sent.
func (c *connection) Write(b []byte) (int, error) {
	defer c.resume(c.wait())
	return c.Conn.Write(b)
}

// wait notes that the server waits for the client to send a body or to read an
// answer. All waits of a request count from the first one on, so that a client
// gains nothing by doing it byte by byte.
func (c *connection) wait() int64 {
	if c.waiting.Load() != 0 { // between two requests it waits already
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

// waitedBody is the body of a request, for which the server waits.
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

// waitsForClients returns a handler that tells the connection of each request
// when it is served, and when the server waits for the client.
func waitsForClients(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connectionKey{}).(*connection)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if since := c.waiting.Load(); since == givenUp || !c.waiting.CompareAndSwap(since, 0) {
			panic(http.ErrAbortHandler) // no one would see the answer, so nothing is done
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
