package repository_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/migrations"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Each statement of a request that is traced has a span with its operation and table,
// which fails only if the database did, and holds nothing of what was asked.
func TestSpansOfStatements(t *testing.T) {
	t.Parallel()
	for engine, dsn := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := storetest.NewBreakable(t, dsn(t))
			recorder := tracetest.NewSpanRecorder()
			tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorder)).Tracer("test")
			s.Trace(tracer)
			_, err := s.CountUsers(t.Context()) // not traced
			check(t, err)
			if got := len(recorder.Ended()); got != 0 {
				t.Errorf("got %d spans outside of a request, want none", got)
			}
			ctx, request := tracer.Start(t.Context(), "request")
			_, err = s.GetUser(ctx, "usr_hunter2")
			if domain.CodeOf(err) != domain.CodeNotFound {
				t.Fatal(err)
			}
			_, err = s.CountUsers((&storetest.Fault{At: 1}).Context(ctx))
			if domain.CodeOf(err) != domain.CodeUnavailable {
				t.Fatal(err)
			}
			_, _, err = s.KeyByToken(ctx, "hunter2")
			if domain.CodeOf(err) != domain.CodeNotFound {
				t.Fatal(err)
			}
			check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error { return tx.AddSetting(ctx, "hunter2", []byte{1}) }))
			request.End()

			var got []string
			for _, span := range recorder.Ended() {
				line := span.Name()
				if span.Status().Code == codes.Error {
					line += " failed" + span.Status().Description
				}
				for _, a := range span.Attributes() {
					if strings.Contains(a.Value.String(), "hunter2") {
						line += " with what was asked"
					}
				}
				system := attribute.String("db.system.name", strings.ToLower(engine))
				if span.Name() != "request" && !slices.Contains(span.Attributes(), system) {
					line += " without the system"
				}
				got = append(got, line)
			}
			want := []string{
				"SELECT users", "SELECT users failed", "SELECT api_key_secrets", "BEGIN", "INSERT settings", "COMMIT", "request",
			}
			got = slices.DeleteFunc(got, func(line string) bool {
				return line == "SELECT changes" || line == "SELECT" // the notes of the transaction
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An observer sees each statement of a store.
func TestObserve(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.SQLite(t))
	var seen []string
	s.Observe(func(statement string) { seen = append(seen, statement) })
	_, err := s.CountUsers(t.Context())
	check(t, err)
	check(t, s.AddSetting(t.Context(), "a", []byte{1}))
	if len(seen) != 2 || !strings.Contains(seen[0], "users") || !strings.Contains(seen[1], "settings") {
		t.Errorf("got %q, want both statements", seen)
	}
}

// A node has at most so many connections, and keeps them.
func TestConnections(t *testing.T) {
	t.Parallel()
	for engine, want := range map[string][]int{"SQLite": {8, 1}, "PostgreSQL": {20}} {
		s := storetest.New(t, storetest.Engines[engine](t))
		if s.Engine() != engine {
			t.Errorf("got %s, want %s", s.Engine(), engine)
		}
		for i, pool := range repository.Pools(s) {
			if got := pool.Stats().MaxOpenConnections; got != want[i] {
				t.Errorf("%s: got at most %d connections, want %d", engine, got, want[i])
			}
			var ends []func() error
			for range min(want[i], 8) {
				conn, err := pool.Conn(t.Context())
				check(t, err)
				ends = append(ends, conn.Close)
			}
			for _, end := range ends {
				check(t, end())
			}
			if got, want := pool.Stats().Idle, min(want[i], 8); got < want {
				t.Errorf("%s: got %d idle connections, want %d", engine, got, want)
			}
		}
	}
}

// Closing a store ends its connections, and using it after that is an outage.
func TestClosedStore(t *testing.T) {
	t.Parallel()
	for _, dsn := range storetest.Engines {
		s, err := repository.Open(t.Context(), dsn(t), repository.Options{})
		check(t, err)
		check(t, s.Ping(t.Context()))
		check(t, s.Close())
		for i, pool := range repository.Pools(s) {
			if err := pool.PingContext(t.Context()); err == nil {
				t.Errorf("%s: connection pool %d is open", s.Engine(), i)
			}
		}
		_, err = s.CountUsers(t.Context())
		for _, err := range []error{err, s.Ping(t.Context())} {
			if domain.CodeOf(err) != domain.CodeUnavailable {
				t.Errorf("%s: got %v, want unavailable", s.Engine(), err)
			}
		}
	}
}

// The steps of the schema are known without a database, and are those that a database
// notes.
func TestAllMigrations(t *testing.T) {
	t.Parallel()
	for engine, dsn := range storetest.Engines {
		address := dsn(t)
		all, err := repository.AllMigrations(address)
		check(t, err)
		s, err := repository.Open(t.Context(), address, repository.Options{})
		check(t, err)
		empty, err := s.Empty(t.Context())
		if err != nil || !empty {
			t.Errorf("%s: before: empty %v, %v", engine, empty, err)
		}
		check(t, s.Migrate(t.Context()))
		empty, err = s.Empty(t.Context())
		if err != nil || empty {
			t.Errorf("%s: after: empty %v, %v", engine, empty, err)
		}
		applied, err := s.Migrations(t.Context())
		check(t, err)
		unknown, err := s.UnknownMigrations(t.Context())
		if err != nil || len(unknown) > 0 {
			t.Errorf("%s: unknown %v, %v", engine, unknown, err)
		}
		if len(all) < 19 || len(all) != len(applied) {
			t.Fatalf("%s: got %d steps, and %d applied", engine, len(all), len(applied))
		}
		other := map[string]string{"SQLite": "postgres", "PostgreSQL": "sqlite"}[engine]
		for i, m := range all {
			if !m.AppliedAt.IsZero() || applied[i].AppliedAt.IsZero() || m.Version != applied[i].Version || m.Name != applied[i].Name {
				t.Errorf("%s: got %+v and %+v", engine, m, applied[i])
			}
			if slices.Contains(migrations.Only(other), m.Name) {
				t.Errorf("%s: has %s", engine, m.Name)
			}
		}
		check(t, s.Close())
	}
}

// Guarantees that an address of another kind, or of nothing, is refused with its reason
// and without its password.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"mysql://ann:s3cr3t@db/n":                        "a database is sqlite:PATH or postgres://…, not mysql:…",
		"sqlite:":                                        "open sqlite:: the path is empty",
		"sqlite:/there/is/no/such/folder/x":              "open sqlite:/there/is/no/such/folder/x: ",
		"postgres://ann:s3cr3t@localhost:1/n":            "open postgres://ann@localhost:1/n: unavailable",
		"postgresql://ann:s3cr3t@localhost:1/n?x=y%":     "open the database: cannot be divided",
		"sqlite:" + t.TempDir() /* which is a folder */ : "open sqlite:",
	} {
		s, err := repository.Open(t.Context(), address, repository.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") || s != nil {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := repository.Open(ctx, storetest.SQLite(t), repository.Options{}); !errors.Is(err, context.Canceled) || s != nil {
		t.Errorf("got %v, want that it was canceled", err)
	}
}
