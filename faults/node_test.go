package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/latchkey-dev/latchkey/repository/storetest"
)

var full = flag.Bool("full", false, "run the experiments at their full size and print what they showed")

// size is how large a part of an experiment is.
func size[T any](short, whole T) T {
	if *full {
		return whole
	}
	return short
}

// binary is the program under test, and key the master key of all nodes.
var binary string

const masterKey = "q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80="

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "latchkey-faults-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "latchkey")
		if out, err := exec.Command("go", "build", "-o", binary, "../cmd/latchkey").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
			return 1
		}
		code := m.Run()
		table.print(os.Stdout)
		return code
	}())
}

// table is what the experiments showed.
var table results

type results struct {
	mu   sync.Mutex
	rows [][]string
}

// show adds a row: what was done, and what was seen.
func show(t *testing.T, format string, args ...any) {
	t.Helper()
	table.mu.Lock()
	defer table.mu.Unlock()
	table.rows = append(table.rows, []string{t.Name(), fmt.Sprintf(format, args...), map[bool]string{true: "BROKEN", false: "held"}[t.Failed()]})
}

func (r *results) print(w io.Writer) {
	if !*full {
		return
	}
	slices.SortFunc(r.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush() // to the terminal
}

// node is a server in a process of its own.
type node struct {
	t          testing.TB
	env        []string
	cmd        *exec.Cmd
	URL, Admin string
	listen     string
}

// start runs a server on the database. It is killed when t ends.
func start(t testing.TB, database string, env ...string) *node {
	t.Helper()
	n := &node{t: t, env: append([]string{
		"LATCHKEY_DATABASE=" + database, "LATCHKEY_MASTER_KEY=" + masterKey, "LATCHKEY_ADMIN_LISTEN=127.0.0.1:0", "LATCHKEY_LOG=json",
		"LATCHKEY_PUBLIC_URL=http://127.0.0.1:8080",
	}, env...), listen: "127.0.0.1:0"}
	n.run()
	t.Cleanup(func() { n.kill() })
	return n
}

// run starts the process, at the address where it was before, if it was.
func (n *node) run() {
	n.t.Helper()
	n.cmd = exec.Command(binary, "serve")
	n.cmd.Env = slices.Concat(os.Environ(), n.env, []string{"LATCHKEY_LISTEN=" + n.listen})
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := n.cmd.StderrPipe()
	must(n.t, err)
	must(n.t, n.cmd.Start())
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	var said strings.Builder
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		var line struct{ Msg, Address, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			n.listen, n.URL, n.Admin = line.Address, "http://"+line.Address, "http://"+line.Admin
			go func() {
				for lines.Scan() {
					if os.Getenv("FAULTS_LOG") != "" {
						fmt.Fprintln(os.Stderr, lines.Text())
					}
				}
			}()
			n.waitReady()
			return
		}
	}
	n.t.Fatalf("the server ended: %v\n%s", n.cmd.Wait(), said.String())
}

func (n *node) waitReady() {
	n.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if n.metric("latchkey_sync_state") == 1 {
			return
		}
	}
	n.t.Fatal("the server does not get ready")
}

// kill ends the process as the kernel does when memory is short.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	_ = n.cmd.Wait()
}

// end asks the process to end and waits for it.
func (n *node) end() {
	n.t.Helper()
	must(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	must(n.t, n.cmd.Wait())
}

// metric returns a metric without labels; -1 when it cannot be had.
func (n *node) metric(name string) float64 {
	answer, err := client.Get(n.Admin + "/metrics")
	if err != nil {
		return -1
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return -1
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(body)
	if found == nil {
		return -1
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		return -1
	}
	return value
}

var client = &http.Client{
	Timeout:   15 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what a request brought. A status of 0 means that there was none.
type answer struct {
	status     int
	body       map[string]any
	retryAfter string
	took       time.Duration
}

func (a answer) text(path ...string) string {
	var at any = a.body
	for _, name := range path {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	s, _ := at.(string)
	return s
}

// call sends a request; credential is a key, or an access token behind "Bearer ".
func call(ctx context.Context, method, url, credential string, body any) answer {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		panic(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case strings.HasPrefix(credential, "Bearer "):
		r.Header.Set("Authorization", credential)
	case credential != "":
		r.Header.Set("X-Api-Key", credential)
	}
	began := time.Now()
	got, err := client.Do(r)
	if err != nil {
		return answer{took: time.Since(began)}
	}
	defer got.Body.Close()
	a := answer{status: got.StatusCode, retryAfter: got.Header.Get("Retry-After")}
	text, err := io.ReadAll(got.Body)
	a.took = time.Since(began)
	if err != nil {
		return answer{took: a.took}
	}
	_ = json.Unmarshal(text, &a.body) // some answers have none
	return a
}

// tenant is a person with a project.
type tenant struct {
	t       testing.TB
	jwt     string
	refresh string
	project string
}

var people atomic.Int64

func newTenant(t testing.TB, n *node) *tenant {
	t.Helper()
	in := call(t.Context(), "POST", n.URL+"/v1/auth/signup", "", map[string]string{
		"email": fmt.Sprintf("p%d@example.com", people.Add(1)), "password": "seven violet lamps at the harbour",
	})
	p := &tenant{t: t, jwt: "Bearer " + in.text("access_token"), refresh: in.text("refresh_token")}
	organization := p.want(201, call(t.Context(), "POST", n.URL+"/v1/organizations", p.jwt, map[string]string{"name": "Acme"}))
	project := p.want(201, call(t.Context(), "POST", n.URL+"/v1/organizations/"+organization.text("id")+"/projects", p.jwt, map[string]string{"name": "API"}))
	p.project = project.text("id")
	return p
}

func (p *tenant) want(status int, a answer) answer {
	p.t.Helper()
	if a.status != status {
		p.t.Fatalf("got %d %v, want %d", a.status, a.body, status)
	}
	return a
}

// keys is where the tenant's keys are managed.
func (p *tenant) keys(n *node) string { return n.URL + "/v1/projects/" + p.project + "/keys" }

// key makes a key and returns its id and token.
func (p *tenant) key(n *node, scopes ...string) (id, token string) {
	p.t.Helper()
	made := p.want(201, call(p.t.Context(), "POST", p.keys(n), p.jwt, map[string]any{"name": "k", "scopes": append([]string{}, scopes...)}))
	return made.text("key", "id"), made.text("token")
}

func project(ctx context.Context, n *node, token string) answer {
	return call(ctx, "GET", n.URL+"/v1/project", token, nil)
}

// proxy stands between a node and its database, and fails on demand.
type proxy struct {
	listener net.Listener
	socket   string
	state    atomic.Int32
	delay    atomic.Int64 // of each piece of an answer, nanoseconds
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

func (c *tally) add(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count, c.last = map[int]int{}, map[int]time.Time{}
	}
	c.count[a.status]++
	c.last[a.status] = time.Now()
	c.took = append(c.took, a.took)
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
func load(ctx context.Context, clients int, pause time.Duration, send func(ctx context.Context) answer) (c *tally, stop func()) {
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
	must(t, os.WriteFile(config, fmt.Appendf(nil, "[databases]\n* = host=%s user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\n"+
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
