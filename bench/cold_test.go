package bench

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// TestCold measures keys that are not in memory beside what pgbench gets out of
// the same server for one row by an index.
func TestCold(t *testing.T) {
	cluster := storetest.NewCluster(t, "shared_buffers=2GB", "max_connections=200") // which holds all of it
	database := cluster.Database(t)
	server := servertest.Start(t, database)
	servertest.NewTenant(t, server).Key(server, "documents:read")
	keys := servertest.Size(2000, 1_000_000)
	tokens := manyKeys(t, database, keys)
	store, err := repository.Open(t.Context(), database, repository.Options{})
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
			return servertest.Request("GET", "/v1/project", map[string]string{"X-Api-Key": part[j%len(part)].Reveal()}, "")
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
		SELECT printf('key_%026d', n.i), p.organization_id, p.id, 'a key', printf('lk_live_%012d', n.i), 'live',
			'["documents:read"]', '', '{}', p.created_at, 'user', 'usr_01jpbsqxdefghjkmnpqrstvwxy', 'ada@example.com', '',
			1 FROM n, projects AS p`,
		`INSERT INTO api_key_secrets (token_id, project_id, key_id, prefix, algorithm, pepper_version, digest, created_at)
		SELECT printf('%012d', n.i), p.id, printf('key_%026d', n.i), printf('lk_live_%012d', n.i), 'hmac-sha256', 1, zeroblob(32),
			p.created_at FROM n, projects AS p`,
	} {
		_, err := db.ExecContext(t.Context(), "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "+
			statement, keys)
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
	get := servertest.Request("GET", "/v1/project", nil, "")
	for _, keys := range []int{servertest.Size(10, 1000), servertest.Size(100, 100_000), servertest.Size(1000, 1_000_000)} {
		database := cluster.Database(t)
		ours := servertest.Start(t, database)
		servertest.NewTenant(t, ours).Key(ours, "documents:read")
		tokens := manyKeys(t, database, keys)
		hot := tokens[:min(len(tokens), 100)]
		beside(t, fmt.Sprintf("getCurrentProject, warm, %d keys in the table", keys), "flat", processOf(ours), floor, 200,
			func(i int) []byte {
				return servertest.Request("GET", "/v1/project", map[string]string{"X-Api-Key": hot[i%len(hot)].Reveal()}, "")
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
	get := always(servertest.Request("GET", "/v1/project", map[string]string{"X-Api-Key": token}, ""))
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
				_, writeErr := conn.Write(servertest.Request("GET", "/v1/project", map[string]string{"X-Api-Key": tokens[i].Reveal()}, ""))
				_, readErr := servertest.ReadAnswer(r)
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

// newProject returns the project of a person who has just signed up, and the cookie
// of the person's session.
func newProject(t testing.TB, app *service.App) (project *service.Project, cookie string) {
	t.Helper()
	ctx := t.Context()
	in, err := app.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ada@example.com", Password: password})
	must(t, err)
	user, err := app.ProveUser(ctx, in.AccessToken)
	must(t, err)
	ada := domain.NewPrincipal(nil, user, domain.Origin{})
	organization, err := app.CreateOrganization(ctx, ada, domain.OrganizationSpec{Name: "Acme"})
	must(t, err)
	handle, err := app.Organization(ctx, ada, organization.ID)
	must(t, err)
	made, err := handle.CreateProject(ctx, domain.ProjectSpec{Name: "API"})
	must(t, err)
	project, err = app.Project(ctx, ada, made.ID)
	must(t, err)
	return project, in.Cookie
}

// BenchmarkProveKey is from a token to who is calling, in process and warm, and
// counts the use.
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
	project, _ := newProject(b, app)
	_, token, err := project.CreateKey(ctx, domain.KeySpec{Name: "k", Scopes: []domain.Scope{domain.KeysVerify}})
	must(b, err)
	in, err := app.LogIn(ctx, domain.Origin{}, "ada@example.com", password)
	must(b, err)
	text := token.Reveal()
	prove := func() {
		key, err := app.ProveKey(ctx, text, nil)
		app.CountUse(key)
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
			_, err := app.ProveUser(ctx, in.AccessToken)
			must(b, err)
		}
	})
}
