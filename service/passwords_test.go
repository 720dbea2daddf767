package service_test

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Guarantees that a hundred people who sign in at the same moment take the memory
// of as many hashes as there are cores and not of a hundred (which is 1.9 GB): all
// get in, or are asked to come back. It runs alone, for it measures the process.
func TestParallelLogIns(t *testing.T) { //nolint:paralleltest // see above
	w := newWorld(t, storetest.SQLite(t))
	w.signUp("ann@example.com")
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	peak, stop := make(chan uint64), make(chan struct{})
	go func() {
		var most uint64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(time.Millisecond):
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapInuse)
			}
		}
	}()
	var mu sync.Mutex
	answers := map[domain.Code]int{}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			_, err := w.LogIn(w.Context(), domain.Origin{IP: "192.0.2.1"}, "ann@example.com", password)
			mu.Lock()
			defer mu.Unlock()
			answers[domain.CodeOf(err)]++
		})
	}
	all.Wait()
	close(stop)
	most := int64(<-peak) - int64(before.HeapInuse)
	t.Logf("100 sign-ins at the same time: %d in, %d asked to come back; %d MiB more heap at most", answers[""],
		answers[domain.CodeUnavailable], most>>20)
	if answers[""] == 0 || answers[""]+answers[domain.CodeUnavailable] != 100 {
		t.Errorf("got answers %v, want only sign-ins and unavailable", answers)
	}
	// Each hash takes 19 MiB, and what it leaves is collected when the heap has
	// doubled: four times the gate leaves room for a slow collector.
	if bound := int64(19<<20) * int64(4*runtime.GOMAXPROCS(0)+4); most > bound {
		t.Errorf("got %d MiB more heap, want at most %d", most>>20, bound>>20)
	}
}

// Guarantees that no one learns from the time of an answer whether an address has
// an account: a rank test over interleaved sign-ins with a wrong password, to an
// account and to none, cannot tell the two apart. It runs alone, and again when it
// does find a difference, since one in a thousand is found by chance.
func TestUnknownAddressTakesTheSameTime(t *testing.T) { //nolint:paralleltest // see above
	w := newWorld(t, storetest.SQLite(t))
	w.signUp("ann@example.com")
	var z float64
	for range 3 {
		var known, unknown []time.Duration
		for i := range rounds(1000) / 2 {
			for j := range 2 {
				from := domain.Origin{IP: fmt.Sprintf("192.0.%d.%d", i%256, j)} // no address has a wrong one too many
				email, times := "ann@example.com", &known
				if (i+j)%2 == 0 { // neither always goes first
					email, times = "nil@example.com", &unknown
				}
				started := time.Now()
				_, err := w.LogIn(w.Context(), from, email, "a wrong passphrase")
				*times = append(*times, time.Since(started))
				w.code(err, domain.CodeInvalidCredentials)
			}
			w.Pass(time.Minute)
		}
		z = rankTest(known, unknown)
		t.Logf("medians %s with an account and %s without, of %d each: z = %.2f", median(known), median(unknown), len(known), z)
		if math.Abs(z) < 3.29 { // p = 0.001, two-sided
			return
		}
	}
	t.Errorf("the times differ: z = %.2f", z)
}

// rankTest is the standardized statistic of Mann and Whitney: 0 where neither
// sample tends to be larger, normally distributed with deviation 1 by chance.
func rankTest(a, b []time.Duration) float64 {
	type timed struct {
		d     time.Duration
		fromA bool
	}
	var all []timed
	for _, d := range a {
		all = append(all, timed{d, true})
	}
	for _, d := range b {
		all = append(all, timed{d, false})
	}
	slices.SortFunc(all, func(x, y timed) int { return cmp.Compare(x.d, y.d) })
	ranks := 0.0
	for i, x := range all {
		if x.fromA {
			ranks += float64(i + 1)
		}
	}
	n, m := float64(len(a)), float64(len(b))
	u := ranks - n*(n+1)/2
	return (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
