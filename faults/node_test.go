package faults

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// What every experiment needs.
var must, call = servertest.Must, servertest.Call

func TestMain(m *testing.M) { servertest.Main(m, "../cmd/latchkey", table.print) }

// table is what the experiments showed.
var table results

type results struct {
	mu   sync.Mutex
	rows [][]string
}

// show adds a row: what was done, and what was seen.
func show(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf(format, args...)
	table.mu.Lock()
	defer table.mu.Unlock()
	table.rows = append(table.rows, []string{t.Name(), fmt.Sprintf(format, args...),
		map[bool]string{true: "BROKEN", false: "held"}[t.Failed()]})
}

func (r *results) print(w io.Writer) {
	slices.SortFunc(r.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush() // to the terminal
}

func project(ctx context.Context, n *servertest.Server, token string) servertest.Answer {
	return call(ctx, "GET", n.URL+"/v1/project", token, nil)
}

// proxy is between a node and its database, and fails on demand.
type proxy struct {
	listener net.Listener
	socket   string
	state    atomic.Int32
	tamper   func(answer []byte) (passes bool) // nil: all pass; otherwise the connection is cut instead
	delay    atomic.Int64                      // of each piece of an answer, nanoseconds
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// What a proxy does with connections.
const (
	passes int32 = iota
	refuses
	swallows // takes everything and answers nothing, like a cable that was cut
)

func newProxy(t testing.TB, socket string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: listener, socket: socket, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		listener.Close()
		p.drop()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

// dsn returns the address of a database through the proxy.
func (p *proxy) dsn(database string) string {
	name := regexp.MustCompile(`/(test_\d+)`).FindStringSubmatch(database)[1]
	return "postgres://postgres@" + p.listener.Addr().String() + "/" + name + "?sslmode=disable"
}

func (p *proxy) set(state int32) {
	p.state.Store(state)
	if state == refuses {
		p.drop()
	}
}

func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		conn.Close()
	}
	clear(p.open)
}

func (p *proxy) serve(front net.Conn) {
	defer front.Close()
	if p.state.Load() == refuses {
		return
	}
	back, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer back.Close()
	p.mu.Lock()
	p.open[front], p.open[back] = true, true
	p.mu.Unlock()
	done := make(chan struct{}, 2)
	go func() { p.copy(back, front, false); done <- struct{}{} }()
	go func() { p.copy(front, back, true); done <- struct{}{} }()
	<-done
}

func (p *proxy) copy(to, from net.Conn, answers bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if answers {
			time.Sleep(time.Duration(p.delay.Load()))
		}
		for p.state.Load() == swallows {
			time.Sleep(10 * time.Millisecond)
		}
		if n > 0 && answers && p.tamper != nil && !p.tamper(buffer[:n]) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// tally counts answers by status, and how long they took.
type tally struct {
	mu    sync.Mutex
	count map[int]int
	took  []time.Duration
	last  map[int]time.Time
}

func (c *tally) add(a servertest.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count, c.last = map[int]int{}, map[int]time.Time{}
	}
	c.count[a.Status]++
	c.last[a.Status] = time.Now()
	c.took = append(c.took, a.Took)
}

func (c *tally) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, count := range c.count {
		n += count
	}
	return n
}

func (c *tally) of(status int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[status]
}

// only fails for every status but these.
func (c *tally) only(t *testing.T, statuses ...int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for status, n := range c.count {
		if !slices.Contains(statuses, status) {
			t.Errorf("%d answers had the status %d, want only %v (all: %v)", n, status, statuses, c.count)
		}
	}
}

// percentile of durations.
func percentile(took []time.Duration, p float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	took = slices.Sorted(slices.Values(took))
	return took[min(len(took)-1, int(p*float64(len(took))))]
}

func (c *tally) percentile(p float64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return percentile(c.took, p)
}

// load sends requests with so many clients until stop is called.
func load(ctx context.Context, clients int, pause time.Duration, send func(ctx context.Context) servertest.Answer) (c *tally, stop func()) {
	c = &tally{}
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	for range clients {
		working.Go(func() {
			for ctx.Err() == nil {
				a := send(context.WithoutCancel(ctx))
				c.add(a)
				time.Sleep(pause)
			}
		})
	}
	return c, func() {
		cancel()
		working.Wait()
	}
}

// eventually waits for something to become true.
func eventually(t testing.TB, limit time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < limit {
		if is() {
			return time.Since(began)
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Errorf("not within %v: %s", limit, what)
	return limit
}

// pooler starts PgBouncer in transaction mode before the cluster and returns the
// address of the database through it.
func pooler(t testing.TB, c *storetest.Cluster, database string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	must(t, listener.Close())
	dir := filepath.Dir(c.Socket())
	config := filepath.Join(dir, fmt.Sprintf("pgbouncer-%d.ini", port))
	must(t, os.WriteFile(config, fmt.Appendf(nil, "[databases]\n* = host=%s user=postgres\n[pgbouncer]\n"+
		"listen_addr=127.0.0.1\nlisten_port=%d\n"+
		"unix_socket_dir=\nauth_type=any\npool_mode=transaction\nmax_client_conn=200\ndefault_pool_size=10\n"+
		"ignore_startup_parameters=extra_float_digits\n", dir, port), 0o644))
	cmd := exec.Command("pgbouncer", "-q", config)
	if cmd.Err != nil {
		cmd = exec.Command("/usr/sbin/pgbouncer", "-q", config)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: c.Owner()}
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	eventually(t, 10*time.Second, "the pooler listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	name := regexp.MustCompile(`/(test_\d+)`).FindStringSubmatch(database)[1]
	return "postgres://postgres@" + address + "/" + name + "?sslmode=disable"
}
