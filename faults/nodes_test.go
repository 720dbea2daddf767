package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

func keyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, []byte(servertest.MasterKey), 0o600))
	return path
}

// forged returns a well-formed token that was never issued.
func forged() string {
	token, err := domain.RandomToken(domain.DefaultKeyPrefix, domain.Live)
	if err != nil {
		panic(err)
	}
	return token.Reveal()
}

func limitFiles(t testing.TB, pid int, bytes uint64) {
	t.Helper()
	must(t, unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: 1 << 40}, nil))
}

// TestRevocationReachesAllNodes: what one node revokes, it refuses immediately, and
// all others refuse within five seconds, with notifications, without them,
// and when transactions land in another order than they began in.
func TestRevocationReachesAllNodes(t *testing.T) {
	cluster := storetest.NewCluster(t, "max_connections=300")
	nowhere := "LATCHKEY_DATABASE_DIRECT=postgres://postgres@127.0.0.1:1/none?sslmode=disable"
	for name, c := range map[string]struct {
		env           []string
		held          bool
		count, atOnce int
	}{
		"notified":          {count: servertest.Size(20, 2000)},
		"not notified":      {count: servertest.Size(5, 2000), atOnce: servertest.Size(1, 8), env: []string{nowhere, "LATCHKEY_MIGRATE=check"}},
		"commits held back": {count: servertest.Size(5, 2000), atOnce: servertest.Size(1, 4), held: true},
	} {
		t.Run(name, func(t *testing.T) {
			database := cluster.Database(t)
			migrate(t, database)
			nodes := make([]*servertest.Server, servertest.Size(3, 4))
			for i := range nodes {
				nodes[i] = servertest.Start(t, database, c.env...)
			}
			p := servertest.NewTenant(t, nodes[0])
			if c.held {
				release := holdTransaction(t, database)
				defer release()
			}
			var took tally
			var next atomic.Int64
			var revoking sync.WaitGroup
			for range max(1, c.atOnce) {
				revoking.Go(func() {
					for i := int(next.Add(1)); i <= c.count && !t.Failed(); i = int(next.Add(1)) {
						took.add(servertest.Answer{Took: revokeSomewhere(t, p, nodes, i%len(nodes))})
					}
				})
			}
			revoking.Wait()
			show(t, "%d nodes, %d revocations: seen by all p50 %v, p99 %v, worst %v", len(nodes), c.count,
				took.percentile(.5), took.percentile(.99), took.percentile(1))
		})
	}
}

// revokeSomewhere revokes a key that all nodes know at one of them, and returns
// how long it took until all refused it.
func revokeSomewhere(t *testing.T, p *servertest.Tenant, nodes []*servertest.Server, at int) time.Duration {
	t.Helper()
	id, token := p.Key(nodes[0])
	for _, n := range nodes {
		p.Want(200, project(t.Context(), n, token))
	}
	p.Want(200, call(t.Context(), "POST", p.Keys(nodes[at])+"/"+id+"/revoke", p.Bearer, map[string]any{}))
	revoked := time.Now()
	if a := project(t.Context(), nodes[at], token); a.Status != 401 {
		t.Errorf("the node that revoked it answers %d", a.Status)
	}
	for _, n := range nodes {
		eventually(t, 5*time.Second, "the revocation is known", func() bool { return project(t.Context(), n, token).Status == 401 })
	}
	return time.Since(revoked)
}

// migrate brings a database up to date.
func migrate(t testing.TB, database string) {
	t.Helper()
	cmd := exec.Command(servertest.Binary, "migrate", "up", "--database", database)
	cmd.Env = append(os.Environ(), "LATCHKEY_MASTER_KEY="+servertest.MasterKey)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v: %s", err, out)
	}
}

// holdTransaction begins a transaction that changes another row of the changes,
// and keeps it open while others come and go.
func holdTransaction(t testing.TB, database string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN; INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, 'token', 'none')")
	must(t, err)
	return func() {
		_, err := conn.Exec(t.Context(), "COMMIT")
		must(t, err)
		must(t, conn.Close(t.Context()))
	}
}

// TestLateCommitIsSeen: a revocation whose transaction began before others and
// commits after them is not lost.
func TestLateCommitIsSeen(t *testing.T) {
	cluster := storetest.NewCluster(t)
	database := cluster.Database(t)
	n := servertest.Start(t, database)
	p := servertest.NewTenant(t, n)
	for range servertest.Size(2, 50) {
		id, token := p.Key(n)
		other, _ := p.Key(n)
		p.Want(200, project(t.Context(), n, token))
		conn, err := pgx.Connect(t.Context(), database)
		must(t, err)
		_, err = conn.Exec(t.Context(), "BEGIN; UPDATE api_keys SET revoked_at = 1, revision = revision + 1 WHERE id = '"+id+"'")
		must(t, err)
		// Younger transactions come and go, and the node hears of them.
		p.Want(200, call(t.Context(), "POST", p.Keys(n)+"/"+other+"/revoke", p.Bearer, map[string]any{}))
		time.Sleep(600 * time.Millisecond)
		p.Want(200, project(t.Context(), n, token))
		_, err = conn.Exec(t.Context(), "COMMIT")
		must(t, err)
		eventually(t, 5*time.Second, "the late commit is seen", func() bool { return project(t.Context(), n, token).Status == 401 })
		must(t, conn.Close(t.Context()))
	}
	show(t, "seen")
}

// TestCutOffNode: a node that cannot reach the database accepts what has been
// revoked elsewhere for no longer than the grace.
func TestCutOffNode(t *testing.T) {
	cluster := storetest.NewCluster(t)
	database := cluster.Database(t)
	via := newProxy(t, cluster.Socket())
	grace := servertest.Size(2*time.Second, 10*time.Second)
	whole := servertest.Start(t, database)
	cut := servertest.Start(t, via.dsn(database), "LATCHKEY_OUTAGE_GRACE="+grace.String())
	p := servertest.NewTenant(t, whole)
	id, token := p.Key(whole)
	p.Want(200, project(t.Context(), cut, token))
	via.set(swallows)
	severed := time.Now()
	p.Want(200, call(t.Context(), "POST", p.Keys(whole)+"/"+id+"/revoke", p.Bearer, map[string]any{}))
	var last time.Duration
	for time.Since(severed) < grace+3*time.Second {
		switch a := project(t.Context(), cut, token); {
		case a.Status == 200:
			last = time.Since(severed)
		case a.Status != 503 && a.Status != 401:
			t.Errorf("got %d", a.Status)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if last > grace+50*time.Millisecond { // an answer that was given within it takes a moment to arrive
		t.Errorf("a revoked key was accepted for %v, with a grace of %v", last, grace)
	}
	via.set(passes)
	eventually(t, 10*time.Second, "it is refused by name again", func() bool {
		return project(t.Context(), cut,
			token).Text("code") == "key_revoked"
	})
	show(t, "with a grace of %v the last stale answer came after %v", grace, last)
}

// TestRollingRestart: nodes that are replaced one by one, while requests come
// through a proxy that looks at readiness, fail none of them; nor does a change
// of the schema during that time, as the next version may bring it.
func TestRollingRestart(t *testing.T) {
	cluster := storetest.NewCluster(t)
	database := cluster.Database(t)
	nodes := make([]*servertest.Server, servertest.Size(2, 4))
	for i := range nodes {
		nodes[i] = servertest.Start(t, database)
	}
	p := servertest.NewTenant(t, nodes[0])
	_, token := p.Key(nodes[0])
	front := balance(t, nodes)
	requests, stop := load(t.Context(), 8, 2*time.Millisecond, func(ctx context.Context) servertest.Answer {
		return call(ctx, "GET", front+"/v1/project", token, nil)
	})
	misses, stopMisses := load(t.Context(), 1, 20*time.Millisecond, func(ctx context.Context) servertest.Answer {
		return call(ctx, "GET", front+"/v1/project", forged(), nil)
	})
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer conn.Close(t.Context())
	rounds := servertest.Size(1, 20)
	for round := range rounds {
		for i, n := range nodes {
			n.End()
			n.Run()
			time.Sleep(300 * time.Millisecond) // for the balancer to see
			for _, table := range []string{"api_keys", "api_key_secrets", "projects", "organizations", "sessions"} {
				_, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER TABLE %s ADD COLUMN later_%d_%d text NOT NULL DEFAULT ''", table,
					round, i))
				must(t, err)
			}
		}
		migrate(t, database)
	}
	stopMisses()
	stop()
	requests.only(t, 200)
	misses.only(t, 401)
	show(t, "%d restarts under load: %v, p99 %v", rounds*len(nodes), requests.count, requests.percentile(.99))
}

// balance starts a proxy before the nodes that sends requests to those that are
// ready.
func balance(t testing.TB, nodes []*servertest.Server) string {
	t.Helper()
	ready := make([]atomic.Bool, len(nodes))
	targets := make([]*url.URL, len(nodes))
	for i, n := range nodes {
		var err error
		targets[i], err = url.Parse(n.URL)
		must(t, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	for i := range nodes {
		target := targets[i].String()
		watching.Go(func() {
			for ctx.Err() == nil {
				ready[i].Store(call(ctx, "GET", target+"/readyz", "", nil).Status == 200)
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	var next atomic.Int64
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			for range 2 * len(nodes) {
				i := int(next.Add(1)) % len(nodes)
				if ready[i].Load() {
					r.SetURL(targets[i])
					return
				}
			}
			r.SetURL(targets[0])
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 100},
	})
	t.Cleanup(func() {
		server.Close()
		stop()
		watching.Wait()
	})
	eventually(t, 10*time.Second, "all nodes are ready", func() bool {
		for i := range ready {
			if !ready[i].Load() {
				return false
			}
		}
		return true
	})
	return server.URL
}

// TestColdHerd: a thousand concurrent requests for a key that is not in memory cost
// the database one look-up. It is a slow one, so that all come while the first
// still waits.
func TestColdHerd(t *testing.T) {
	cluster := storetest.NewCluster(t)
	database := cluster.Database(t)
	via := newProxy(t, cluster.Socket())
	n := servertest.Start(t, via.dsn(database))
	p := servertest.NewTenant(t, n)
	_, token := p.Key(n)
	before := n.Metric("latchkey_key_cache_loads_total")
	via.delay.Store(int64(400 * time.Millisecond))
	var herd sync.WaitGroup
	requests := &tally{}
	for range servertest.Size(200, 1000) {
		herd.Go(func() { requests.add(project(t.Context(), n, token)) })
	}
	herd.Wait()
	via.delay.Store(0)
	loads := n.Metric("latchkey_key_cache_loads_total") - before
	if loads != 1 {
		t.Errorf("%v look-ups, want 1", loads)
	}
	requests.only(t, 200)
	show(t, "%v look-up(s) for %d requests", loads, requests.total())
}

// TestCommandLineBesideServer: what the command line revokes in an SQLite
// database is refused by the server beside it within a second.
func TestCommandLineBesideServer(t *testing.T) {
	dsn := storetest.SQLite(t)
	n := servertest.Start(t, dsn)
	p := servertest.NewTenant(t, n)
	var worst time.Duration
	for range servertest.Size(2, 50) {
		id, token := p.Key(n)
		p.Want(200, project(t.Context(), n, token))
		cmd := exec.Command(servertest.Binary, "key", "revoke", "--database", dsn, id)
		cmd.Env = append(os.Environ(), "LATCHKEY_MASTER_KEY="+servertest.MasterKey)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("key revoke: %v: %s", err, out)
		}
		worst = max(worst, eventually(t, time.Second, "the server refuses it",
			func() bool { return project(t.Context(), n, token).Status == 401 }))
	}
	show(t, "refused after %v at most", worst)
}

// TestPooler: everything works behind PgBouncer in transaction mode, with an
// address that leads around it and without.
func TestPooler(t *testing.T) {
	cluster := storetest.NewCluster(t)
	for _, direct := range []bool{true, false} {
		t.Run(fmt.Sprintf("direct=%v", direct), func(t *testing.T) {
			database := cluster.Database(t)
			migrate(t, database)
			env := []string{}
			if direct {
				env = append(env, "LATCHKEY_DATABASE_DIRECT="+database)
			}
			pooled := pooler(t, cluster, database)
			a, b := servertest.Start(t, pooled, env...), servertest.Start(t, pooled, env...)
			p := servertest.NewTenant(t, a)
			var worst time.Duration
			for range servertest.Size(3, 100) {
				id, token := p.Key(a)
				p.Want(200, project(t.Context(), b, token))
				p.Want(200, call(t.Context(), "POST", p.Keys(a)+"/"+id+"/revoke", p.Bearer, map[string]any{}))
				worst = max(worst, eventually(t, 5*time.Second, "the other node refuses it",
					func() bool { return project(t.Context(), b, token).Status == 401 }))
			}
			show(t, "revocations seen by the other node after %v at most", worst)
		})
	}
}

// TestSoak: after a long time under load by several tenants, memory is where it
// was, and no tenant has seen anything of another.
func TestSoak(t *testing.T) {
	cluster := storetest.NewCluster(t)
	database := cluster.Database(t)
	nodes := make([]*servertest.Server, servertest.Size(2, 4))
	for i := range nodes {
		nodes[i] = servertest.Start(t, database)
	}
	type owned struct {
		*servertest.Tenant
		token string
	}
	tenants := make([]owned, 4)
	for i := range tenants {
		tenants[i].Tenant = servertest.NewTenant(t, nodes[0])
		_, tenants[i].token = tenants[i].Key(nodes[0], "keys:verify")
	}
	var turn atomic.Int64
	var strangers atomic.Int64
	requests, stop := load(t.Context(), 8, 5*time.Millisecond, func(ctx context.Context) servertest.Answer {
		i := int(turn.Add(1))
		n, mine, theirs := nodes[i%len(nodes)], tenants[i%len(tenants)], tenants[(i+1)%len(tenants)]
		if i%2 == 0 {
			a := project(ctx, n, mine.token)
			if a.Status == 200 && a.Text("id") != mine.Project {
				strangers.Add(1)
			}
			return a
		}
		a := call(ctx, "POST", n.URL+"/v1/keys/verify", mine.token, map[string]string{"key": theirs.token})
		if text, _ := json.Marshal(a.Body); a.Text("code") != "not_found" || strings.Contains(string(text), theirs.Project) {
			strangers.Add(1)
		}
		return a
	})
	lasting := servertest.Size(3*time.Second, 30*time.Minute)
	memory := func() (sum float64) {
		for _, n := range nodes {
			sum += n.Metric("process_resident_memory_bytes")
		}
		return sum / float64(len(nodes)) / (1 << 20)
	}
	time.Sleep(lasting / 5)
	early := memory()
	time.Sleep(lasting * 4 / 5)
	late := memory()
	stop()
	requests.only(t, 200)
	if n := strangers.Load(); n > 0 {
		t.Errorf("%d answers held something of another tenant", n)
	}
	if late > 1.5*early+20 {
		t.Errorf("memory went from %.0f to %.0f MiB", early, late)
	}
	show(t, "%v: %d requests by %d tenants on %d nodes; %.0f MiB a node early, %.0f late", lasting, requests.total(), len(tenants),
		len(nodes), early, late)
}
