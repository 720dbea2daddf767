package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// TestForgedFlood: well-formed tokens that this instance never made cost the
// database nothing, are refused as fast as mistyped ones, hardly slow those who
// are known, and keep no key from its first use.
func TestForgedFlood(t *testing.T) {
	cluster := storetest.NewCluster(t)
	n := servertest.Start(t, cluster.Database(t))
	p := servertest.NewTenant(t, n)
	_, token := p.Key(n)
	project(t.Context(), n, token)
	unused := make(chan string, servertest.Size(50, 1000))
	for range cap(unused) {
		_, other := p.Key(n)
		unused <- other
	}
	close(unused)
	eventually(t, 30*time.Second, "forged tokens cost no look-up", func() bool {
		before := n.Metric("latchkey_key_cache_loads_total")
		project(t.Context(), n, forged())
		return n.Metric("latchkey_key_cache_loads_total") == before
	})
	total, perSecond := servertest.Size(10_000, 4_000_000), servertest.Size(5000, 1_000_000)
	good := func(ctx context.Context) servertest.Answer { return project(ctx, n, token) }
	timed := func(total int, token func() string) (rate float64, counts map[string]int) {
		began := time.Now()
		counts = flood(t, n, total, perSecond, token)
		return float64(total) / time.Since(began).Seconds(), counts
	}

	alone, stop := load(t.Context(), 2, 4*time.Millisecond, good)
	time.Sleep(servertest.Size(time.Second, 30*time.Second))
	stop()
	ordinary, stop := load(t.Context(), 2, 4*time.Millisecond, good)
	timed(total/10, func() string { return token })
	stop()
	_, stop = load(t.Context(), 2, 4*time.Millisecond, good)
	mistyped, _ := timed(total/10, func() string { return token[:len(token)-1] + "_" })
	stop()

	before := n.Metric("latchkey_key_cache_loads_total")
	first := &tally{}
	var using sync.WaitGroup
	using.Go(func() {
		for other := range unused {
			first.add(project(t.Context(), n, other))
		}
	})
	beside, stop := load(t.Context(), 2, 4*time.Millisecond, good)
	rate, counts := timed(total, forged)
	stop()
	using.Wait()
	lookups := n.Metric("latchkey_key_cache_loads_total") - before - float64(first.total())
	if lookups > 0 {
		t.Errorf("%d forged tokens cost %.0f look-ups, want none", total, lookups)
	}
	if counts["401"] != total {
		t.Errorf("forged tokens got %v, want only 401", counts)
	}
	first.only(t, 200)
	beside.only(t, 200)
	if *servertest.Full && rate < 0.95*mistyped {
		t.Errorf("%.0f forged tokens a second are refused, and %.0f mistyped ones", rate, mistyped)
	}
	show(t, "%d forged, %.0f/s (%.2f of mistyped ones), %.0f look-ups; %d first uses beside them %v; "+
		"good ones p99 %v alone, %v beside as many good ones, %v beside the flood",
		total, rate, rate/mistyped, lookups, first.total(), first.count, alone.percentile(.99), ordinary.percentile(.99),
		beside.percentile(.99))
}

// flood sends so many requests, at most so many a second, several together on
// each connection, because an attacker does not wait for answers. It counts the
// answers by status.
func flood(t *testing.T, n *servertest.Server, total, perSecond int, token func() string) map[string]int {
	t.Helper()
	const connections, depth = 4, 10
	counts := map[string]int{}
	var mu sync.Mutex
	var flooding sync.WaitGroup
	for range connections {
		flooding.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			own := map[string]int{}
			tick := time.NewTicker(time.Second * connections * depth / time.Duration(perSecond))
			defer tick.Stop()
			for range total / connections / depth {
				<-tick.C
				var requests strings.Builder
				for range depth {
					fmt.Fprintf(&requests, "GET /v1/project HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\n\r\n", token())
				}
				_, err := io.WriteString(conn, requests.String())
				for i := 0; i < depth && err == nil; i++ {
					err = readStatus(answers, own)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for status, n := range own {
				counts[status] += n
			}
		})
	}
	flooding.Wait()
	return counts
}

// readStatus reads one answer and counts its status.
func readStatus(from *bufio.Reader, counts map[string]int) error {
	a, err := http.ReadResponse(from, nil)
	if err != nil {
		return err
	}
	counts[a.Status[:3]]++
	_, err = io.Copy(io.Discard, a.Body)
	return errors.Join(err, a.Body.Close())
}
