package faults

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// written is what was acknowledged, and what was only tried.
type written struct {
	mu      sync.Mutex
	good    map[string]string // token by key id
	revoked map[string]string
	rotated map[string][2]string // old and new token, the old one with a grace
	acks    int
}

// write creates, rotates and revokes until the node is gone.
func (w *written) write(ctx context.Context, p *servertest.Tenant, n *servertest.Server) {
	for i := 0; ctx.Err() == nil; i++ {
		made := call(ctx, "POST", p.Keys(n), p.Bearer, map[string]any{"name": "k"})
		if made.Status != 201 {
			return
		}
		id, token := made.Text("key", "id"), made.Text("token")
		w.note(func() { w.good[id] = token })
		switch i % 3 {
		case 1:
			// Before it is acknowledged, it may or may not have happened.
			w.note(func() { delete(w.good, id) })
			if call(ctx, "POST", p.Keys(n)+"/"+id+"/revoke", p.Bearer, map[string]any{}).Status != 200 {
				return
			}
			w.note(func() { w.revoked[id] = token })
		case 2:
			w.note(func() { delete(w.good, id) })
			rotated := call(ctx, "POST", p.Keys(n)+"/"+id+"/rotate", p.Bearer, map[string]any{"grace_seconds": 3600})
			if rotated.Status != 200 {
				return
			}
			w.note(func() { w.rotated[id] = [2]string{token, rotated.Text("token")} })
		}
	}
}

func (w *written) note(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	w.acks++
}

// TestKilledWhileWriting: no acknowledged create or rotation is lost, no
// acknowledged revocation is undone, and no key is left half made, however often
// the process dies.
func TestKilledWhileWriting(t *testing.T) {
	for name, database := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			n := servertest.Start(t, dsn)
			w := &written{good: map[string]string{}, revoked: map[string]string{}, rotated: map[string][2]string{}}
			kills := servertest.Size(2, 50)
			p := servertest.NewTenant(t, n)
			for range kills {
				var writing sync.WaitGroup
				for range 4 {
					writing.Go(func() { w.write(t.Context(), p, n) })
				}
				time.Sleep(300 * time.Millisecond)
				n.Kill()
				writing.Wait()
				n.Run()
				// Access tokens outlive the process.
			}
			for id, token := range w.good {
				if a := project(t.Context(), n, token); a.Status != 200 {
					t.Errorf("the acknowledged key %s answers %d", id, a.Status)
				}
			}
			for id, token := range w.revoked {
				if a := project(t.Context(), n, token); a.Status != 401 || a.Text("code") != "key_revoked" {
					t.Errorf("the acknowledged revocation of %s is undone: %d", id, a.Status)
				}
			}
			for id, tokens := range w.rotated {
				for _, token := range tokens {
					if a := project(t.Context(), n, token); a.Status != 200 {
						t.Errorf("a token of the acknowledged rotation of %s answers %d %s", id, a.Status, a.Text("code"))
					}
				}
			}
			if broken, err := exec.Command(servertest.Binary, "doctor", "--database", dsn, "--master-key-file",
				keyFile(t)).CombinedOutput(); err != nil {
				t.Errorf("the database is not whole: %s", broken)
			}
			show(t, "%d kills, %d acknowledged writes: %d keys, %d rotated, %d revoked", kills, w.acks, len(w.good), len(w.rotated),
				len(w.revoked))
		})
	}
}

// TestDatabaseKilled: while PostgreSQL is away there are only honest 503s, and
// known keys are served; when it is back, everything is within ten seconds.
func TestDatabaseKilled(t *testing.T) {
	cluster := storetest.NewCluster(t)
	n := servertest.Start(t, cluster.Database(t))
	p := servertest.NewTenant(t, n)
	_, token := p.Key(n)
	project(t.Context(), n, token)
	kills := servertest.Size(1, 20)
	var slowest time.Duration
	reads, stopReads := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) servertest.Answer {
		return project(ctx, n,
			token)
	})
	writes, stopWrites := load(t.Context(), 2, 5*time.Millisecond, func(ctx context.Context) servertest.Answer {
		return call(ctx, "POST", p.Keys(n), p.Bearer, map[string]any{"name": "k"})
	})
	for range kills {
		time.Sleep(300 * time.Millisecond)
		cluster.Kill(t)
		time.Sleep(500 * time.Millisecond)
		cluster.Start(t)
		slowest = max(slowest, eventually(t, 10*time.Second, "writes are taken again", func() bool {
			return call(t.Context(), "POST", p.Keys(n), p.Bearer, map[string]any{"name": "after"}).Status == 201
		}))
	}
	stopReads()
	stopWrites()
	reads.only(t, 200)
	writes.only(t, 201, 503)
	show(t, "%d kills; reads %v, writes %v; writes taken again after %v at most", kills, reads.count, writes.count, slowest)
}

// TestOutage: with the database out of reach, known keys are served within the
// grace and refused with 503 after it, unknown ones and writes get 503 with
// Retry-After immediately, readiness reports it, and everything recovers by itself.
func TestOutage(t *testing.T) {
	cluster := storetest.NewCluster(t)
	away, grace := servertest.Size(3*time.Second, 60*time.Second), servertest.Size(30*time.Second, 90*time.Second)
	for name, state := range map[string]int32{"refused": refuses, "swallowed": swallows} {
		t.Run(name, func(t *testing.T) {
			database := cluster.Database(t)
			via := newProxy(t, cluster.Socket())
			n := servertest.Start(t, via.dsn(database), "LATCHKEY_OUTAGE_GRACE="+grace.String())
			p := servertest.NewTenant(t, n)
			_, known := p.Key(n)
			_, unknown := p.Key(n)
			project(t.Context(), n, known)
			reads, stop := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) servertest.Answer {
				return project(ctx, n,
					known)
			})
			via.set(state)
			eventually(t, 5*time.Second, "readiness says degraded", func() bool {
				a := call(t.Context(), "GET", n.URL+"/readyz", "", nil)
				return a.Status == 200 && a.Text("status") == "degraded"
			})
			for what, a := range map[string]servertest.Answer{
				"an unknown key": project(t.Context(), n, unknown),
				"a write":        call(t.Context(), "POST", p.Keys(n), p.Bearer, map[string]any{"name": "k"}),
			} {
				if a.Status != 503 || a.RetryAfter == "" {
					t.Errorf("%s got %d with Retry-After %q, want 503 with one", what, a.Status, a.RetryAfter)
				}
				if a.Took > 5*time.Second { // half of what a transaction may take; a busy machine needs a second
					t.Errorf("%s waited %v for its 503, instead of getting it immediately", what, a.Took)
				}
			}
			time.Sleep(away)
			via.set(passes)
			back := eventually(t, 10*time.Second, "an unknown key is served again",
				func() bool { return project(t.Context(), n, unknown).Status == 200 })
			stop()
			if good := float64(reads.of(200)) / float64(reads.total()); good < 0.999 {
				t.Errorf("%.3f %% of known keys were served, want 99.9", 100*good)
			}
			reads.only(t, 200, 503)
			show(t, "%v away of a grace of %v: known keys %v, p99 %v; back after %v", away, grace, reads.count, reads.percentile(.99), back)
		})
	}
	t.Run("past the grace", func(t *testing.T) {
		database := cluster.Database(t)
		via := newProxy(t, cluster.Socket())
		grace := servertest.Size(2*time.Second, 10*time.Second)
		n := servertest.Start(t, via.dsn(database), "LATCHKEY_OUTAGE_GRACE="+grace.String())
		p := servertest.NewTenant(t, n)
		_, known := p.Key(n)
		project(t.Context(), n, known)
		via.set(swallows)
		ended := eventually(t, grace+5*time.Second, "known keys get 503",
			func() bool { return project(t.Context(), n, known).Status == 503 })
		for range 20 {
			if a := project(t.Context(), n, known); a.Status != 503 || a.RetryAfter == "" {
				t.Errorf("got %d with Retry-After %q past the grace", a.Status, a.RetryAfter)
			}
		}
		if a := call(t.Context(), "GET", n.URL+"/readyz", "", nil); a.Status != 503 {
			t.Errorf("readiness says %d past the grace", a.Status)
		}
		if a := call(t.Context(), "GET", n.URL+"/healthz", "", nil); a.Status != 200 {
			t.Errorf("liveness says %d: a restart would not help", a.Status)
		}
		via.set(passes)
		eventually(t, 10*time.Second, "it is served again", func() bool { return project(t.Context(), n, known).Status == 200 })
		show(t, "a grace of %v ended after %v", grace, ended)
	})
}

// TestSlowDatabase: a database that takes two seconds for everything does not
// slow requests of known keys, and requests that it cannot serve get a 503.
func TestSlowDatabase(t *testing.T) {
	cluster := storetest.NewCluster(t)
	database := cluster.Database(t)
	via := newProxy(t, cluster.Socket())
	n := servertest.Start(t, via.dsn(database), "LATCHKEY_OUTAGE_GRACE=5m")
	p := servertest.NewTenant(t, n)
	_, known := p.Key(n)
	project(t.Context(), n, known)
	via.delay.Store(int64(2 * time.Second))
	reads, stop := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) servertest.Answer { return project(ctx, n, known) })
	misses, stopMisses := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) servertest.Answer {
		return project(ctx, n, forged())
	})
	lists, stopLists := load(t.Context(), servertest.Size(600, 1000), 100*time.Millisecond, func(ctx context.Context) servertest.Answer {
		return call(ctx, "GET", p.Keys(n), p.Bearer, nil)
	})
	time.Sleep(servertest.Size(3*time.Second, 30*time.Second))
	stopLists()
	stopMisses()
	stop()
	reads.only(t, 200)
	misses.only(t, 401, 503)
	lists.only(t, 200, 503)
	if lists.of(503) == 0 {
		t.Error("no request was refused because the database has no time")
	}
	show(t, "known keys p50 %v, p99 %v; unknown %v; lists %v after %v at most", reads.percentile(.5), reads.percentile(.99), misses.count,
		lists.count, lists.percentile(1).Round(time.Millisecond))
}

// TestDiskFull: when the disk is full, SQLite's verification continues and writes
// get 503; with free space again, both work. At full size it is a file system in
// memory, which only root may mount; otherwise a limit on the size of files is used
// instead.
func TestDiskFull(t *testing.T) {
	dsn := storetest.SQLite(t)
	fill := func(n *servertest.Server) { limitFiles(t, n.PID(), 1<<10) }
	empty := func(n *servertest.Server) { limitFiles(t, n.PID(), 1<<40) }
	if *servertest.Full {
		dsn, fill, empty = smallDisk(t)
	}
	n := servertest.Start(t, dsn)
	p := servertest.NewTenant(t, n)
	_, known := p.Key(n)
	_, unknown := p.Key(n)
	project(t.Context(), n, known)
	fill(n)
	write := func() servertest.Answer {
		return call(t.Context(), "POST", p.Keys(n), p.Bearer, map[string]any{"name": strings.Repeat("n", 100)})
	}
	eventually(t, 30*time.Second, "writes are refused", func() bool { return write().Status == 503 }) // there may be some room left
	writes := &tally{}
	for range 20 {
		writes.add(write())
	}
	for what, token := range map[string]string{"a known key": known, "a key that must be looked up": unknown} {
		if a := project(t.Context(), n, token); a.Status != 200 {
			t.Errorf("%s got %d while the disk is full", what, a.Status)
		}
	}
	writes.only(t, 503)
	empty(n)
	back := eventually(t, 10*time.Second, "writes are taken again", func() bool { return write().Status == 201 })
	show(t, "writes %v while full; taken again after %v", writes.count, back)
}

// smallDisk returns a database on a disk of its own, and what fills and empties
// that.
func smallDisk(t *testing.T) (dsn string, fill, empty func(*servertest.Server)) {
	t.Helper()
	dir := t.TempDir()
	must(t, unix.Mount("none", dir, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	return "sqlite:" + filepath.Join(dir, "latchkey.db"), func(*servertest.Server) {
		err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600) // as much of it as there is room for
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("the disk does not get full: %v", err)
		}
	}, func(*servertest.Server) { must(t, os.Remove(ballast)) }
}
