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
func (w *written) write(ctx context.Context, p *tenant, n *node) {
	for i := 0; ctx.Err() == nil; i++ {
		made := call(ctx, "POST", p.keys(n), p.jwt, map[string]any{"name": "k"})
		if made.status != 201 {
			return
		}
		id, token := made.text("key", "id"), made.text("token")
		w.note(func() { w.good[id] = token })
		switch i % 3 {
		case 1:
			// Before it is acknowledged, it may or may not have happened.
			w.note(func() { delete(w.good, id) })
			if call(ctx, "POST", p.keys(n)+"/"+id+"/revoke", p.jwt, map[string]any{}).status != 200 {
				return
			}
			w.note(func() { w.revoked[id] = token })
		case 2:
			w.note(func() { delete(w.good, id) })
			rotated := call(ctx, "POST", p.keys(n)+"/"+id+"/rotate", p.jwt, map[string]any{"grace_seconds": 3600})
			if rotated.status != 200 {
				return
			}
			w.note(func() { w.rotated[id] = [2]string{token, rotated.text("token")} })
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
			n := start(t, dsn)
			w := &written{good: map[string]string{}, revoked: map[string]string{}, rotated: map[string][2]string{}}
			kills := size(2, 50)
			p := newTenant(t, n)
			for range kills {
				var writing sync.WaitGroup
				for range 4 {
					writing.Go(func() { w.write(t.Context(), p, n) })
				}
				time.Sleep(300 * time.Millisecond)
				n.kill()
				writing.Wait()
				n.run()
				// Access tokens outlive the process.
			}
			for id, token := range w.good {
				if a := project(t.Context(), n, token); a.status != 200 {
					t.Errorf("the acknowledged key %s answers %d", id, a.status)
				}
			}
			for id, token := range w.revoked {
				if a := project(t.Context(), n, token); a.status != 401 || a.text("code") != "key_revoked" {
					t.Errorf("the acknowledged revocation of %s is undone: %d", id, a.status)
				}
			}
			for id, tokens := range w.rotated {
				for _, token := range tokens {
					if a := project(t.Context(), n, token); a.status != 200 {
						t.Errorf("a token of the acknowledged rotation of %s answers %d %s", id, a.status, a.text("code"))
					}
				}
			}
			if broken, err := exec.Command(binary, "doctor", "--database", dsn, "--master-key-file", keyFile(t)).CombinedOutput(); err != nil {
				t.Errorf("the database is not whole: %s", broken)
			}
			show(t, "%d kills, %d acknowledged writes: %d keys, %d rotated, %d revoked", kills, w.acks, len(w.good), len(w.rotated), len(w.revoked))
		})
	}
}

// TestDatabaseKilled: while PostgreSQL is away there are only honest 503s, and
// known keys are served; when it is back, everything is within ten seconds.
func TestDatabaseKilled(t *testing.T) {
	cluster := storetest.NewCluster(t)
	n := start(t, cluster.Database(t))
	p := newTenant(t, n)
	_, token := p.key(n)
	project(t.Context(), n, token)
	kills := size(1, 20)
	var slowest time.Duration
	reads, stopReads := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) answer { return project(ctx, n, token) })
	writes, stopWrites := load(t.Context(), 2, 5*time.Millisecond, func(ctx context.Context) answer {
		return call(ctx, "POST", p.keys(n), p.jwt, map[string]any{"name": "k"})
	})
	for range kills {
		time.Sleep(300 * time.Millisecond)
		cluster.Kill(t)
		time.Sleep(500 * time.Millisecond)
		cluster.Start(t)
		slowest = max(slowest, eventually(t, 10*time.Second, "writes are taken again", func() bool {
			return call(t.Context(), "POST", p.keys(n), p.jwt, map[string]any{"name": "after"}).status == 201
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
// Retry-After at once, readiness tells, and all returns by itself.
func TestOutage(t *testing.T) {
	cluster := storetest.NewCluster(t)
	away, grace := size(3*time.Second, 60*time.Second), size(30*time.Second, 90*time.Second)
	for name, state := range map[string]int32{"refused": refuses, "swallowed": swallows} {
		t.Run(name, func(t *testing.T) {
			database := cluster.Database(t)
			via := newProxy(t, cluster.Socket())
			n := start(t, via.dsn(database), "LATCHKEY_OUTAGE_GRACE="+grace.String())
			p := newTenant(t, n)
			_, known := p.key(n)
			_, unknown := p.key(n)
			project(t.Context(), n, known)
			reads, stop := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) answer { return project(ctx, n, known) })
			via.set(state)
			eventually(t, 5*time.Second, "readiness says degraded", func() bool {
				a := call(t.Context(), "GET", n.URL+"/readyz", "", nil)
				return a.status == 200 && a.text("status") == "degraded"
			})
			for what, a := range map[string]answer{
				"an unknown key": project(t.Context(), n, unknown),
				"a write":        call(t.Context(), "POST", p.keys(n), p.jwt, map[string]any{"name": "k"}),
			} {
				if a.status != 503 || a.retryAfter == "" {
					t.Errorf("%s got %d with Retry-After %q, want 503 with one", what, a.status, a.retryAfter)
				}
				if a.took > 5*time.Second { // half of what a transaction may take; a busy machine needs a second
					t.Errorf("%s waited %v for its 503, instead of getting it at once", what, a.took)
				}
			}
			time.Sleep(away)
			via.set(passes)
			back := eventually(t, 10*time.Second, "an unknown key is served again", func() bool { return project(t.Context(), n, unknown).status == 200 })
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
		grace := size(2*time.Second, 10*time.Second)
		n := start(t, via.dsn(database), "LATCHKEY_OUTAGE_GRACE="+grace.String())
		p := newTenant(t, n)
		_, known := p.key(n)
		project(t.Context(), n, known)
		via.set(swallows)
		ended := eventually(t, grace+5*time.Second, "known keys get 503", func() bool { return project(t.Context(), n, known).status == 503 })
		for range 20 {
			if a := project(t.Context(), n, known); a.status != 503 || a.retryAfter == "" {
				t.Errorf("got %d with Retry-After %q past the grace", a.status, a.retryAfter)
			}
		}
		if a := call(t.Context(), "GET", n.URL+"/readyz", "", nil); a.status != 503 {
			t.Errorf("readiness says %d past the grace", a.status)
		}
		if a := call(t.Context(), "GET", n.URL+"/healthz", "", nil); a.status != 200 {
			t.Errorf("liveness says %d: a restart would not help", a.status)
		}
		via.set(passes)
		eventually(t, 10*time.Second, "it is served again", func() bool { return project(t.Context(), n, known).status == 200 })
		show(t, "a grace of %v ended after %v", grace, ended)
	})
}

// TestSlowDatabase: a database that takes two seconds for everything does not
// slow what is known, and those for whom it has no time are told so.
func TestSlowDatabase(t *testing.T) {
	cluster := storetest.NewCluster(t)
	database := cluster.Database(t)
	via := newProxy(t, cluster.Socket())
	n := start(t, via.dsn(database), "LATCHKEY_OUTAGE_GRACE=5m")
	p := newTenant(t, n)
	_, known := p.key(n)
	project(t.Context(), n, known)
	via.delay.Store(int64(2 * time.Second))
	reads, stop := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) answer { return project(ctx, n, known) })
	misses, stopMisses := load(t.Context(), 4, time.Millisecond, func(ctx context.Context) answer {
		return project(ctx, n, forged())
	})
	lists, stopLists := load(t.Context(), size(600, 1000), 100*time.Millisecond, func(ctx context.Context) answer {
		return call(ctx, "GET", p.keys(n), p.jwt, nil)
	})
	time.Sleep(size(3*time.Second, 30*time.Second))
	stopLists()
	stopMisses()
	stop()
	reads.only(t, 200)
	misses.only(t, 401, 503)
	lists.only(t, 200, 503)
	if lists.of(503) == 0 {
		t.Error("nobody was told that the database has no time")
	}
	show(t, "known keys p50 %v, p99 %v; unknown %v; lists %v after %v at most", reads.percentile(.5), reads.percentile(.99), misses.count,
		lists.count, lists.percentile(1).Round(time.Millisecond))
}

// TestDiskFull: when the disk is full, SQLite's verification goes on and writes
// get 503; with room again, both go on. At full size it is a file system in
// memory, which only root may mount; else a limit on the size of files stands
// for it.
func TestDiskFull(t *testing.T) {
	dsn := storetest.SQLite(t)
	fill := func(n *node) { limitFiles(t, n.cmd.Process.Pid, 1<<10) }
	empty := func(n *node) { limitFiles(t, n.cmd.Process.Pid, 1<<40) }
	if *full {
		dsn, fill, empty = smallDisk(t)
	}
	n := start(t, dsn)
	p := newTenant(t, n)
	_, known := p.key(n)
	_, unknown := p.key(n)
	project(t.Context(), n, known)
	fill(n)
	write := func() answer {
		return call(t.Context(), "POST", p.keys(n), p.jwt, map[string]any{"name": strings.Repeat("n", 100)})
	}
	eventually(t, 30*time.Second, "writes are refused", func() bool { return write().status == 503 }) // there may be some room left
	writes := &tally{}
	for range 20 {
		writes.add(write())
	}
	for what, token := range map[string]string{"a known key": known, "a key that must be looked up": unknown} {
		if a := project(t.Context(), n, token); a.status != 200 {
			t.Errorf("%s got %d while the disk is full", what, a.status)
		}
	}
	writes.only(t, 503)
	empty(n)
	back := eventually(t, 10*time.Second, "writes are taken again", func() bool { return write().status == 201 })
	show(t, "writes %v while full; taken again after %v", writes.count, back)
}

// smallDisk returns a database on a disk of its own, and what fills and empties
// that.
func smallDisk(t *testing.T) (dsn string, fill, empty func(*node)) {
	t.Helper()
	dir := t.TempDir()
	must(t, unix.Mount("none", dir, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	return "sqlite:" + filepath.Join(dir, "latchkey.db"), func(*node) {
		err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600) // as much of it as there is room for
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("the disk does not get full: %v", err)
		}
	}, func(*node) { must(t, os.Remove(ballast)) }
}
