package faults

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/domain"
)

// What the load tool sends a flood with: several requests together on each
// connection, because an attacker does not wait for answers.
const (
	floodConnections = 4
	floodDepth       = 10
)

// getProject returns a request with the token.
func getProject(token string) []byte {
	return servertest.Request("GET", "/v1/project", map[string]string{"X-Api-Key": token}, "")
}

// newForged returns n well-formed tokens that no instance has made.
func newForged(t testing.TB, random *rand.ChaCha8, n int) []string {
	t.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		token, err := domain.NewToken(domain.DefaultKeyPrefix, domain.Live, random)
		must(t, err)
		tokens[i] = token.Reveal()
	}
	return tokens
}

// mistype returns the tokens with another last character, so that the check
// fails.
func mistype(tokens []string) []string {
	mistyped := slices.Clone(tokens)
	for i, token := range mistyped {
		last := byte('0')
		if token[len(token)-1] == last {
			last++
		}
		mistyped[i] = token[:len(token)-1] + string(last)
	}
	return mistyped
}

// batches returns what is written for the tokens at a time. It is made before the
// flood, so that all kinds of tokens cost the load tool the same.
func batches(tokens []string) [][]byte {
	var all [][]byte
	for part := range slices.Chunk(tokens, floodDepth) {
		var b []byte
		for _, token := range part {
			b = append(b, getProject(token)...)
		}
		all = append(all, b)
	}
	return all
}

// flood sends the batches again and again until ctx ends, at most perSecond
// requests a second if that is not 0. It returns how many were answered and how
// many of them in a second, and fails the test for every status but want.
func flood(ctx context.Context, t *testing.T, n *servertest.Server, perSecond float64, batches [][]byte, want int) (int, float64) {
	t.Helper()
	status := fmt.Appendf(nil, "HTTP/1.1 %d ", want)
	var sent, answered atomic.Int64
	var flooding sync.WaitGroup
	began := time.Now()
	for range floodConnections {
		flooding.Go(func() {
			conn, answers := dial(t, n)
			defer conn.Close()
			for ctx.Err() == nil {
				at := sent.Add(1) - 1
				if perSecond > 0 {
					wait(ctx, began.Add(time.Duration(float64(at*floodDepth)/perSecond*float64(time.Second))))
				}
				_, err := conn.Write(batches[at%int64(len(batches))])
				for i := 0; i < floodDepth && err == nil; i++ {
					err = expect(answers, status)
				}
				if err != nil {
					t.Errorf("flood: %v", err)
					return
				}
				answered.Add(floodDepth)
			}
		})
	}
	flooding.Wait()
	return int(answered.Load()), float64(answered.Load()) / time.Since(began).Seconds()
}

// wait returns at a time, or when ctx ends.
func wait(ctx context.Context, until time.Time) {
	select {
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
	}
}

func dial(t *testing.T, n *servertest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", n.Address)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return conn, bufio.NewReaderSize(conn, 16<<10)
}

// expect reads an answer, which must have the status.
func expect(answers *bufio.Reader, status []byte) error {
	line, err := servertest.ReadAnswer(answers)
	if err == nil && !bytes.Equal(line, status) {
		err = fmt.Errorf("got %q, want %q", line, status)
	}
	return err
}

// probePerSecond is how many good requests are sent beside a flood.
const probePerSecond = 500

// probe sends good requests at their times until ctx ends, whether or not the
// ones before have been answered, and returns how long after its time each was
// answered.
func probe(ctx context.Context, t *testing.T, n *servertest.Server, token string) []time.Duration {
	t.Helper()
	const connections = 16
	request, status := getProject(token), []byte("HTTP/1.1 200 ")
	took := make([][]time.Duration, connections)
	var probing sync.WaitGroup
	began := time.Now()
	for c := range connections {
		probing.Go(func() {
			conn, answers := dial(t, n)
			defer conn.Close()
			for at := began.Add(time.Duration(c) * time.Second / probePerSecond); ctx.Err() == nil; {
				wait(ctx, at)
				_, err := conn.Write(request)
				if err == nil {
					err = expect(answers, status)
				}
				if err != nil {
					t.Errorf("a good request: %v", err)
					return
				}
				took[c] = append(took[c], time.Since(at))
				at = at.Add(connections * time.Second / probePerSecond)
			}
		})
	}
	probing.Wait()
	return slices.Concat(took...)
}

// statements counts what a database has been asked, by PostgreSQL's own count.
type statements struct {
	t    testing.TB
	conn *pgx.Conn
}

// preloaded is the setting of a cluster that counts statements.
const preloaded = "shared_preload_libraries=pg_stat_statements"

func newStatements(t testing.TB, database string) statements {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), "CREATE EXTENSION pg_stat_statements")
	must(t, err)
	return statements{t, conn}
}

// count returns how many statements there have been, and how many of them looked
// for the key of a token.
func (s statements) count() (all, lookups int) {
	s.t.Helper()
	rows, err := s.conn.Query(s.t.Context(), `SELECT query, calls FROM pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	must(s.t, err)
	var query string
	var calls int
	_, err = pgx.ForEachRow(rows, []any{&query, &calls}, func() error {
		if strings.Contains(query, "pg_stat_statements") {
			return nil
		}
		all += calls
		if strings.HasPrefix(query, "SELECT") && strings.Contains(query, "api_key_secrets") && strings.Contains(query, "token_id =") {
			lookups += calls
		}
		return nil
	})
	must(s.t, err)
	return all, lookups
}
