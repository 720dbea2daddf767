package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// pair is a primary and a standby that streams from it.
type pair struct {
	*testing.T

	primary *storetest.Cluster
	standby string // the directory of its socket
	data    string
}

// newPair starts a primary with an empty database called keys, and its standby.
func newPair(t *testing.T, synchronous bool) *pair {
	t.Helper()
	p := &pair{T: t, primary: storetest.NewCluster(t)}
	dir := filepath.Dir(p.primary.Socket())
	p.standby, p.data = filepath.Join(dir, "standby"), filepath.Join(dir, "copy")
	p.execute(dir, "CREATE DATABASE keys")
	p.run("mkdir", "-m", "700", p.standby)
	p.run(p.primary.Program("pg_basebackup"), "-h", dir, "-U", "postgres", "-D", p.data, "-R", "-X", "stream", "-c", "fast")
	p.run(p.primary.Program("pg_ctl"), "-D", p.data, "-s", "-w", "-l", filepath.Join(p.standby, "log"), "-o", "-k "+p.standby, "start")
	t.Cleanup(func() { p.run(p.primary.Program("pg_ctl"), "-D", p.data, "-s", "-w", "-m", "immediate", "stop") })
	if synchronous {
		p.execute(dir, "ALTER SYSTEM SET synchronous_standby_names = '*'")
		p.execute(dir, "SELECT pg_reload_conf()")
		eventually(t, 10*time.Second, "the standby is synchronous", func() bool {
			return p.count(dir, "SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1
		})
	}
	return p
}

// run runs a program as the owner of the servers.
func (p *pair) run(name string, args ...string) {
	p.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(p.Context()), name, args...)
	cmd.Dir = os.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.primary.Owner()}
	if out, err := cmd.CombinedOutput(); err != nil {
		p.Fatalf("%s: %v: %s", name, err, out)
	}
}

// kill ends all processes of the primary, as a power failure of its machine does. Its
// sessions would otherwise commit for a moment after the postmaster is gone.
func (p *pair) kill() {
	p.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(p.primary.Socket()), "data", "postmaster.pid"))
	must(p, err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	must(p, err)
	must(p, syscall.Kill(pid, syscall.SIGSTOP)) // it starts no more of them
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	must(p, err)
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
	p.primary.Kill(p)
}

func (p *pair) connect(socket, database string) *pgx.Conn {
	p.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(p.Context()), "host="+socket+" user=postgres dbname="+database)
	must(p, err)
	p.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (p *pair) execute(socket, statement string) {
	p.Helper()
	_, err := p.connect(socket, "postgres").Exec(p.Context(), statement)
	must(p, err)
}

func (p *pair) count(socket, query string, args ...any) (n int) {
	p.Helper()
	must(p, p.connect(socket, "keys").QueryRow(p.Context(), query, args...).Scan(&n))
	return n
}

// TestFailOver: the primary is killed under load and the standby promoted. Nodes with
// both hosts in LATCHKEY_DATABASE go to the new primary by themselves, known keys are
// served all the time, and a node answers from what the new primary has. If the standby
// is synchronous, nothing that was acknowledged is lost.
func TestFailOver(t *testing.T) {
	for name, synchronous := range map[string]bool{"asynchronous": false, "synchronous": true} {
		t.Run(name, func(t *testing.T) {
			for range servertest.Size(1, 10) {
				failOver(t, synchronous)
			}
		})
	}
}

func failOver(t *testing.T, synchronous bool) {
	p := newPair(t, synchronous)
	primary := filepath.Dir(p.primary.Socket())
	database := "postgres://postgres@localhost/keys?sslmode=disable&target_session_attrs=read-write&host=" + primary + "," + p.standby
	nodes := []*servertest.Server{servertest.Start(t, database), servertest.Start(t, database)}
	tenant := servertest.NewTenant(t, nodes[0])
	_, known := tenant.Key(nodes[0])
	for _, n := range nodes {
		tenant.Want(200, project(t.Context(), n, known))
	}
	var mu sync.Mutex
	made := map[string]string{} // acknowledged keys by id, and their tokens
	var last, first time.Time   // acknowledged writes before and after the fault
	var killed time.Time
	var next int
	writes, stopWriting := load(t.Context(), 4, 2*time.Millisecond, func(ctx context.Context) servertest.Answer {
		mu.Lock()
		next++
		n := nodes[next%2]
		mu.Unlock()
		a := call(ctx, "POST", tenant.Keys(n), tenant.Bearer, map[string]any{"name": "k", "scopes": []string{}})
		mu.Lock()
		defer mu.Unlock()
		if a.Status == 201 {
			made[a.Text("key", "id")] = a.Text("token")
			if last = time.Now(); first.IsZero() && !killed.IsZero() && last.Sub(killed) > a.Took {
				first = last
			}
		}
		return a
	})
	reads, stopReading := load(t.Context(), 2, 2*time.Millisecond, func(ctx context.Context) servertest.Answer {
		mu.Lock()
		next++
		n := nodes[next%2]
		mu.Unlock()
		return project(ctx, n, known)
	})
	eventually(t, 30*time.Second, "keys are made", func() bool { return writes.of(201) > servertest.Size(100, 1000) })
	p.kill()
	mu.Lock()
	killed = time.Now()
	mu.Unlock()
	p.execute(p.standby, "SELECT pg_promote()")
	eventually(t, 30*time.Second, "keys are made on the new primary", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !first.IsZero()
	})
	stopWriting()
	stopReading()
	reads.only(t, 200)
	writes.only(t, 201, 503, 0) // 0: the connection of a client ended
	lost := 0
	rows := p.connect(p.standby, "keys")
	for id, token := range made {
		var there bool
		must(t, rows.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM api_keys WHERE id = $1)", id).Scan(&there))
		want := 200
		if !there {
			lost, want = lost+1, 401
		}
		for _, n := range nodes {
			eventually(t, 10*time.Second, "a node answers as the new primary has it", func() bool {
				return project(t.Context(), n, token).Status == want
			})
		}
	}
	if synchronous && lost > 0 {
		t.Errorf("%d of %d acknowledged keys are lost, though the standby is synchronous", lost, len(made))
	}
	show(t, "%d of %d acknowledged writes lost; %d writes refused with 503; the first write %v after the kill; "+
		"%d requests of a known key: all 200", lost, len(made), writes.of(503), first.Sub(killed).Round(time.Millisecond), reads.total())
	for _, n := range nodes {
		n.Kill()
	}
}
