package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// floodSeed is what the tokens of a flood are drawn from.
const floodSeed = 11

// experiment is a node that is flooded.
type experiment struct {
	t       *testing.T
	node    *servertest.Server
	asked   statements
	good    string   // the token of good requests
	unused  []string // tokens of other keys, which have not been used
	random  *rand.ChaCha8
	lasting time.Duration // of a slice
	drawn   int           // tokens for a slice
}

// kind is a kind of token that the node is flooded with, and what was seen in all
// slices of it.
type kind struct {
	name      string
	status    int
	perSecond float64 // at most so many requests a second; 0: as many as the load tool can send

	time            time.Duration
	answered        int
	rates           []float64 // requests a second in each slice
	cpu             time.Duration
	good            []time.Duration // how long good requests took
	asked, lookedUp int             // statements at the database
}

func newExperiment(t *testing.T) *experiment {
	t.Helper()
	database := storetest.NewCluster(t, preloaded).Database(t)
	e := &experiment{
		t: t, node: servertest.Start(t, database), asked: newStatements(t, database), random: rand.NewChaCha8([32]byte{floodSeed}),
		lasting: servertest.Size(250*time.Millisecond, 2*time.Second), drawn: servertest.Size(10_000, 100_000),
	}
	p := servertest.NewTenant(t, e.node)
	_, e.good = p.Key(e.node)
	project(t.Context(), e.node, e.good)
	for range servertest.Size(50, 1000) {
		_, token := p.Key(e.node)
		e.unused = append(e.unused, token)
	}
	eventually(t, 30*time.Second, "forged tokens cost no look-up", func() bool {
		_, before := e.asked.count()
		project(t.Context(), e.node, newForged(t, e.random, 1)[0])
		_, after := e.asked.count()
		return after == before
	})
	return e
}

// slice floods the node with tokens while during runs, or not at all if there are
// none, and sends good requests beside them.
func (e *experiment) slice(k *kind, tokens []string, during func()) {
	sent := batches(tokens)
	asked, lookedUp := e.asked.count()
	cpu, began := servertest.CPU(e.t, e.node.PID()), time.Now()
	ctx, end := context.WithCancel(e.t.Context())
	var working sync.WaitGroup
	if len(sent) > 0 {
		working.Go(func() {
			answered, rate := flood(ctx, e.t, e.node, k.perSecond, sent, k.status)
			k.answered, k.rates = k.answered+answered, append(k.rates, rate)
		})
	}
	working.Go(func() { k.good = append(k.good, probe(ctx, e.t, e.node, e.good)...) })
	during()
	end()
	working.Wait()
	k.time += time.Since(began)
	k.cpu += servertest.CPU(e.t, e.node.PID()) - cpu
	askedAfter, lookedUpAfter := e.asked.count()
	k.asked, k.lookedUp = k.asked+askedAfter-asked, k.lookedUp+lookedUpAfter-lookedUp
}

// timed is slice for a fixed time.
func (e *experiment) timed(k *kind, tokens []string) {
	e.slice(k, tokens, func() { <-time.After(e.lasting) })
}

// askedPerSecond is how many statements reached the database in a second.
func (k *kind) askedPerSecond() float64 { return float64(k.asked) / k.time.Seconds() }

func (k *kind) p99() time.Duration { return percentile(k.good, .99) }

// over returns how many times as many requests as of another kind were answered:
// the least, the median and the most of all pairs of slices.
func (k *kind) over(other *kind) (least, median, most float64) {
	ratios := slices.Clone(k.rates)
	for i := range ratios {
		ratios[i] /= other.rates[i]
	}
	slices.Sort(ratios)
	return ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1]
}

// TestForgedFlood guarantees that well-formed tokens which this instance never made
// cost the database nothing, are refused as fast as mistyped ones, delay good
// requests hardly more than as many good requests do, and keep no key from its
// first use. The kinds take turns, so that what else the machine does falls on all
// of them.
func TestForgedFlood(t *testing.T) {
	e := newExperiment(t)
	mistyped, forged, good := &kind{name: "mistyped", status: 401}, &kind{name: "forged", status: 401}, &kind{name: "good", status: 200}
	quiet, beside := &kind{name: "none"}, &kind{name: "forged, beside first uses", status: 401}
	e.timed(&kind{status: 401}, mistype(newForged(t, e.random, e.drawn))) // both processes are warm after it
	for round := range servertest.Size(2, 60) {
		tokens := newForged(t, e.random, e.drawn)
		pair := []func(){func() { e.timed(mistyped, mistype(tokens)) }, func() { e.timed(forged, tokens) }}
		pair[round%2]()
		pair[1-round%2]()
		good.perSecond = forged.rates[round]
		e.timed(good, slices.Repeat([]string{e.good}, floodDepth))
		e.timed(quiet, nil)
	}
	firsts := &tally{}
	e.slice(beside, newForged(t, e.random, e.drawn), func() {
		for _, token := range e.unused {
			firsts.add(project(t.Context(), e.node, token))
		}
	})

	if forged.lookedUp != 0 {
		t.Errorf("%d forged tokens cost %d look-ups, want none", forged.answered, forged.lookedUp)
	}
	if beside.lookedUp < len(e.unused) || beside.lookedUp > 2*len(e.unused) {
		t.Errorf("%d first uses cost %d look-ups, want one each, rarely two", len(e.unused), beside.lookedUp)
	}
	if forged.asked > 2*quiet.asked+forged.answered/1000 {
		t.Errorf("%d forged tokens cost %d statements; without them there are %d", forged.answered, forged.asked, quiet.asked)
	}
	firsts.only(t, 200)
	least, ratio, most := forged.over(mistyped)
	tail := forged.p99().Seconds() / good.p99().Seconds()
	if *servertest.Full && (ratio < 0.95 || tail > 1.5) {
		t.Errorf("forged tokens are refused at %.3f of the rate of mistyped ones, want 0.95; "+
			"the p99 of good requests is %.2f of that beside good ones, want 1.5", ratio, tail)
	}
	show(t, "%d forged tokens: %.3f of the rate of mistyped ones, %d look-ups; %d first uses beside them %v; p99 of good requests × %.2f",
		forged.answered, ratio, forged.lookedUp, firsts.total(), firsts.count, tail)
	if *servertest.Full {
		e.write([]*kind{mistyped, forged, good, quiet, beside}, fmt.Sprintf(
			"forged over mistyped, %d pairs: least %.3f, median %.3f, most %.3f [0.95]\n"+
				"p99 of good requests, beside forged over beside good: %.2f [1.5]\n"+
				"first uses beside forged tokens, by status: %v [only 200]\n",
			len(forged.rates), least, ratio, most, tail, firsts.count))
	}
}

// write leaves the table in docs/measured.
func (e *experiment) write(kinds []*kind, results string) {
	e.t.Helper()
	commit, err := exec.CommandContext(e.t.Context(), "git", "rev-parse", "--short", "HEAD").Output()
	must(e.t, err)
	var text bytes.Buffer
	fmt.Fprintf(&text, "Forged tokens over HTTP: make forged\ncommit %s, seed %d, %s/%s, %d cores for the server, PostgreSQL and the "+
		"load tool\n\n%s\n",
		bytes.TrimSpace(commit), floodSeed, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), results)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "flood of\tseconds\trequests\ta second\tserver's µs each\tstatements a second\tlook-ups\tgood requests\tp50\tp99")
	for _, k := range kinds {
		each := float64(k.cpu.Microseconds()) / float64(k.answered+len(k.good))
		fmt.Fprintf(table, "%s\t%.0f\t%d\t%.0f\t%.1f\t%.1f\t%d\t%d\t%v\t%v\n", k.name, k.time.Seconds(), k.answered,
			float64(k.answered)/k.time.Seconds(), each, k.askedPerSecond(), k.lookedUp, len(k.good),
			percentile(k.good, .5).Round(time.Microsecond), k.p99().Round(time.Microsecond))
	}
	must(e.t, errors.Join(table.Flush(), os.WriteFile("../docs/measured/forged.txt", text.Bytes(), 0o644)))
}
