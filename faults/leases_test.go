package faults

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// spenders are nodes on which one key spends its credits.
type spenders struct {
	*testing.T

	dsn      string
	nodes    []*servertest.Server
	token    string
	credits  int64
	admitted atomic.Int64
	refused  atomic.Int64 // 503
	unknown  atomic.Int64 // requests without an answer, which may have spent
}

// noJournal is the environment of a node without one.
func noJournal(int) []string { return []string{"LATCHKEY_JOURNAL=none"} }

// newSpenders starts nodes, each with an environment, and makes a key with credits and
// other limits.
func newSpenders(t *testing.T, dsn string, nodes int, credits int64, env func(i int) []string, others ...any) *spenders {
	t.Helper()
	s := &spenders{T: t, dsn: dsn, credits: credits}
	for i := range nodes {
		s.nodes = append(s.nodes, servertest.Start(t, dsn, env(i)...))
	}
	p := servertest.NewTenant(t, s.nodes[0])
	made := p.Want(http.StatusCreated, servertest.Call(t.Context(), http.MethodPost, p.Keys(s.nodes[0]), p.Bearer, map[string]any{
		"name":   "spender",
		"limits": append(others, map[string]any{"name": "credits", "type": "credits", "initial": credits}),
	}))
	s.token = made.Text("token")
	return s
}

// request sends one request, and returns the status of its answer.
func (s *spenders) request(n *servertest.Server) int {
	a := project(s.Context(), n, s.token)
	switch a.Status {
	case http.StatusOK:
		s.admitted.Add(1)
	case http.StatusServiceUnavailable:
		s.refused.Add(1)
	case 0:
		s.unknown.Add(1)
	}
	return a.Status
}

// spend sends requests to all nodes until stop is called, to the first one the most.
func (s *spenders) spend() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	var working sync.WaitGroup
	for i, n := range s.nodes {
		for range 4 {
			working.Go(func() {
				for ctx.Err() == nil {
					s.request(n)
					time.Sleep(time.Duration(i*i) * 5 * time.Millisecond)
				}
			})
		}
	}
	return func() {
		cancel()
		working.Wait()
	}
}

// exhausted waits until no node admits the key any more.
func (s *spenders) exhausted() {
	s.Helper()
	eventually(s, servertest.Size(time.Minute, 20*time.Minute), "all credits are spent", func() bool {
		for _, n := range s.nodes {
			if s.request(n) != http.StatusPaymentRequired {
				return false
			}
		}
		return true
	})
}

// sum returns a number of the database.
func (s *spenders) sum(query string) (n int64) {
	s.Helper()
	driver, address := "pgx", s.dsn
	if path, lite := strings.CutPrefix(s.dsn, "sqlite:"); lite {
		driver, address = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, address)
	must(s, err)
	defer db.Close()
	must(s, db.QueryRowContext(s.Context(), query).Scan(&n))
	return n
}

const (
	allSpent  = "SELECT COALESCE(SUM(spent), 0) FROM counters"
	allLeased = "SELECT COALESCE(SUM(leased), 0) FROM counters"
)

// balanced checks that no credit was spent twice and that the books say where all are.
func (s *spenders) balanced() (lost int64) {
	s.Helper()
	admitted, unknown := s.admitted.Load(), s.unknown.Load()
	lost = s.sum("SELECT COALESCE(SUM(leased + forfeited), 0) FROM counters")
	if admitted > s.credits {
		s.Errorf("%d of %d credits were spent", admitted, s.credits)
	}
	if admitted+unknown+lost < s.credits {
		s.Errorf("%d spent, %d without an answer, %d with nodes that were killed: want %d together", admitted, unknown, lost, s.credits)
	}
	doctor := exec.Command(servertest.Binary, "doctor", "--database", s.dsn, "--master-key-file", keyFile(s))
	if out, err := doctor.CombinedOutput(); err != nil {
		s.Errorf("the books do not balance: %s", out)
	}
	return lost
}

// TestCreditsOfKilledNodes: nodes that are killed or stopped for a while spend no credit
// twice; what they had leased when they were killed is all that is lost.
func TestCreditsOfKilledNodes(t *testing.T) {
	for name, open := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			nodes := map[string]int{"SQLite": 1, "PostgreSQL": 3}[name]
			s := newSpenders(t, open(t), nodes, servertest.Size[int64](4000, 200_000), noJournal)
			stop := s.spend()
			kills := servertest.Size(2, 10)
			for range kills {
				time.Sleep(time.Duration(200+rand.IntN(300)) * time.Millisecond)
				n := s.nodes[rand.IntN(nodes)]
				must(t, syscall.Kill(n.PID(), syscall.SIGSTOP))
				time.Sleep(servertest.Size(100*time.Millisecond, 10*time.Second))
				must(t, syscall.Kill(n.PID(), syscall.SIGCONT))
				time.Sleep(100 * time.Millisecond)
				n.Kill()
				n.Run()
			}
			s.exhausted()
			stop()
			lost := s.balanced()
			show(t, "%d credits, %d nodes, %d kills: %d admitted, none over, %d lost", s.credits, nodes, kills, s.admitted.Load(), lost)
		})
	}
}

// TestCreditsWithoutTheDatabase: while the database is away, nodes spend what they have
// leased and answer 503 after that; no credit is spent twice and none is lost.
func TestCreditsWithoutTheDatabase(t *testing.T) {
	cluster := storetest.NewCluster(t)
	s := newSpenders(t, cluster.Database(t), 2, servertest.Size[int64](3000, 200_000), noJournal)
	stop := s.spend()
	outages := servertest.Size(1, 5)
	for range outages {
		time.Sleep(400 * time.Millisecond)
		cluster.Kill(t)
		time.Sleep(servertest.Size(500*time.Millisecond, 5*time.Second))
		cluster.Start(t)
	}
	s.exhausted()
	stop()
	eventually(t, 30*time.Second, "everything is settled", func() bool { return s.sum(allLeased) == 0 })
	if spent := s.sum(allSpent); spent != s.credits || s.admitted.Load()+s.unknown.Load() < s.credits {
		t.Errorf("got %d admitted and %d spent of %d", s.admitted.Load(), spent, s.credits)
	}
	s.balanced()
	show(t, "%d credits, %d outages: %d admitted, none over, none lost", s.credits, outages, s.admitted.Load())
}

// TestLeasesOfANodeThatEnds: a node that is asked to end under load returns what it has
// leased, and writes how often keys were used, before it exits.
func TestLeasesOfANodeThatEnds(t *testing.T) {
	for name, open := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			s := newSpenders(t, open(t), 1, 1_000_000, noJournal)
			stop := s.spend()
			for range servertest.Size(1, 10) {
				eventually(t, 10*time.Second, "something is leased", func() bool { return s.sum(allLeased) > 100 })
				s.nodes[0].End()
				if left := s.sum(allLeased); left != 0 {
					t.Errorf("%d credits are still leased", left)
				}
				s.nodes[0].Run()
			}
			stop()
			s.nodes[0].End()
			used := s.sum("SELECT COALESCE(SUM(total), 0) FROM usage_days WHERE measure = 'valid' AND subject LIKE 'key_%'")
			if admitted := s.admitted.Load(); used < admitted || used > admitted+s.unknown.Load() {
				t.Errorf("got %d uses of %d requests that were admitted", used, admitted)
			}
			show(t, "%d admitted, %d uses written, all leases returned", s.admitted.Load(), used)
		})
	}
}

// remaining returns what an answer of a node says is left of all limits.
func (s *spenders) remaining(n *servertest.Server) []string {
	s.Helper()
	return regexp.MustCompile(`"\w+";r=\d+`).FindAllString(project(s.Context(), n, s.token).RateLimit, -1)
}

// metric returns the sum of a metric of a node over all labels.
func (s *spenders) metric(n *servertest.Server, name string) (sum float64) {
	s.Helper()
	r, err := http.Get(n.Admin + "/metrics")
	must(s, err)
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		var value float64
		if rest, is := strings.CutPrefix(lines.Text(), name); is && (rest[0] == ' ' || rest[0] == '{') {
			_, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &value)
			must(s, err)
			sum += value
		}
	}
	return sum
}
