package faults

import (
	"bufio"
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

// hoard is more connections than a node takes.
const hoard = 10_050

// TestHoardedConnections: one address that opens more connections than a node
// takes, and keeps them idle or sends its requests by the byte, keeps no one else
// from being served.
func TestHoardedConnections(t *testing.T) {
	n := servertest.Start(t, storetest.SQLite(t))
	p := servertest.NewTenant(t, n)
	_, token := p.Key(n)
	kinds := []struct {
		name, sends string
		answered    bool // wait for the answer, which leaves the connection idle
	}{
		{"idle after one request", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", true},
		{"in the middle of a header", "GET /healthz HTTP/1.1\r\nHost: local", false},
		{"in the middle of a body", "POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", false},
	}
	for _, kind := range kinds[:servertest.Size(1, len(kinds))] {
		connections := hoardConnections(t, n.Address, kind.sends, kind.answered)
		took := servedAnew(t, n.URL, token)
		show(t, "%d connections %s: a new client is answered after %v", hoard, kind.name, took.Round(time.Millisecond))
		for _, c := range connections {
			c.Close()
		}
	}
}

// hoardConnections opens connections, sends the same on each and keeps them.
func hoardConnections(t *testing.T, address, sends string, answered bool) (all []net.Conn) {
	t.Helper()
	var mu sync.Mutex
	var opening sync.WaitGroup
	const openers = 50
	for range openers {
		opening.Go(func() {
			for range hoard / openers {
				c, err := net.DialTimeout("tcp", address, 5*time.Second)
				if err != nil {
					return // the node takes no more, which the new client will notice
				}
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
				_ = c.SetDeadline(time.Now().Add(2 * time.Second))
				if _, err := io.WriteString(c, sends); err != nil || !answered {
					continue
				}
				if a, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
					_, _ = io.Copy(io.Discard, a.Body)
					a.Body.Close()
				}
			}
		})
	}
	opening.Wait()
	return all
}

// servedAnew calls on a connection of its own and returns how long it took.
func servedAnew(t *testing.T, url, token string) time.Duration {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/project", strings.NewReader(""))
	must(t, err)
	r.Header.Set("X-Api-Key", token)
	began := time.Now()
	a, err := client.Do(r)
	if err != nil {
		t.Errorf("a new client is not served: %v", err)
		return time.Since(began)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		t.Errorf("a new client is answered %d", a.StatusCode)
	}
	return time.Since(began)
}
