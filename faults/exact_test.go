package faults

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// seeds are those of an experiment: one in a short run.
func seeds() []uint64 {
	all := make([]uint64, servertest.Size(1, 20))
	for i := range all {
		all[i] = uint64(i + 1)
	}
	return all
}

// journalOf has each node keep what it spends in a journal.
func journalOf(t testing.TB, i int) string {
	t.Helper()
	return "LATCHKEY_JOURNAL=" + filepath.Join(t.TempDir(), fmt.Sprintf("node-%d.journal", i))
}

// killSome kills nodes at random while requests are sent, and starts each again. starting
// is called before and after that.
func (s *spenders) killSome(r *rand.Rand, kills int, starting func(bool)) {
	for range kills {
		time.Sleep(time.Duration(150+r.IntN(250)) * time.Millisecond)
		n := s.nodes[r.IntN(len(s.nodes))]
		n.Kill()
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		starting(true)
		n.Run()
		starting(false)
	}
}

// TestNoCreditIsLostWithAJournal: nodes that are killed spend no credit twice and lose
// none. Each credit is spent by a request that was admitted, or by one whose answer the
// kill cut off.
func TestNoCreditIsLostWithAJournal(t *testing.T) {
	cluster := storetest.NewCluster(t, "max_connections=300")
	for _, seed := range seeds() {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := newJournaled(t, cluster.Database(t), 3, servertest.Size[int64](3000, 200_000))
			stop := s.spend()
			kills := servertest.Size(2, 10)
			s.killSome(rand.New(rand.NewPCG(seed, 1)), kills, func(bool) {})
			s.exhausted()
			stop()
			s.exact()
			show(t, "%d credits, 3 nodes, %d kills: %d admitted, %d answers cut off, 0 over, 0 lost", s.credits, kills,
				s.admitted.Load(), s.unknown.Load())
		})
	}
}

func newJournaled(t *testing.T, dsn string, nodes int, credits int64) *spenders {
	t.Helper()
	return newSpenders(t, dsn, nodes, credits, func(i int) []string { return []string{journalOf(t, i)} })
}

// exact checks that all credits were spent, each once, and that the books say so.
func (s *spenders) exact() {
	s.Helper()
	eventually(s, 30*time.Second, "everything is settled", func() bool { return s.sum(allLeased) == 0 })
	admitted, unknown, spent := s.admitted.Load(), s.unknown.Load(), s.sum(allSpent)
	if forfeited := s.sum("SELECT COALESCE(SUM(forfeited), 0) FROM counters"); spent != s.credits || forfeited != 0 {
		s.Errorf("got %d spent and %d forfeited of %d", spent, forfeited, s.credits)
	}
	if admitted > s.credits || admitted+unknown < s.credits {
		s.Errorf("got %d admitted and %d without an answer, want %d", admitted, unknown, s.credits)
	}
	s.balanced()
}

// TestNoCreditIsLostWithoutAnswers: commits whose answers are lost and a database that
// crashes, besides nodes that are killed, spend no credit twice and lose none.
func TestNoCreditIsLostWithoutAnswers(t *testing.T) {
	cluster := storetest.NewCluster(t, "max_connections=300")
	for _, seed := range seeds() {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			p := newProxy(t, cluster.Socket())
			lossy := &swallowing{every: 20}
			p.tamper = lossy.tamper
			database := cluster.Database(t)
			migrate(t, database)
			s := newJournaled(t, p.dsn(database), 3, servertest.Size[int64](3000, 200_000))
			s.dsn = database
			lossy.on.Store(true)
			stop := s.spend()
			kills, outage := servertest.Size(2, 10), servertest.Size(500*time.Millisecond, 5*time.Second)
			r := rand.New(rand.NewPCG(seed, 2))
			s.killSome(r, kills/2, lossy.pause)
			cluster.Kill(t)
			time.Sleep(outage)
			cluster.Start(t)
			s.killSome(r, kills-kills/2, lossy.pause)
			s.exhausted()
			lossy.on.Store(false)
			stop()
			s.exact()
			show(t, "%d credits, %d kills, PostgreSQL away for %v, %d of %d commits unanswered: %d admitted, %d cut off, 0 over, 0 lost",
				s.credits, kills, outage, lossy.swallowed.Load(), lossy.commits.Load(), s.admitted.Load(), s.unknown.Load())
		})
	}
}

// swallowing cuts a connection when the answer to every nth commit arrives, so that the
// node does not know whether it has been done.
type swallowing struct {
	every     int64
	on        atomic.Bool
	commits   atomic.Int64
	swallowed atomic.Int64
}

// pause has all answers pass while a node starts, which ends if it cannot.
func (s *swallowing) pause(paused bool) { s.on.Store(!paused) }

// committed is how PostgreSQL says that it has committed.
var committed = []byte("C\x00\x00\x00\x0bCOMMIT\x00")

func (s *swallowing) tamper(answer []byte) bool {
	if !s.on.Load() || !bytes.Contains(answer, committed) || s.commits.Add(1)%s.every != 0 {
		return true
	}
	s.swallowed.Add(1)
	return false
}

// TestACopiedJournalForfeits: a journal that was put back from a copy says nothing of
// what was spent, so no credit is spent twice; what is lost shows.
func TestACopiedJournalForfeits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.journal")
	s := newSpenders(t, storetest.Engines["SQLite"](t), 1, 5000, func(int) []string { return []string{"LATCHKEY_JOURNAL=" + path} })
	for range 100 {
		s.request(s.nodes[0])
	}
	text, err := os.ReadFile(path)
	must(t, err)
	for range 1000 {
		s.request(s.nodes[0])
	}
	s.nodes[0].Kill()
	must(t, os.Rename(path, path+".old"))
	must(t, os.WriteFile(path, text, 0o600))
	s.nodes[0].Run()
	s.exhausted()
	s.balanced()
	lost := s.sum("SELECT forfeited FROM counters")
	if lost == 0 || s.admitted.Load()+s.unknown.Load()+lost < s.credits {
		t.Errorf("got %d admitted and %d forfeited of %d", s.admitted.Load(), lost, s.credits)
	}
	show(t, "5000 credits, a journal put back from a copy: %d admitted, 0 over, %d forfeited", s.admitted.Load(), lost)
}

// TestAStoppedNodeSpendsNothingTwice: a node that is stopped with a lease in hand, and
// continues when others have spent the rest, spends no more than it had.
func TestAStoppedNodeSpendsNothingTwice(t *testing.T) {
	cluster := storetest.NewCluster(t)
	s := newJournaled(t, cluster.Database(t), 2, servertest.Size[int64](2000, 50_000))
	stop := s.spend()
	eventually(t, 10*time.Second, "the first node has spent some", func() bool { return s.admitted.Load() > s.credits/10 })
	must(t, syscall.Kill(s.nodes[0].PID(), syscall.SIGSTOP))
	time.Sleep(servertest.Size(time.Second, 30*time.Second))
	must(t, syscall.Kill(s.nodes[0].PID(), syscall.SIGCONT))
	s.exhausted()
	stop()
	s.exact()
	show(t, "%d credits, a node stopped with a lease in hand: %d admitted, 0 over, 0 lost", s.credits, s.admitted.Load())
}

// TestRefusalsWithoutCreditsCauseFewVisits: a million refusals of an empty balance cost
// the database next to nothing, and take nothing from a rate that would admit them.
func TestRefusalsWithoutCreditsCauseFewVisits(t *testing.T) {
	s := newSpenders(t, storetest.Engines["SQLite"](t), 1, 10, func(i int) []string { return []string{journalOf(t, i)} },
		map[string]any{"name": "free", "type": "rate", "limit": 1000, "period": "day"})
	s.exhausted()
	remaining := s.remaining(s.nodes[0])
	before, began := s.metric(s.nodes[0], "latchkey_lease_visits_total"), time.Now()
	c, stop := load(t.Context(), 4, 0, func(ctx context.Context) servertest.Answer { return project(ctx, s.nodes[0], s.token) })
	want := servertest.Size(5000, 1_000_000)
	eventually(t, 10*time.Minute, "enough refusals", func() bool { return c.total() > want })
	stop()
	c.only(t, http.StatusPaymentRequired)
	rate := (s.metric(s.nodes[0], "latchkey_lease_visits_total") - before) / time.Since(began).Seconds()
	if rate > 20 {
		t.Errorf("got %.1f visits a second, want at most 20", rate)
	}
	if got := s.remaining(s.nodes[0]); !slices.Equal(got, remaining) {
		t.Errorf("after refusals for credits the limits say %s, before %s", got, remaining)
	}
	show(t, "%d refusals for credits: %.1f visits a second; the rate has lost nothing", c.total(), rate)
}

// TestAnOutageIsLastedOut: while the database is away, a node spends a balance of which
// there is plenty without refusing, and answers 503, never more than it has, near the
// end of another.
func TestAnOutageIsLastedOut(t *testing.T) {
	cluster := storetest.NewCluster(t)
	for name, c := range map[string]struct {
		credits int64
		refuses bool
	}{"plenty": {1_000_000, false}, "near the end": {500, true}} {
		t.Run(name, func(t *testing.T) {
			s := newJournaled(t, cluster.Database(t), 2, c.credits)
			stop := s.spend()
			before := min(c.credits/5, servertest.Size[int64](2000, 5000))
			eventually(t, 20*time.Second, "a lease is as long as an outage", func() bool { return s.admitted.Load() > before })
			time.Sleep(500 * time.Millisecond) // so that the rate is known
			cluster.Kill(t)
			during := s.admitted.Load()
			time.Sleep(servertest.Size(2*time.Second, 50*time.Second))
			during = s.admitted.Load() - during
			refused := s.refused.Load()
			cluster.Start(t)
			stop()
			if !c.refuses && refused > 0 {
				t.Errorf("got %d answers 503 with %d credits", refused, c.credits)
			}
			if s.admitted.Load() > c.credits {
				t.Errorf("got %d of %d admitted", s.admitted.Load(), c.credits)
			}
			show(t, "%d credits, PostgreSQL away: %d admitted in the outage, %d answers 503, 0 over", c.credits, during, refused)
		})
	}
}
