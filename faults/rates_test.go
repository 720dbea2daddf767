package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// rateSeed draws which cells of the matrix a short run has, and when requests come.
const rateSeed = 11

// cell is a rate on some nodes.
type cell struct {
	limit  int64
	period domain.Period
	nodes  int
	skew   string
	away   bool // the database, in the middle third
	leaves bool // a node is killed in the middle, and counted out after 15 seconds
}

// outcome is what a cell admitted.
type outcome struct {
	worst  float64 // units above burst + rate·t, in the interval in which they are the most
	steady float64 // of the limit, in the last third
}

// skews say how likely each of n nodes gets a request.
var skews = map[string]func(i, n int) float64{
	"even":   func(_, n int) float64 { return 1 / float64(n) },
	"90/10":  func(i, n int) float64 { return map[bool]float64{true: .9, false: .1 / float64(max(1, n-1))}[i == 0] },
	"on one": func(i, _ int) float64 { return map[bool]float64{true: 1, false: 0}[i == 0] },
}

// TestRatesOverNodes: in every interval, nodes together admit no more than the burst and
// what the rate gives in it, however requests are balanced, while the database is away
// and when a node is killed. Time is virtual.
func TestRatesOverNodes(t *testing.T) {
	r := rand.New(rand.NewPCG(rateSeed, 1))
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "limit\tnodes\trequests\tdatabase\ta node\tabove burst + rate·t\tsteady, of the limit")
	cells := 0
	for _, limit := range []struct {
		units  int64
		period domain.Period
	}{{1000, domain.PeriodSecond}, {100, domain.PeriodMinute}, {5, domain.PeriodMinute}} {
		for _, nodes := range []int{1, 2, 3, 5} {
			for _, skew := range []string{"even", "90/10", "on one"} {
				for _, fault := range []string{"", "away", "leaves"} {
					if !*servertest.Full && r.IntN(5) > 0 {
						continue
					}
					c := cell{limit.units, limit.period, nodes, skew, fault == "away", fault == "leaves" && nodes > 1}
					got := c.run(r)
					if cells++; got.worst > 1e-6 {
						t.Errorf("%+v: %.2f units above burst + rate·t", c, got.worst)
					}
					fmt.Fprintf(table, "%d a %s\t%d\t%s\t%s\t%s\t%.1f\t%.2f\n", c.limit, c.period, c.nodes, c.skew,
						map[bool]string{true: "away for a third", false: "there"}[c.away],
						map[bool]string{true: "killed", false: "none leaves"}[c.leaves], got.worst, got.steady)
				}
			}
		}
	}
	must(t, table.Flush())
	if *servertest.Full {
		commit, err := exec.CommandContext(t.Context(), "git", "rev-parse", "--short", "HEAD").Output()
		must(t, err)
		head := fmt.Sprintf("Rates over nodes: go test ./faults -run TestRatesOverNodes -args -full\n"+
			"commit %s, seed %d, %s/%s, virtual time\n\n"+
			"Below nothing in the sixth column: so much less than the bound was admitted in the worst interval.\n\n",
			bytes.TrimSpace(commit), rateSeed, runtime.GOOS, runtime.GOARCH)
		must(t, os.WriteFile("../docs/measured/rates.txt", append([]byte(head), text.Bytes()...), 0o644))
	}
	show(t, "%d cells of limit × nodes × skew × fault: none above burst + rate·t", cells)
}

// run sends twice as many requests as the limit allows for 60 times what 50 units take.
func (c cell) run(r *rand.Rand) outcome {
	perUnit := float64(map[domain.Period]time.Duration{domain.PeriodSecond: time.Second, domain.PeriodMinute: time.Minute}[c.period]) /
		float64(c.limit)
	limit := domain.Limit{Name: "a", Type: domain.RateLimit, Limit: domain.Allow(c.limit), Period: c.period}.WithDefaults()
	tenant := domain.NewTenant(domain.Project{ID: "prj_1", Limits: []domain.Limit{limit}}, domain.Organization{}, nil)
	key := domain.NewProvenKey(string(domain.PackKey(nil, domain.Secret{TokenID: "t"}, domain.Key{ID: "key_1"})), tenant)
	var nodes []*meter.Meter
	var keys []domain.ProvenKey
	for i := range c.nodes {
		m := meter.New()
		m.SetShare(domain.Share{Nodes: c.nodes, Place: i}, 0)
		nodes, keys = append(nodes, m), append(keys, key.Metered(uint32(m.Hold(key))))
	}
	total := 60 * perUnit * max(50, float64(c.limit))
	alive, counted := c.nodes, c.nodes
	killed := total / 2
	var admitted []float64
	last := 0
	for now := 0.0; now < total; now += r.ExpFloat64() * perUnit / 2 {
		if c.leaves && now > killed {
			alive = c.nodes - 1
		}
		if c.leaves && now > killed+float64(15*time.Second) && counted > alive { // the others share its part from here on
			counted = alive
			for i := range alive {
				nodes[i].SetShare(domain.Share{Nodes: alive, Place: i}, int64(now))
			}
		}
		i, at := 0, r.Float64()
		for at -= skews[c.skew](0, alive); at > 0 && i+1 < alive; at -= skews[c.skew](i, alive) {
			i++
		}
		if d := nodes[i].Spend(keys[i], nil, int64(now)); d.Admitted() {
			if admitted = append(admitted, now); now > total*2/3 {
				last++
			}
		}
	}
	return outcome{above(admitted, float64(c.limit), perUnit), float64(last) * perUnit / (total / 3)}
}

// above returns how much more than burst + t/perUnit was admitted in the interval in
// which that is the most. It is negative if it never is more.
func above(at []float64, burst, perUnit float64) float64 {
	most, best := -burst, 0.0
	for i, t := range at { // the interval that ends here and began where index - t/perUnit was the least
		value := float64(i) - t/perUnit
		if i == 0 || value < best {
			best = value
		}
		most = max(most, value-best+1-burst)
	}
	return most
}

// TestARateWithoutTheDatabase: while the database is away, two nodes together admit a
// burst once. (Another key server was seen to admit 200 of 100.)
func TestARateWithoutTheDatabase(t *testing.T) {
	cluster := storetest.NewCluster(t)
	s := newSpenders(t, cluster.Database(t), 2, 1_000_000, noJournal,
		map[string]any{"name": "requests", "type": "rate", "limit": 100, "period": "day"})
	for _, n := range s.nodes {
		eventually(t, 10*time.Second, "the node knows of the other one", func() bool { return n.Metric("latchkey_limit_share") == 0.5 })
		for range 20 {
			s.request(n)
		}
	}
	cluster.Kill(t)
	for range 200 {
		for _, n := range s.nodes {
			if got := s.request(n); got != http.StatusOK && got != http.StatusTooManyRequests {
				t.Errorf("got %d while the database is away", got)
			}
		}
	}
	cluster.Start(t)
	if got := s.admitted.Load(); got != 100 {
		t.Errorf("got %d of 100 requests admitted", got)
	}
	show(t, "100 a day, 2 nodes, PostgreSQL away: %d admitted of %d requests", s.admitted.Load(), 440)
}
