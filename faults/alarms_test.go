//go:build operations

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// execute runs a statement on a database.
func execute(t testing.TB, database, statement string) {
	t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(t.Context()), database)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(context.WithoutCancel(t.Context()), statement)
	must(t, err)
}

// work is what customers do all the time.
func (w *watched) work(p *servertest.Tenant) (stop func()) {
	_, token := p.Key(w.nodes[0], string(domain.KeysVerify))
	var stops []func()
	for _, n := range w.nodes {
		for _, send := range []func(context.Context) servertest.Answer{
			func(ctx context.Context) servertest.Answer { return project(ctx, n, token) },
			func(ctx context.Context) servertest.Answer {
				return call(ctx, http.MethodPost, n.URL+"/v1/keys/verify", token, map[string]string{"key": token})
			},
			func(ctx context.Context) servertest.Answer {
				return call(ctx, http.MethodPost, p.Keys(n), p.Bearer, map[string]any{"name": "k", "scopes": []string{}})
			},
			func(ctx context.Context) servertest.Answer {
				return call(ctx, http.MethodGet, p.Keys(n), p.Bearer, nil)
			},
		} {
			_, stop := load(w.Context(), 1, 40*time.Millisecond, send)
			stops = append(stops, stop)
		}
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// health is how long nothing may fire before the faults.
func health() time.Duration { return servertest.Size(10*time.Second, 2*time.Minute) }

// TestAlarms: each alarm of deploy/prometheus fires in its fault, ends after it, and is
// silent in health; each query of the dashboard has a value. Prometheus scrapes two nodes
// that work.
func TestAlarms(t *testing.T) {
	cluster := storetest.NewCluster(t, "max_connections=400")
	t.Cleanup(func() { writeAlarms(t) })
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		database := cluster.Database(t)
		through := newProxy(t, cluster.Socket())
		w := startWatched(t, through.dsn(database), "LATCHKEY_OUTAGE_GRACE=8s")
		p := servertest.NewTenant(t, w.nodes[0])
		w.watch()
		defer w.work(p)()
		w.quiet(health())
		w.fault("the database is out of reach", []string{
			"LatchkeyOutOfSync", "LatchkeyGraceOver", "LatchkeyUnavailable", "LatchkeyUsageNotWritten",
		}, func() func() {
			through.set(refuses)
			return func() { through.set(passes) }
		})
		w.fault("each answer of the database takes 400 ms more", []string{"LatchkeyDatabaseSlow", "LatchkeySlow"}, func() func() {
			through.delay.Store(int64(400 * time.Millisecond))
			return func() { through.delay.Store(0) }
		})
		w.fault("a table is locked, and 300 clients wait for it", []string{"LatchkeyDatabaseQueue"}, func() func() {
			conn, err := pgx.Connect(t.Context(), database)
			must(t, err)
			_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
			must(t, err)
			_, stop := load(t.Context(), 300, 100*time.Millisecond, func(ctx context.Context) servertest.Answer {
				return call(ctx, http.MethodGet, p.Keys(w.nodes[0]), p.Bearer, nil)
			})
			return func() {
				must(t, conn.Close(context.WithoutCancel(t.Context())))
				stop()
			}
		})
	})
	t.Run("nodes", func(t *testing.T) {
		t.Parallel()
		database := cluster.Database(t)
		w := startWatched(t, database)
		p := servertest.NewTenant(t, w.nodes[0])
		w.watch()
		defer w.work(p)()
		w.quiet(health())
		w.fault("a node is killed", []string{"LatchkeyNodeDown"}, func() func() {
			w.nodes[1].Kill()
			return w.nodes[1].Run
		})
		w.fault("a node starts again and again", []string{"LatchkeyNodeRestarts"}, func() func() {
			for range 3 {
				w.nodes[1].Kill()
				w.nodes[1].Run()
				seen := w.nodes[1].Metric("process_start_time_seconds")
				eventually(t, time.Minute, "Prometheus sees the new process", func() bool {
					return len(w.query(fmt.Sprintf("abs(process_start_time_seconds - %f) < 0.005", seen))) > 0
				})
			}
			return func() {}
		})
		w.fault("a third node shares the limits, and Prometheus does not know it", []string{"LatchkeyShareTooSmall"}, func() func() {
			return servertest.Start(t, database).End
		})
		w.fault("a table is missing", []string{"LatchkeyInternalErrors"}, func() func() {
			execute(t, database, "ALTER TABLE audit_events RENAME TO gone")
			events := w.nodes[0].URL + "/v1/organizations/" + p.Organization + "/audit-events"
			_, stop := load(t.Context(), 1, 100*time.Millisecond, func(ctx context.Context) servertest.Answer {
				return call(ctx, http.MethodGet, events, p.Bearer, nil)
			})
			return func() {
				execute(t, database, "ALTER TABLE gone RENAME TO audit_events")
				stop()
			}
		})
		w.panels()
		w.fault("a node may open few files", []string{"LatchkeyFilesRunOut"}, func() func() {
			var before unix.Rlimit
			must(t, unix.Prlimit(w.nodes[1].PID(), unix.RLIMIT_NOFILE, nil, &before))
			few := &unix.Rlimit{Cur: uint64(w.nodes[1].Metric("process_open_fds") * 1.15), Max: before.Max}
			must(t, unix.Prlimit(w.nodes[1].PID(), unix.RLIMIT_NOFILE, few, nil))
			return func() { must(t, unix.Prlimit(w.nodes[1].PID(), unix.RLIMIT_NOFILE, &before, nil)) }
		})
	})
	t.Run("strangers", func(t *testing.T) {
		t.Parallel()
		database := cluster.Database(t)
		server := newMailServer(t)
		mail := "LATCHKEY_SMTP_URL=smtp://" + server.address + "?from=keys@example.com"
		w := startWatched(t, database, mail, "LATCHKEY_TRUSTED_PROXIES=127.0.0.1/32")
		w.watch()
		w.quiet(health())
		w.fault("400 unknown keys a second", []string{"LatchkeyInvalidKeys"}, func() func() {
			_, stop := load(t.Context(), 8, 20*time.Millisecond, func(ctx context.Context) servertest.Answer {
				return project(ctx, w.nodes[0], forged())
			})
			return stop
		})
		w.fault("300 clients sign in at the same time", []string{"LatchkeyTurnsRefused"}, func() func() {
			_, stop := load(t.Context(), 300, 100*time.Millisecond, func(ctx context.Context) servertest.Answer {
				return logInSomewhere(ctx, w.nodes[0])
			})
			return stop
		})
		w.fault("the mail server refuses every address", []string{"LatchkeyEmailFails"}, func() func() {
			for i := range 12 {
				signUp(t.Context(), w.nodes[0], fmt.Sprintf("refused%d@example.com", i))
			}
			return func() {}
		})
		w.fault("the mail server is away", []string{"LatchkeyEmailLate"}, func() func() {
			server.closed.Store(true)
			signUp(t.Context(), w.nodes[0], "ann@example.com")
			return func() { server.closed.Store(false) }
		})
	})
}

// logInSomewhere tries to sign in to an account that does not exist, from a network of
// its own.
func logInSomewhere(ctx context.Context, n *servertest.Server) (a servertest.Answer) {
	from := signUps.Add(1)
	body := fmt.Sprintf(`{"email": "person%d@example.com", "password": "seven violet lamps at the harbour"}`, from)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL+"/v1/auth/login", strings.NewReader(body))
	if err != nil {
		return a
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.1", from/250%250, from%250))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return a
	}
	answer.Body.Close()
	a.Status = answer.StatusCode
	return a
}

// panels evaluates every query of the dashboard, as Grafana sends it.
func (w *watched) panels() {
	w.Helper()
	text, err := os.ReadFile("../deploy/grafana/latchkey.json")
	must(w, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	must(w, json.NewDecoder(bytes.NewReader(text)).Decode(&dashboard))
	variables := strings.NewReplacer("$job", "latchkey", "$__rate_interval", "1m")
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			values := w.query(variables.Replace(target.Expr))
			if len(values) == 0 {
				w.Errorf("panel %q: %s has no value", p.Title, target.Expr)
				continue
			}
			most := math.Inf(-1)
			for _, v := range values {
				number, err := strconv.ParseFloat(v, 64)
				must(w, err)
				if number > most { // and not NaN, which is the time of no request
					most = number
				}
			}
			w.report(&panels, "%s\t%d\t%.4g", p.Title, len(values), most)
		}
	}
}
