package bench

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
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

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
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
func (p process) cpu(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	must(t, err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, err := strconv.Atoi(fields[11])
	must(t, err)
	system, err := strconv.Atoi(fields[12])
	must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

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
				line, err := readAnswer(r)
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

// readAnswer reads one answer and returns the start of its status line.
func readAnswer(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	status := slices.Clone(first[:min(len(first), 13)])
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return status, err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return status, err
			}
		}
	}
	_, err = r.Discard(length)
	return status, err
}

func request(method, path string, headers map[string]string, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	for name, value := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
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
			get := request("GET", "/v1/project", map[string]string{"X-Api-Key": token}, "")
			question := fmt.Sprintf(`{"key":%q,"scopes":["documents:read"]}`, token)
			verify := request("POST", "/v1/keys/verify", map[string]string{"X-Api-Key": verifier}, question)
			byUser := map[string]string{"Authorization": tenant.Bearer}
			if env != nil {
				beside(t, "getCurrentProject, warm"+name, "0.80", ours, floor, 200, always(get), always(get))
				return
			}
			beside(t, "getCurrentProject, warm", "0.90, p99 1.5", ours, floor, 200, always(get), always(get))
			beside(t, "verifyKey, warm", "0.90", ours, floor, 200, always(verify), always(verify))
			beside(t, "verifyKey by a user, warm", "0.75", ours, floor, 200, always(request("POST", "/v1/keys/verify", byUser,
				fmt.Sprintf(`{"key":%q,"project_id":%q}`, token, tenant.Project))), always(verify))
			beside(t, "getProject by a user, warm, generated", "0.50", ours, floor, 200,
				always(request("GET", "/v1/projects/"+tenant.Project, byUser, "")), always(get))
			before := server.Metric("latchkey_key_cache_loads_total")
			beside(t, "a mistyped token", "0.90, no SQL", ours, floor, 401,
				always(request("GET", "/v1/project", map[string]string{"X-Api-Key": token[:len(token)-1] + "!"}, "")), always(get))
			if after := server.Metric("latchkey_key_cache_loads_total"); after != before {
				t.Errorf("mistyped tokens caused %v look-ups", after-before)
			}
		})
	}
}

// TestCold measures keys that are not in memory beside what pgbench gets out of
// the same server for one row by an index.
func TestCold(t *testing.T) {
	cluster := storetest.NewCluster(t, "shared_buffers=2GB", "max_connections=200") // which holds all of it
	database := cluster.Database(t)
	server := servertest.Start(t, database)
	servertest.NewTenant(t, server).Key(server, "documents:read")
	keys := servertest.Size(2000, 1_000_000)
	tokens := manyKeys(t, database, keys)
	store, err := repository.Open(t.Context(), database)
	must(t, err)
	defer store.Close()
	var path, whole, over, floors []float64
	lookups := func(read func(domain.TokenID) error) float64 {
		began := time.Now()
		n := parallel(16, servertest.Size(100*time.Millisecond, 5*time.Second), func(j int) {
			if err := read(tokens[j%len(tokens)].ID()); err != nil {
				t.Error(err)
			}
		})
		return float64(n) / time.Since(began).Seconds()
	}
	for i := range rounds() {
		floor := pgbench(t, cluster, database)
		path = append(path, lookups(func(id domain.TokenID) error {
			_, _, err := store.KeyByToken(t.Context(), id)
			return err
		})/floor)
		whole = append(whole, lookups(func(id domain.TokenID) error {
			_, _, err := store.CallingKey(t.Context(), id)
			return err
		})/floor)
		half := len(tokens) / rounds()
		part := tokens[i*half : (i+1)*half] // each only once, so that none is in memory
		lasting := servertest.Size(50*time.Millisecond, 4*time.Second)
		cold := load(t, processOf(server), lasting, 200, func(j int) []byte {
			return request("GET", "/v1/project", map[string]string{"X-Api-Key": part[j%len(part)].Reveal()}, "")
		})
		over, floors = append(over, cold.rate/floor), append(floors, floor)
	}
	floor, _ := median(floors)
	say := func(what, goal, note string, ratios []float64) {
		r, spread := median(ratios)
		add(row{what, fmt.Sprintf("%.0f/s", r*floor), fmt.Sprintf("%.0f/s", floor), fmt.Sprintf("%.2f (%.2f)", r, spread), goal, note})
	}
	say(fmt.Sprintf("look-up, PostgreSQL, %d keys", keys), "0.50", "floor: pgbench -S -M prepared, 16 clients", path)
	say("look-up with project and organization", "", "where they are not in memory", whole)
	say("cold request over HTTP", "0.25", "its use is written, too", over)
}

// TestColdSQLite measures look-ups in an SQLite file beside the same driver reading
// one row by its key.
func TestColdSQLite(t *testing.T) {
	const readers = 8 // as the store has
	address := storetest.SQLite(t)
	store := storetest.New(t, address)
	newProject(t, newApp(t, store))
	db, err := sql.Open("sqlite", strings.TrimPrefix(address, "sqlite:"))
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
	keys := servertest.Size(1000, 200_000)
	for _, statement := range []string{
		`INSERT INTO api_keys (id, organization_id, project_id, name, prefix, environment, scopes, external_id, metadata, created_at,
			created_by_kind, created_by_id, created_by_name, revoked_reason, revision)
		SELECT printf('key_%026d', n.i), p.organization_id, p.id, 'a key', printf('lk_live_%012d', n.i), 'live', '["documents:read"]', '', '{}',
			p.created_at, 'user', 'usr_01jpbsqxdefghjkmnpqrstvwxy', 'ada@example.com', '', 1 FROM n, projects AS p`,
		`INSERT INTO api_key_secrets (token_id, project_id, key_id, prefix, algorithm, pepper_version, digest, created_at)
		SELECT printf('%012d', n.i), p.id, printf('key_%026d', n.i), printf('lk_live_%012d', n.i), 'hmac-sha256', 1, zeroblob(32),
			p.created_at FROM n, projects AS p`,
	} {
		_, err := db.ExecContext(t.Context(), "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "+statement, keys)
		must(t, err)
	}
	one, err := db.PrepareContext(t.Context(), "SELECT digest FROM api_key_secrets WHERE token_id = ?")
	must(t, err)
	rate := func(read func(domain.TokenID) error) float64 {
		began := time.Now()
		n := parallel(readers, servertest.Size(50*time.Millisecond, 3*time.Second), func(i int) {
			must(t, read(domain.TokenID(fmt.Sprintf("%012d", i*7919%keys))))
		})
		return float64(n) / time.Since(began).Seconds()
	}
	var ratio, floors []float64
	for range rounds() {
		floor := rate(func(id domain.TokenID) error {
			var digest []byte
			return one.QueryRowContext(t.Context(), id).Scan(&digest)
		})
		ours := rate(func(id domain.TokenID) error {
			_, _, err := store.KeyByToken(t.Context(), id)
			return err
		})
		ratio, floors = append(ratio, ours/floor), append(floors, floor)
	}
	r, spread := median(ratio)
	floor, _ := median(floors)
	add(row{fmt.Sprintf("look-up, SQLite, %d keys", keys), fmt.Sprintf("%.0f/s", r*floor), fmt.Sprintf("%.0f/s", floor),
		fmt.Sprintf("%.2f (%.2f)", r, spread), "0.45", "floor: one row by its key, the same driver"})
}

// manyKeys copies a key many times, with tokens of their own.
func manyKeys(t testing.TB, database string, n int) []domain.Token {
	t.Helper()
	mint, err := service.Minter(masterKey)
	must(t, err)
	tokens, err := storetest.CopyKeys(t, database, n, mint)
	must(t, err)
	return tokens
}

func parallel(workers int, lasting time.Duration, work func(i int)) int {
	var done atomic.Int64
	began := time.Now()
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for time.Since(began) < lasting {
				work(int(done.Add(1)))
			}
		})
	}
	working.Wait()
	return int(done.Load())
}

// pgbench returns how many rows a second pgbench reads by their key.
func pgbench(t testing.TB, c *storetest.Cluster, database string) float64 {
	t.Helper()
	name := regexp.MustCompile(`/(test_\d+)`).FindStringSubmatch(database)[1]
	tool := func(args ...string) string {
		cmd := exec.Command(c.Program("pgbench"), append(args, "-h", filepath.Dir(c.Socket()), "-U", "postgres", name)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("pgbench: %v: %s", err, out)
		}
		return string(out)
	}
	tool("-i", "-q", "-s", servertest.Size("1", "10"), "-I", "dtgp")
	// Counted and not timed in the short form: in a second, a busy machine may do nothing.
	out := tool(append([]string{"-S", "-M", "prepared", "-c", "16", "-j", "2"},
		servertest.Size([]string{"-t", "20"}, []string{"-T", "5"})...)...)
	found := regexp.MustCompile(`tps = ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatal(out)
	}
	rate, err := strconv.ParseFloat(found[1], 64)
	must(t, err)
	return rate
}

// TestStart measures the time from nothing to ready on an empty SQLite.
func TestStart(t *testing.T) {
	var took []float64
	for range rounds() {
		began := time.Now()
		p := servertest.Start(t, storetest.SQLite(t))
		took = append(took, time.Since(began).Seconds())
		p.Kill()
	}
	s, spread := median(took)
	add(row{"start, empty SQLite, to ready", fmt.Sprintf("%.2f s", s), "", fmt.Sprintf("(%.2f)", spread), "0.5 s", ""})
}

// TestGrowth measures warm requests with few and with many keys in the table.
func TestGrowth(t *testing.T) {
	cluster := storetest.NewCluster(t, "shared_buffers=256MB")
	floor := bare(t)
	get := request("GET", "/v1/project", nil, "")
	for _, keys := range []int{servertest.Size(10, 1000), servertest.Size(100, 100_000), servertest.Size(1000, 1_000_000)} {
		database := cluster.Database(t)
		ours := servertest.Start(t, database)
		servertest.NewTenant(t, ours).Key(ours, "documents:read")
		tokens := manyKeys(t, database, keys)
		hot := tokens[:min(len(tokens), 100)]
		beside(t, fmt.Sprintf("getCurrentProject, warm, %d keys in the table", keys), "flat", processOf(ours), floor, 200,
			func(i int) []byte {
				return request("GET", "/v1/project", map[string]string{"X-Api-Key": hot[i%len(hot)].Reveal()}, "")
			}, always(get))
	}
}

// TestManyCached measures the slowest requests beside a million keys in memory.
func TestManyCached(t *testing.T) {
	cluster := storetest.NewCluster(t, "shared_buffers=256MB")
	database := cluster.Database(t)
	ours, empty := servertest.Start(t, database), servertest.Start(t, database)
	_, token := servertest.NewTenant(t, ours).Key(ours, "documents:read")
	tokens := manyKeys(t, database, servertest.Size(1000, 1_000_000))
	before := ours.Metric("go_memstats_heap_alloc_bytes")
	fill(t, ours.Address, tokens)
	kept := ours.Metric("latchkey_key_cache_keys")
	get := always(request("GET", "/v1/project", map[string]string{"X-Api-Key": token}, ""))
	lasting := servertest.Size(50*time.Millisecond, 5*time.Second)
	var ratio []float64
	for range rounds() {
		ratio = append(ratio, load(t, processOf(ours), lasting, 200, get).p99.Seconds()/load(t, processOf(empty), lasting, 200,
			get).p99.Seconds())
	}
	r, spread := median(ratio)
	add(row{fmt.Sprintf("p99 with %.0f keys cached", kept), "", "with none", fmt.Sprintf("%.2f (%.2f)", r, spread), "1.5",
		fmt.Sprintf("%.0f bytes of heap a key", (ours.Metric("go_memstats_heap_alloc_bytes")-before)/kept)})
}

// fill asks for every token once.
func fill(t testing.TB, address string, tokens []domain.Token) {
	t.Helper()
	var next atomic.Int64
	var working sync.WaitGroup
	for range 32 {
		working.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			for i := int(next.Add(1)) - 1; i < len(tokens); i = int(next.Add(1)) - 1 {
				_, writeErr := conn.Write(request("GET", "/v1/project", map[string]string{"X-Api-Key": tokens[i].Reveal()}, ""))
				_, readErr := readAnswer(r)
				if err := errors.Join(writeErr, readErr); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
}

const password = "seven violet lamps at the harbour"

func newApp(t testing.TB, store *repository.Store) *service.App {
	t.Helper()
	app, err := service.New(t.Context(), service.Options{Store: store, MasterKey: masterKey, Issuer: "http://localhost"})
	must(t, err)
	return app
}

// newProject returns the project of a person who has just signed up.
func newProject(t testing.TB, app *service.App) *service.Project {
	t.Helper()
	ctx := t.Context()
	in, err := app.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ada@example.com", Password: password})
	must(t, err)
	user, err := app.AuthenticateUser(ctx, in.AccessToken)
	must(t, err)
	ada := domain.NewPrincipal(nil, user, domain.Origin{})
	organization, err := app.CreateOrganization(ctx, ada, domain.OrganizationSpec{Name: "Acme"})
	must(t, err)
	handle, err := app.Organization(ctx, ada, organization.ID)
	must(t, err)
	made, err := handle.CreateProject(ctx, domain.ProjectSpec{Name: "API"})
	must(t, err)
	project, err := app.Project(ctx, ada, made.ID)
	must(t, err)
	return project
}

// BenchmarkProveKey is from a token to who is calling, in process and warm.
func BenchmarkProveKey(b *testing.B) {
	app := newApp(b, storetest.New(b, storetest.SQLite(b)))
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { app.Run(ctx) })
	defer running.Wait()
	defer stop()
	for app.Sync() != service.InSync {
		time.Sleep(time.Millisecond)
	}
	project := newProject(b, app)
	_, token, err := project.CreateKey(ctx, domain.KeySpec{Name: "k", Scopes: []domain.Scope{domain.KeysVerify}})
	must(b, err)
	in, err := app.LogIn(ctx, domain.Origin{}, "ada@example.com", password)
	must(b, err)
	text := token.Reveal()
	prove := func() {
		key, err := app.ProveKey(ctx, text, nil)
		if caller := domain.ProvenPrincipal(key, nil, domain.Origin{}); err != nil || caller.IsSystem() {
			b.Fatal(err)
		}
	}
	prove()
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			prove()
		}
		if got := testing.AllocsPerRun(100, prove); got != 0 {
			b.Errorf("got %v allocations, want 0", got)
		}
	})
	b.Run("user", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := app.AuthenticateUser(ctx, in.AccessToken)
			must(b, err)
		}
	})
}
