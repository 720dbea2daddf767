package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// What every row needs.
var must = servertest.Must

// bareServer is set for the process that is the floor.
const bareServer = "LATCHKEY_BENCH_BARE"

var masterKey, _ = service.ParseMasterKey(servertest.MasterKey)

func TestMain(m *testing.M) {
	if os.Getenv(bareServer) != "" {
		serveBare()
		return
	}
	servertest.Main(m, "../cmd/latchkey", printTable)
}

// serveBare is the floor: Echo, and an answer that lies ready.
func serveBare() {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	body := bytes.Repeat([]byte("x"), 288)
	e.GET("/v1/project", func(c echo.Context) error { return c.JSONBlob(http.StatusOK, body) })
	e.POST("/v1/keys/verify", func(c echo.Context) error {
		if _, err := io.Copy(io.Discard, c.Request().Body); err != nil {
			return err
		}
		return c.JSONBlob(http.StatusOK, body)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic((&http.Server{Handler: e, ReadHeaderTimeout: time.Minute}).Serve(listener))
}

// row is a line of the table.
type row struct{ what, got, floor, ratio, goal, note string }

var (
	mu   sync.Mutex
	rows []row
)

func add(r row) {
	mu.Lock()
	defer mu.Unlock()
	rows = append(rows, r)
}

func printTable(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\tours\tfloor\tratio (spread)\tgoal\tnote")
	for _, r := range rows {
		fmt.Fprintln(tw, strings.Join([]string{r.what, r.got, r.floor, r.ratio, r.goal, r.note}, "\t"))
	}
	_ = tw.Flush()
}

// process is a server that is measured.
type process struct {
	pid     int
	address string
}

func bare(t testing.TB, env ...string) process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = slices.Concat(os.Environ(), []string{bareServer + "=1"}, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return process{cmd.Process.Pid, strings.TrimSpace(address)}
}

func processOf(s *servertest.Server) process { return process{s.PID(), s.Address} }

// cpu returns the processor time that the server has used.
func (p process) cpu(t testing.TB) time.Duration { return servertest.CPU(t, p.pid) }

func ownCPU(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// run is what one go of requests showed.
type run struct {
	rate   float64 // requests a second
	p99    time.Duration
	server time.Duration // processor time of the server for each request
	share  float64       // of the processor time that the load tool used
}

const connections = 64

// load sends a request on keep-alive connections for a while. next gives the
// i-th request; every answer must have the status.
func load(t testing.TB, p process, lasting time.Duration, status int, next func(i int) []byte) run {
	t.Helper()
	want := fmt.Appendf(nil, "HTTP/1.1 %d ", status)
	var sent atomic.Int64
	var wrong atomic.Pointer[string]
	took := make([][]time.Duration, connections)
	serverBefore, ownBefore, began := p.cpu(t), ownCPU(t), time.Now()
	var working sync.WaitGroup
	for c := range connections {
		working.Go(func() {
			conn, err := net.Dial("tcp", p.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReaderSize(conn, 16<<10)
			// At least once, however long the machine takes to begin.
			for first := true; first || time.Since(began) < lasting && wrong.Load() == nil; first = false {
				at := time.Now()
				if _, err := conn.Write(next(int(sent.Add(1)))); err != nil {
					t.Error(err)
					return
				}
				line, err := servertest.ReadAnswer(r)
				if err != nil || !bytes.HasPrefix(line, want) {
					s := fmt.Sprintf("%q, %v", line, err)
					wrong.Store(&s)
					return
				}
				took[c] = append(took[c], time.Since(at))
			}
		})
	}
	working.Wait()
	elapsed := time.Since(began)
	if s := wrong.Load(); s != nil {
		t.Fatalf("got %s, want %d", *s, status)
	}
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		t.Fatal("no request was answered")
	}
	server, own := p.cpu(t)-serverBefore, ownCPU(t)-ownBefore
	return run{
		rate: float64(len(all)) / elapsed.Seconds(), p99: all[len(all)*99/100],
		server: server / time.Duration(len(all)), share: own.Seconds() / max(1e-9, (own+server).Seconds()),
	}
}

func always(r []byte) func(int) []byte { return func(int) []byte { return r } }

// median of numbers, and how far the others lie from it.
func median(values []float64) (middle, spread float64) {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2], values[len(values)-1] - values[0]
}

var rounds = func() int { return servertest.Size(1, 5) }

// beside measures a request at ours beside one at the floor, in turn.
func beside(t *testing.T, what, goal string, ours, floor process, status int, request, floorRequest func(int) []byte) {
	t.Helper()
	lasting := servertest.Size(50*time.Millisecond, 3*time.Second)
	load(t, ours, lasting/3, status, request) // warm
	load(t, floor, lasting/3, http.StatusOK, floorRequest)
	var ratio, tail, cpu []float64
	var a, b run
	for range rounds() {
		a, b = load(t, ours, lasting, status, request), load(t, floor, lasting, http.StatusOK, floorRequest)
		ratio = append(ratio, a.rate/b.rate)
		tail = append(tail, a.p99.Seconds()/b.p99.Seconds())
		cpu = append(cpu, float64(a.server.Nanoseconds())/1000)
	}
	r, spread := median(ratio)
	p99, _ := median(tail)
	c, _ := median(cpu)
	add(row{
		what, fmt.Sprintf("%.0f/s", a.rate), fmt.Sprintf("%.0f/s", b.rate), fmt.Sprintf("%.2f (%.2f)", r, spread), goal,
		fmt.Sprintf("p99 ×%.2f; %.1f µs of processor a request (floor %.1f); the load tool took %.0f %%", p99, c,
			float64(b.server.Nanoseconds())/1000, 100*a.share),
	})
}

// TestHTTP measures the complete product, with metrics and its log, beside a bare
// Echo that answers from memory.
func TestHTTP(t *testing.T) {
	for name, env := range map[string][]string{"": nil, ", GOGC=1600": {"GOGC=1600"}} {
		if env != nil && !*servertest.Full {
			continue
		}
		t.Run("http"+name, func(t *testing.T) {
			server := servertest.Start(t, storetest.SQLite(t), env...)
			ours, floor := processOf(server), bare(t, env...)
			tenant := servertest.NewTenant(t, server)
			_, token := tenant.Key(server, "documents:read")
			_, verifier := tenant.Key(server, "keys:verify")
			get, verify := getWith(token), verifyWith(verifier, token)
			byUser := map[string]string{"Authorization": tenant.Bearer}
			if env != nil {
				beside(t, "getCurrentProject, warm"+name, "0.80", ours, floor, 200, always(get), always(get))
				return
			}
			beside(t, "getCurrentProject, warm", "0.90, p99 1.5", ours, floor, 200, always(get), always(get))
			beside(t, "verifyKey, warm", "0.90", ours, floor, 200, always(verify), always(verify))
			besideVerify(t, ours, tenant, token, get, verify)
			beside(t, "verifyKey by a user, warm", "0.75", ours, floor, 200, always(servertest.Request("POST", "/v1/keys/verify", byUser,
				fmt.Sprintf(`{"key":%q,"project_id":%q}`, token, tenant.Project))), always(verify))
			beside(t, "getProject by a user, warm, generated", "0.50", ours, floor, 200,
				always(servertest.Request("GET", "/v1/projects/"+tenant.Project, byUser, "")), always(get))
			besideUnlimited(t, server, tenant, verifier, token)
			before := server.Metric("latchkey_key_cache_loads_total")
			beside(t, "a mistyped token", "0.90, no SQL", ours, floor, 401, always(getWith(token[:len(token)-1]+"!")), always(get))
			if after := server.Metric("latchkey_key_cache_loads_total"); after != before {
				t.Errorf("mistyped tokens caused %v look-ups", after-before)
			}
		})
	}
}

// getWith asks for the project of a key.
func getWith(token string) []byte {
	return servertest.Request("GET", "/v1/project", map[string]string{"X-Api-Key": token}, "")
}

// verifyWith verifies a key that holds documents:read.
func verifyWith(verifier, token string) []byte {
	question := fmt.Sprintf(`{"key":%q,"scopes":["documents:read"]}`, token)
	return servertest.Request("POST", "/v1/keys/verify", map[string]string{"X-Api-Key": verifier}, question)
}

// besideVerify measures what a proxy asks beside other ways to ask about a key.
func besideVerify(t *testing.T, ours process, tenant *servertest.Tenant, token string, get, verify []byte) {
	route := "/v1/projects/" + tenant.Project + "/forward-auth/documents:read"
	forward := servertest.Request("GET", route, map[string]string{"X-Api-Key": token, "X-Forwarded-For": "203.0.113.7"}, "")
	beside(t, "forwardAuth, warm, beside getCurrentProject", "0.85", ours, ours, 200, always(forward), always(get))
	beside(t, "forwardAuth, warm, beside verifyKey", "0.85", ours, ours, 200, always(forward), always(verify))
}

// besideUnlimited measures keys with a rate limit beside one without limits.
func besideUnlimited(t *testing.T, server *servertest.Server, tenant *servertest.Tenant, verifier, unlimited string) {
	ours := processOf(server)
	limited := func(limit int) string {
		key := map[string]any{
			"name":   "limited",
			"scopes": []string{"documents:read"},
			"limits": []any{map[string]any{"name": "requests", "type": "rate", "limit": limit, "period": "day"}},
		}
		made := servertest.Call(t.Context(), http.MethodPost, tenant.Keys(server), tenant.Bearer, key)
		return tenant.Want(http.StatusCreated, made).Text("token")
	}
	much, nothing := limited(1_000_000_000), limited(0)
	beside(t, "getCurrentProject of a limited key, beside an unlimited one", "0.95", ours, ours, 200,
		always(getWith(much)), always(getWith(unlimited)))
	beside(t, "verifyKey of a limited key, beside an unlimited one", "0.95", ours, ours, 200,
		always(verifyWith(verifier, much)), always(verifyWith(verifier, unlimited)))
	beside(t, "a request that a limit refuses, beside one that it admits", "0.95", ours, ours, 429,
		always(getWith(nothing)), always(getWith(much)))
}
