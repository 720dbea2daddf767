package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey": main})
}

// TestScripts uses the command as a person at a terminal does. The scripts in
// testdata/each run on both databases.
func TestScripts(t *testing.T) {
	t.Parallel()
	for name, dirs := range map[string][]string{"SQLite": {"each", "sqlite"}, "PostgreSQL": {"each", "postgres"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, dir := range dirs {
				testscript.Run(t, testscript.Params{
					Dir:   filepath.Join("testdata", dir),
					Setup: func(e *testscript.Env) error { return setUp(e, name == "PostgreSQL") },
					Cmds: map[string]func(*testscript.TestScript, bool, []string){
						"serve": serve, "shutdown": shutdown, "terminate": terminate, "ended": ended, "crash": crash,
						"set": set, "readme": readme, "goclient": goclient,
					},
				})
			}
		})
	}
}

// setUp gives a script a database of its own; SQLite needs no setting for it.
func setUp(e *testscript.Env, postgres bool) error {
	e.Setenv("LATCHKEY_LISTEN", "127.0.0.1:0")
	e.Setenv("LATCHKEY_ADMIN_LISTEN", "127.0.0.1:0")
	t, ok := e.T().(testing.TB)
	if !ok {
		return errors.New("testscript no longer hands out a testing.TB")
	}
	if postgres {
		e.Setenv("LATCHKEY_DATABASE", storetest.Postgres(t))
		e.Setenv("LATCHKEY_MASTER_KEY", service.NewMasterKey())
	}
	e.Values[contextKey{}] = t.Context()
	e.Values[serverKey{}] = &backgroundServer{}
	return nil
}

// Keys of what a script carries along.
type (
	contextKey struct{}
	serverKey  struct{}
)

// backgroundServer is what a script has started with serve.
type backgroundServer struct{ cmd *exec.Cmd }

func serverOf(ts *testscript.TestScript) *backgroundServer {
	return ts.Value(serverKey{}).(*backgroundServer)
}

// serve starts latchkey serve with the flags given, waits until it says that it
// serves, and sets URL, ADMIN_URL, and ADDRESS where it really listens.
func serve(ts *testscript.TestScript, neg bool, flags []string) {
	b := serverOf(ts)
	if neg || b.cmd != nil {
		ts.Fatalf("usage: serve [FLAGS], with no server running; one that must not start: ! latchkey serve")
	}
	b.cmd = exec.Command("latchkey", append([]string{"serve"}, flags...)...)
	b.cmd.Dir = ts.MkAbs(".")
	b.cmd.Env = append(os.Environ(), "LATCHKEY_LOG=json")
	for _, name := range []string{"LISTEN", "ADMIN_LISTEN", "DATABASE", "MASTER_KEY", "PUBLIC_URL"} {
		b.cmd.Env = append(b.cmd.Env, settingPrefix+name+"="+ts.Getenv(settingPrefix+name))
	}
	stderr, err := b.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	ts.Defer(func() {
		if b.cmd != nil {
			_ = b.cmd.Process.Kill() // it may have ended
			_ = b.cmd.Wait()
		}
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		ts.Logf("%s", lines.Text())
		var line struct {
			Msg   string `json:"msg"`
			URL   string `json:"url"`
			Admin string `json:"admin"`

			Address string `json:"address"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			ts.Setenv("URL", line.URL)
			ts.Setenv("ADDRESS", line.Address)
			ts.Setenv("ADMIN_URL", "http://"+line.Admin)
			go func() {
				for lines.Scan() { // what it says later is not waited for
				}
			}()
			return
		}
	}
	ts.Fatalf("latchkey serve ended: %v", b.cmd.Wait())
}

// shutdown asks the server to end, as Ctrl-C does, and requires that it ends
// well.
func shutdown(ts *testscript.TestScript, _ bool, _ []string) { end(ts, os.Interrupt) }

// terminate asks the server to end, as a supervisor does, and does not wait.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(serverOf(ts).cmd.Process.Signal(syscall.SIGTERM))
}

// ended waits for the server that was asked to end, and requires that it does so
// well.
func ended(ts *testscript.TestScript, _ bool, _ []string) { end(ts, syscall.Signal(0)) }

// crash ends the server with no chance to do anything more.
func crash(ts *testscript.TestScript, _ bool, _ []string) { end(ts, syscall.SIGKILL) }

func end(ts *testscript.TestScript, sig os.Signal) {
	b := serverOf(ts)
	if b.cmd == nil {
		ts.Fatalf("no server is running")
	}
	if err := b.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		ts.Check(err)
	}
	err := b.cmd.Wait()
	b.cmd = nil
	if sig != syscall.SIGKILL {
		ts.Check(err)
	}
}

// set puts what the last command answered into a variable, or what a jq filter
// picks from it.
func set(ts *testscript.TestScript, _ bool, args []string) {
	value := ts.ReadFile("stdout")
	switch len(args) {
	case 1:
	case 2:
		jq := exec.Command("jq", "--raw-output", "--exit-status", args[1])
		jq.Stdin = strings.NewReader(value)
		picked, err := jq.Output()
		ts.Check(err)
		value = string(picked)
	default:
		ts.Fatalf("usage: set VARIABLE [FILTER]")
	}
	ts.Setenv(args[0], strings.TrimSpace(value))
}
