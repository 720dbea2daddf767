// Package storetest gives tests real databases: a private PostgreSQL cluster
// that the test process starts, and a new database in it for each test, so that
// tests run in parallel and need no running server.
package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/domain"
)

// Postgres returns the address of a new, empty PostgreSQL database for t. All
// tests of the process share one cluster. The database is dropped when t ends.
// Writes are not synced to disk: a crash of the machine would lose them, a
// crash of the program under test does not.
func Postgres(t testing.TB) string {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return c.Database(t)
}

var shared = sync.OnceValues(func() (*Cluster, error) {
	if dir := os.Getenv(sharedCluster); dir != "" {
		return &Cluster{dir: dir}, nil
	}
	return start("fsync=off", "synchronous_commit=off", "full_page_writes=off")
})

// Cluster is a PostgreSQL server with its own data directory. It is reached
// through a Unix socket that only this user can open. It stops, and its
// directory is removed, when the process that started it ends in any way.
type Cluster struct {
	dir       string
	bin       string
	owner     *syscall.Credential
	databases atomic.Int64
	lifeline  *os.File // the server stops when the last copy of this closes
	done      chan struct{}
}

// NewCluster starts a cluster for t, with settings as in postgresql.conf
// ("max_connections=20"). Unlike Postgres it syncs writes to disk. It is
// stopped when t ends.
func NewCluster(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c, err := start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

// Database returns the address of a new, empty database of the cluster. It is
// dropped when t ends.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d%05d", os.Getpid(), c.databases.Add(1)) // processes may share the cluster
	if err := c.exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.exec(context.WithoutCancel(t.Context()), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return c.dsn(name)
}

// dsn includes a host besides the directory of the socket, because some readers
// of such addresses require one.
func (c *Cluster) dsn(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: "localhost:5432", Path: "/" + database,
		RawQuery: url.Values{"host": {c.dir}, "sslmode": {"disable"}}.Encode()}
	return u.String()
}

func (c *Cluster) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the test cluster: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Socket returns the path of the Unix socket that the server listens on.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// Owner is the user the server runs as; nil for the user who runs the tests.
func (c *Cluster) Owner() *syscall.Credential { return c.owner }

// Program returns the path of one of PostgreSQL's own programs.
func (c *Cluster) Program(name string) string {
	beside := filepath.Join(c.bin, "initdb") // which may be a link to where all of them are
	if target, err := filepath.EvalSymlinks(beside); err == nil {
		beside = target
	}
	return filepath.Join(filepath.Dir(beside), name)
}

// CopyKeys adds n copies of a key that is in the database, with new ids, tokens
// and digests, and returns their tokens. It is for measurements: no other way
// makes so many keys so fast.
func CopyKeys(
	t testing.TB, dsn string, n int, mint func(domain.KeyID, domain.ProjectID) (domain.Token, []byte, error),
) ([]domain.Token, error) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var project, model string
	if err := conn.QueryRow(ctx, "SELECT project_id, id FROM api_keys WHERE revoked_at IS NULL LIMIT 1").
		Scan(&project, &model); err != nil {
		return nil, err
	}
	now := time.Now()
	tokens := make([]domain.Token, n)
	ids := make([]domain.KeyID, n)
	digests := make([][]byte, n)
	for i := range tokens {
		ids[i] = domain.NewID[domain.KeyID](now)
		if tokens[i], digests[i], err = mint(ids[i], domain.ProjectID(project)); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Exec(ctx, "CREATE TEMPORARY TABLE copied (id TEXT, token TEXT, prefix TEXT, digest BYTEA)"); err != nil {
		return nil, err
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"id", "token", "prefix", "digest"},
		pgx.CopyFromSlice(n, func(i int) ([]any, error) {
			return []any{ids[i], tokens[i].ID(), tokens[i].Prefix(), digests[i]}, nil
		}))
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		`INSERT INTO api_keys SELECT (jsonb_populate_record(k, jsonb_build_object('id', c.id, 'prefix', c.prefix))).*
			FROM copied c, api_keys k WHERE k.id = '` + model + `'`,
		`INSERT INTO api_key_secrets SELECT (jsonb_populate_record(s, jsonb_build_object('key_id', c.id, 'token_id', c.token,
			'prefix', c.prefix, 'digest', c.digest, 'tagged', true))).* FROM copied c, api_key_secrets s WHERE s.key_id = '` + model + `'`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	_, err = conn.Exec(ctx, "VACUUM (ANALYZE)") // as in a table that is some time old: with statistics, and hint bits on its rows
	return tokens, err
}

// Kill ends the server as a power failure of its machine would. Start brings it
// back.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Start starts a killed server, after its remaining processes have ended. It
// then recovers from its log.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	var said []byte
	for deadline := time.Now().Add(startAgain); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(c.bin, "pg_ctl"), "-D", "data", "-s", "-w", "-l", "log", "start")
		cmd.Dir = c.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.owner}
		var err error
		if said, err = cmd.CombinedOutput(); err == nil {
			return
		}
	}
	t.Fatalf("the cluster does not start again: %s", said)
}

const startAgain = 30 * time.Second

func (c *Cluster) stop() {
	c.lifeline.Close()
	<-c.done
}

// supervise makes a cluster, prints that it is ready, and removes it when its
// standard input ends. A pipe makes this certain: the kernel closes the other
// end however the test process dies, without a signal handler.
const supervise = `
bin=$1 dir=$2; shift 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" &&
"$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1 &&
printf '%s\n' "listen_addresses=''" port=5432 "unix_socket_directories='$dir'" "max_connections=400" "$@" >>data/postgresql.conf &&
"$bin/pg_ctl" -D data -s -w -l log start >>log 2>&1 || { cat log; exit 1; }
echo ready
cat >/dev/null
"$bin/pg_ctl" -D data -s -w -m immediate stop >>log 2>&1
`

func start(settings ...string) (*Cluster, error) {
	bin, err := serverPrograms()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "latchkey-postgres-")
	if err != nil {
		return nil, err
	}
	supervisor := exec.Command("/bin/sh", slices.Concat([]string{"-c", supervise, "supervise", bin, dir}, settings)...)
	// A group of its own, so that an interrupt from the terminal reaches the
	// tests first and the supervisor through its pipe.
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: owner}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
	}
	in, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	supervisor.Stdin = in
	out, err := supervisor.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := supervisor.Start(); err != nil {
		return nil, fmt.Errorf("start a PostgreSQL cluster for tests: %w", err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); said.WriteString(lines.Text() + "\n") {
		if lines.Text() == "ready" {
			c := &Cluster{dir: dir, bin: bin, owner: owner, lifeline: lifeline, done: make(chan struct{})}
			go func() {
				defer close(c.done)
				_ = supervisor.Wait() // it has nothing more to report
			}()
			return c, nil
		}
	}
	lifeline.Close()
	return nil, fmt.Errorf("the PostgreSQL cluster for tests did not start (%w):\n%s", supervisor.Wait(), said.String())
}

// serverPrograms finds the directory of initdb and pg_ctl: on the PATH, or the
// newest one outside of it that a Linux distribution has installed.
func serverPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		found = append(found, matches...)
	}
	if len(found) == 0 {
		return "", errors.New("these tests start a PostgreSQL server of their own, " +
			"and its programs (initdb, pg_ctl) are not on this machine: " +
			"install them, on Debian and Ubuntu with `apt-get install postgresql`, or put them on the PATH")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

// version reads the major version from a path like
// /usr/lib/postgresql/17/bin/initdb.
func version(path string) int {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, path)
	n, _ := strconv.Atoi(digits) // 0 sorts first, which is right for no number
	return n
}

// unprivileged returns the user to run the server as if this process is root:
// PostgreSQL refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is what SysProcAttr takes for "as we are"
	}
	for _, name := range []string{"postgres", "daemon"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, " +
		"and this machine has neither a user postgres nor daemon: run the tests as another user")
}
