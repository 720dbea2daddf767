package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

func counter(i int, subject string) domain.ProjectCounter {
	return domain.ProjectCounter{Project: "prj_01jpbsqxdefghjkmnpqrstvwxy", Counter: domain.Counter{
		Owner: fmt.Sprintf("key_%026d", i), Type: domain.Credits, Name: "credits", Per: domain.PerExternalID, Subject: subject}}
}

func open(t *testing.T, path string) *File {
	t.Helper()
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// spend has a holding spend n units of a lease of 100 in a record.
func spend(r *domain.Record, number, n int64) domain.Lease {
	var h domain.Holding
	h.Keep(r)
	l := domain.Lease{Number: number, Period: time.UnixMicro(5).UTC(), Granted: 100}
	h.Renew(domain.Known{Lease: l})
	h.Take(n)
	return l
}

// Guarantees that the next process finds what the last one has spent, of each counter
// that it had, and nothing of those that it gave up.
func TestTheNextProcessFindsWhatIsSpent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	must(t, j.Begin("node"))
	leases := map[domain.ProjectCounter]domain.Lease{}
	long := strings.Repeat("x", 256)
	for i := range 10_000 { // several chunks
		c := counter(i, []string{"customer", long}[i%2])
		r := j.Lease(c)
		if r == nil {
			t.Fatalf("no room for counter %d", i)
		}
		l := spend(r, int64(i+1), int64(i%100))
		if i%10 == 0 {
			j.Release(r)
			continue
		}
		leases[c] = l
	}
	id, size := j.ID(), j.Bytes()
	must(t, j.Close())
	next := open(t, path)
	former := next.Former()
	if former.Node != "node" || former.ID != id || next.ID() == id || former.Why != "" || len(former.Leases) != len(leases) {
		t.Fatalf("got %d leases of %q in %q, want %d of node in %q", len(former.Leases), former.Node, former.ID, len(leases), id)
	}
	for c, l := range leases {
		i := l.Number - 1
		if got, known := former.Leases[c].Spent(l); got != i%100 || !known {
			t.Fatalf("counter %d: got %d spent, %v, want %d", i, got, known, i%100)
		}
	}
	info, err := Inspect(path)
	if want := (Info{Node: "node", Bytes: size, Leases: len(leases), InUse: true}); info != want || err != nil {
		t.Errorf("got %+v (%v), want %+v", info, err, want)
	}
	must(t, next.Begin("other"))
	if got := next.Former(); got.Node != "" || next.Bytes() != headerSize {
		t.Errorf("after it has begun anew it has %q, %d bytes", got.Node, next.Bytes())
	}
	next.End()
	must(t, next.Close())
	if got := open(t, path).Former(); got.Node != "" {
		t.Errorf("a journal that ended has the leases of %q", got.Node)
	}
}

// Guarantees that a journal which is a copy, or was written before the machine was
// started anew, says nothing of what was spent: it may be older than the truth.
func TestACopyIsNotTrusted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	must(t, j.Begin("node"))
	spend(j.Lease(counter(1, "c")), 1, 40)
	must(t, j.Close())
	text, err := os.ReadFile(path)
	must(t, err)
	boot, err := os.ReadFile(bootFile)
	must(t, err)
	older := bytes.Replace(text, bytes.TrimSpace(boot), []byte(strings.Repeat("0", 36)), 1)
	for name, written := range map[string][]byte{"a copy": text, "of an earlier boot": older} {
		to := path
		if name == "a copy" {
			to += ".copy"
		}
		must(t, os.WriteFile(to, written, 0o600))
		former := open(t, to).Former()
		if former.Node != "node" || former.ID != "" || former.Why == "" || len(former.Leases) != 0 {
			t.Errorf("%s: got %+v, want no leases and a reason", name, former)
		}
	}
}

// Guarantees that two processes never have one journal.
func TestOneProcessHasAJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	if _, err := Open(path); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v, want that it is taken", err)
	}
	must(t, j.Close())
	must(t, open(t, path).Close())
}

// Guarantees that file systems which another machine may change are refused, and that
// what is no journal is not taken for one.
func TestWhatIsNoJournal(t *testing.T) {
	t.Parallel()
	for kind, want := range map[int64]string{0x6969: "NFS", 0x65735546: "FUSE", 0xef53: "", 0x01021994: ""} {
		if got := remote[kind]; got != want {
			t.Errorf("%x is called %q, want %q", kind, got, want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no", "journal")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Inspect(filepath.Join(t.TempDir(), "journal")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for name, text := range map[string]string{
		"empty": "", "short": "latchkey journal 1\n", "another file": strings.Repeat("#!/bin/sh\n", 2000),
		"a length beyond the end": magic + "\xff\xff", "chunks of nothing": magic + strings.Repeat("\x01\x00a", 1_500_000),
	} {
		path := filepath.Join(t.TempDir(), "journal")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		j := open(t, path)
		if got := j.Former(); len(got.Leases) > 0 {
			t.Errorf("%s: got %d leases", name, len(got.Leases))
		}
		must(t, j.Begin("node"))
		if r := j.Lease(counter(1, "c")); r == nil || !r.IsFree() && spend(r, 1, 1).Number != 1 {
			t.Errorf("%s: it cannot be begun anew", name)
		}
		must(t, j.Close())
	}
}

// Guarantees that a counter which fits into no slot, and one for which the disk has no
// room, has no record rather than a part of one.
func TestWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	must(t, j.Begin("node"))
	if r := j.Lease(counter(1, strings.Repeat("x", 600))); r != nil {
		t.Error("a counter of 600 characters has a record")
	}
	must(t, j.file.Close())
	if r := j.Lease(counter(1, "c")); r != nil {
		t.Error("there is a record in a file that cannot grow")
	}
}

// Guarantees that records that come and go at the same time are never of two counters.
func TestRecordsAreOfOneCounter(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	must(t, j.Begin("node"))
	var working sync.WaitGroup
	for w := range 4 {
		working.Go(func() {
			var own []*domain.Record
			for i := range 2000 {
				r := j.Lease(counter(w*10_000+i, "c"))
				l := spend(r, int64(i+1), int64(w))
				own = append(own, r)
				if got, known := r.Spent(l); got != int64(w) || !known {
					t.Errorf("got %d, %v, want %d", got, known, w)
				}
				if i%3 == 0 {
					j.Release(own[0])
					own = own[1:]
				}
			}
		})
	}
	working.Wait()
}
