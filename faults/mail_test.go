package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// mailServer takes email by SMTP and remembers when each address got some.
type mailServer struct {
	address string
	closed  atomic.Bool // hangs up on every connection

	mu    sync.Mutex
	taken map[string][]time.Time
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	s := &mailServer{address: listener.Addr().String(), taken: map[string][]time.Time{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.converse(conn)
		}
	}()
	return s
}

// converse refuses for good who is called refused@….
func (s *mailServer) converse(conn net.Conn) {
	defer conn.Close()
	if s.closed.Load() {
		return
	}
	fmt.Fprint(conn, "220 test ESMTP\r\n")
	var to string
	data := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		command, rest, _ := strings.Cut(lines.Text(), " ")
		switch {
		case data && lines.Text() == ".":
			data = false
			s.mu.Lock()
			s.taken[to] = append(s.taken[to], time.Now())
			s.mu.Unlock()
			fmt.Fprint(conn, "250 taken\r\n")
		case data:
		case command == "EHLO":
			fmt.Fprint(conn, "250-test\r\n250 8BITMIME\r\n")
		case command == "RCPT" && strings.HasPrefix(rest, "TO:<refused"):
			fmt.Fprint(conn, "550 no such person\r\n")
		case command == "RCPT":
			to, _, _ = strings.Cut(strings.TrimPrefix(rest, "TO:<"), ">")
			fmt.Fprint(conn, "250 ok\r\n")
		case command == "DATA":
			data = true
			fmt.Fprint(conn, "354 send it\r\n")
		case command == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

func (s *mailServer) arrived(to string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.taken[to]...)
}

func (s *mailServer) node(t *testing.T, dsn string) *servertest.Server {
	t.Helper()
	return servertest.Start(t, dsn, "LATCHKEY_SMTP_URL=smtp://"+s.address+"?from=keys@example.com", "LATCHKEY_TRUSTED_PROXIES=127.0.0.1/32")
}

var signUps atomic.Int64

// signUp asks for an account, from a network of its own, and returns the status;
// 0 without an answer.
func signUp(ctx context.Context, n *servertest.Server, email string) int {
	body, err := json.Marshal(map[string]string{"email": email, "password": "seven violet lamps at the harbour"})
	if err != nil {
		return 0
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL+"/v1/auth/signup", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	from := signUps.Add(1)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.1", from/250, from%250))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body) // only the status counts
	return answer.StatusCode
}

// TestUndeliverableEmailDelaysNoOther: addresses that no email can reach, and
// those that the mail server refuses for good, delay no other email.
func TestUndeliverableEmailDelaysNoOther(t *testing.T) {
	for name, database := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			server := newMailServer(t)
			n := server.node(t, database(t))
			for _, bad := range []string{
				"x..y@example.com", "x..z@example.com", ".x@example.com", "x.@example.com",
				"refused1@example.com", "refused2@example.com", "refused3@example.com",
			} {
				if got := signUp(t.Context(), n, bad); got != 202 && got != 422 {
					t.Fatalf("signing up as %s: got %d, want 202 or 422", bad, got)
				}
			}
			if got := signUp(t.Context(), n, "ann@example.com"); got != 202 {
				t.Fatalf("signing up: got %d, want 202", got)
			}
			took := eventually(t, 5*time.Second, "an email arrives after undeliverable ones", func() bool {
				return len(server.arrived("ann@example.com")) > 0
			})
			show(t, "7 undeliverable addresses before it: the next email arrived after %v", took.Round(time.Millisecond))
		})
	}
}

// TestKilledBeforeTheEmail: every email whose cause was acknowledged arrives,
// however often the process dies in between, and none arrives twice other than
// those under way when it died.
func TestKilledBeforeTheEmail(t *testing.T) {
	for name, database := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			server := newMailServer(t)
			n := server.node(t, database(t))
			var mu sync.Mutex
			var expected []string
			var kills []time.Time
			acknowledged := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(expected)
			}
			random := rand.New(rand.NewPCG(11, 52))
			for range servertest.Size(2, 50) {
				// The mail server is away for half of the rounds: then everything waits.
				server.closed.Store(!*servertest.Full || random.IntN(2) == 0)
				ctx, stop := context.WithCancel(t.Context())
				var writing sync.WaitGroup
				for range 3 {
					writing.Go(func() {
						for ctx.Err() == nil {
							email := fmt.Sprintf("m%d@example.com", signUps.Add(1))
							if signUp(ctx, n, email) != 202 {
								return
							}
							mu.Lock()
							expected = append(expected, email)
							mu.Unlock()
						}
					})
				}
				before := acknowledged()
				eventually(t, 30*time.Second, "people sign up", func() bool { return acknowledged() > before+1 })
				time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
				n.Kill()
				kills = append(kills, time.Now())
				stop()
				writing.Wait()
				n.Run()
			}
			server.closed.Store(false)
			took := eventually(t, 3*time.Minute, "every email arrives", func() bool {
				for _, email := range expected {
					if len(server.arrived(email)) == 0 {
						return false
					}
				}
				return true
			})
			twice := 0
			for _, email := range expected {
				arrived := server.arrived(email)
				if len(arrived) < 2 {
					continue
				}
				twice++
				if !underWay(arrived[0], kills) {
					t.Errorf("an email arrived %d times, and was not under way at a kill", len(arrived))
				}
			}
			show(t, "%d kills, %d emails: all arrived, the last %v after the mail server came back, %d twice that were under way",
				len(kills), len(expected), took.Round(time.Second), twice)
		})
	}
}

// underWay reports whether an email that arrived at a time may still have been
// in a node's hands when one was killed.
func underWay(arrived time.Time, kills []time.Time) bool {
	for _, kill := range kills {
		if before := kill.Sub(arrived); before > -time.Second && before < time.Second {
			return true
		}
	}
	return false
}
