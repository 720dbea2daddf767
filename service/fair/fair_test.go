package fair

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestNetwork(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]Payer{
		"203.0.113.7":         "203.0.113.0/24",
		"::ffff:203.0.113.7":  "203.0.113.0/24",
		"2001:db8:1:2::3":     "2001:db8:1:2::/64",
		"2001:db8:1:2:9::3%0": "2001:db8:1:2::/64",
		"@":                   "peer @",
		"":                    "peer ",
	} {
		if got := Network(ip); got != want {
			t.Errorf("Network(%q) = %q, want %q", ip, got, want)
		}
	}
}

// enter takes a place or fails the test.
func enter(t *testing.T, g *Gate, p Payer) (leave func()) {
	t.Helper()
	leave, err := g.Enter(t.Context(), p)
	if err != nil {
		t.Fatalf("Enter(%q): %v", p, err)
	}
	return leave
}

func refused(t *testing.T, g *Gate, p Payer) {
	t.Helper()
	if _, err := g.Enter(t.Context(), p); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Fatalf("Enter(%q) = %v, want unavailable", p, err)
	}
}

// A payer that holds all it may have keeps no place from another payer.
func TestEachPayerIsBoundedFirst(t *testing.T) {
	t.Parallel()
	g := NewGate(Bounds{Total: 3, PerPayer: 2})
	first := enter(t, g, "a")
	enter(t, g, "a")
	refused(t, g, "a")
	enter(t, g, "b")
	refused(t, g, "c") // everyone is bounded, too
	first()
	first() // giving a place back twice gives back one
	enter(t, g, "c")
	refused(t, g, "b")
}

// The request of a payer that has just come waits for one place of the payer
// with a long queue, not for the whole queue.
func TestPlacesGoRoundThePayers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Bounds{Total: 1, PerPayer: 1, Waiting: 100, WaitingPerPayer: 50, Wait: time.Hour})
		leave := enter(t, g, "flood")
		var mu sync.Mutex
		var order []Payer
		ask := func(p Payer) {
			go func() {
				leave := enter(t, g, p)
				mu.Lock()
				order = append(order, p)
				mu.Unlock()
				leave()
			}()
			synctest.Wait()
		}
		for range 50 {
			ask("flood")
		}
		ask("quiet")
		leave()
		synctest.Wait()
		if len(order) != 51 || order[0] != "quiet" && order[1] != "quiet" {
			t.Errorf("%d were served, and first %v; want 51, with the quiet one among the first two", len(order), order[:2])
		}
		if len(g.payers) != 0 || g.taken != 0 || g.waiting != 0 || len(g.ready) != 0 {
			t.Errorf("something is left behind: %+v", g)
		}
	})
}

// A queue that one payer has filled has room for another.
func TestAFullQueueMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Bounds{Total: 1, PerPayer: 1, Waiting: 4, WaitingPerPayer: 4, Wait: time.Minute})
		leave := enter(t, g, "flood")
		outcome := make(chan string, 10)
		ask := func(p Payer) {
			go func() {
				leave, err := g.Enter(t.Context(), p)
				if err != nil {
					outcome <- string(p) + " refused"
					return
				}
				outcome <- string(p) + " served"
				leave()
			}()
			synctest.Wait()
		}
		for range 4 {
			ask("flood")
		}
		refused(t, g, "flood")
		ask("quiet")
		if got := <-outcome; got != "flood refused" {
			t.Errorf("the first to hear was %q, want the flood's last request refused", got)
		}
		leave()
		synctest.Wait()
		got := map[string]int{}
		for range 4 {
			got[<-outcome]++
		}
		if got["quiet served"] != 1 || got["flood served"] != 3 {
			t.Errorf("outcomes %v, want the quiet one and three of the flood served", got)
		}
	})
}

func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Bounds{Total: 1, PerPayer: 1, Waiting: 4, WaitingPerPayer: 4, Wait: time.Second})
		leave := enter(t, g, "a")
		start := time.Now()
		refused(t, g, "b")
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v, want a second", waited)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.Enter(ctx, "b"); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("a caller who has left: %v, want unavailable", err)
		}
		leave()
		enter(t, g, "b")()
		if len(g.payers) != 0 || g.waiting != 0 {
			t.Errorf("something is left behind: %+v", g)
		}
	})
}

// Whatever payers do, no bound is passed and nothing is left behind.
func TestNoBoundIsPassed(t *testing.T) {
	t.Parallel()
	b := Bounds{Total: 5, PerPayer: 2, Waiting: 20, WaitingPerPayer: 6, Wait: 2 * time.Millisecond}
	g := NewGate(b)
	var mu sync.Mutex
	holding, total := map[Payer]int{}, 0
	var all sync.WaitGroup
	for i := range 200 {
		p := Payer(fmt.Sprint(i % 7))
		all.Go(func() {
			for range 50 {
				leave, err := g.Enter(t.Context(), p)
				if err != nil {
					continue
				}
				mu.Lock()
				holding[p]++
				total++
				if holding[p] > b.PerPayer || total > b.Total {
					t.Errorf("%d places of %d, %d of them %q's", total, b.Total, holding[p], p)
				}
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				holding[p]--
				total--
				mu.Unlock()
				leave()
			}
		})
	}
	all.Wait()
	if len(g.payers) != 0 || g.taken != 0 || g.waiting != 0 {
		t.Errorf("something is left behind: %+v", g)
	}
}
