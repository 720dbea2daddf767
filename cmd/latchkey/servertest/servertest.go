// Package servertest runs the built program in processes of its own, for tests of
// what cannot be seen from inside: what it does when it is killed, and how fast it
// is.
package servertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// MasterKey is the master key of every server.
const MasterKey = "q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80="

// Binary is the path of the program, after Main has built it.
var Binary string

// Full makes the tests run at their full size.
var Full = flag.Bool("full", false, "run at full size, and print the results")

// Size returns how large a part of a test is.
func Size[T any](short, whole T) T {
	if *Full {
		return whole
	}
	return short
}

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Main builds the program at path, runs the tests and, at full size, prints their
// results. It does not return.
func Main(m *testing.M, path string, show func(io.Writer)) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "latchkey-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		Binary = filepath.Join(dir, "latchkey")
		if out, err := exec.Command("go", "build", "-o", Binary, path).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
			return 1
		}
		code := m.Run()
		if *Full {
			show(os.Stdout)
		}
		return code
	}())
}

// Server is a server in a process of its own.
type Server struct {
	URL, Admin string
	Address    string // of URL

	t       testing.TB
	program string
	env     []string
	cmd     *exec.Cmd
}

// Start starts a server on the database and waits until it follows the stale notes of
// others. The server is killed when t ends.
func Start(t testing.TB, database string, env ...string) *Server {
	t.Helper()
	return StartProgram(t, Binary, database, env...)
}

// StartProgram is like Start, for another build of the program, such as an older one.
func StartProgram(t testing.TB, program, database string, env ...string) *Server {
	t.Helper()
	s := &Server{t: t, program: program, env: append([]string{
		"LATCHKEY_DATABASE=" + database, "LATCHKEY_MASTER_KEY=" + MasterKey, "LATCHKEY_ADMIN_LISTEN=127.0.0.1:0", "LATCHKEY_LOG=json",
		"LATCHKEY_PUBLIC_URL=http://127.0.0.1:8080",
	}, env...), Address: "127.0.0.1:0"}
	s.Run()
	t.Cleanup(s.Kill)
	return s
}

// Run starts the process again, at the same address as before.
func (s *Server) Run() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, "serve")
	s.cmd.Env = slices.Concat(os.Environ(), s.env, []string{"LATCHKEY_LISTEN=" + s.Address})
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := s.cmd.StderrPipe()
	Must(s.t, err)
	Must(s.t, s.cmd.Start())
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	var said strings.Builder
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		var line struct{ Msg, Address, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			s.Address, s.URL, s.Admin = line.Address, "http://"+line.Address, "http://"+line.Admin
			go func() {
				for lines.Scan() { // read the rest of the log
					if os.Getenv("SERVERTEST_LOG") != "" {
						fmt.Fprintln(os.Stderr, lines.Text())
					}
				}
			}()
			s.waitReady()
			return
		}
	}
	s.t.Fatalf("the server ended: %v\n%s", s.cmd.Wait(), said.String())
}

func (s *Server) waitReady() {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s.Metric("latchkey_sync_state") == 1 {
			return
		}
	}
	s.t.Fatal("the server does not get ready")
}

// PID returns the id of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the process as the kernel does when memory is short.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have exited
	_ = s.cmd.Wait()
}

// End asks the process to exit and waits for it.
func (s *Server) End() {
	s.t.Helper()
	Must(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	Must(s.t, s.cmd.Wait())
}

// Metric returns a metric without labels, or -1 when it is not available.
func (s *Server) Metric(name string) float64 {
	answer, err := client.Get(s.Admin + "/metrics")
	if err != nil {
		return -1
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return -1
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(body)
	if found == nil {
		return -1
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		return -1
	}
	return value
}

var client = &http.Client{
	Timeout:   15 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext},
}

// Answer is the answer to a request. A status of 0 means that there was none.
type Answer struct {
	Status     int
	Body       map[string]any
	RetryAfter string
	RateLimit  string
	Took       time.Duration
}

// Text returns the text at a path in the body.
func (a Answer) Text(path ...string) string {
	var at any = a.Body
	for _, name := range path {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	s, _ := at.(string)
	return s
}

// Call sends a request. The credential is a key, or "Bearer " and an access token.
func Call(ctx context.Context, method, url, credential string, body any) Answer {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		panic(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case strings.HasPrefix(credential, "Bearer "):
		r.Header.Set("Authorization", credential)
	case credential != "":
		r.Header.Set("X-Api-Key", credential)
	}
	began := time.Now()
	got, err := client.Do(r)
	if err != nil {
		return Answer{Took: time.Since(began)}
	}
	defer got.Body.Close()
	a := Answer{Status: got.StatusCode, RetryAfter: got.Header.Get("Retry-After"), RateLimit: got.Header.Get("RateLimit")}
	text, err := io.ReadAll(got.Body)
	a.Took = time.Since(began)
	if err != nil {
		return Answer{Took: a.Took}
	}
	_ = json.Unmarshal(text, &a.Body) // some answers have no body
	return a
}

// Tenant is a person with a project.
type Tenant struct {
	Bearer  string // the person's access token, as a credential
	Refresh string
	Project string

	Organization string // of the project

	t testing.TB
}

var people atomic.Int64

// NewTenant signs a person up and creates an organization and a project.
func NewTenant(t testing.TB, s *Server) *Tenant {
	t.Helper()
	in := Call(t.Context(), http.MethodPost, s.URL+"/v1/auth/signup", "", map[string]string{
		"email": fmt.Sprintf("p%d@example.com", people.Add(1)), "password": "seven violet lamps at the harbour",
	})
	p := &Tenant{t: t, Bearer: "Bearer " + in.Text("access_token"), Refresh: in.Text("refresh_token")}
	organization := p.Want(http.StatusCreated, Call(t.Context(), http.MethodPost, s.URL+"/v1/organizations",
		p.Bearer, map[string]string{"name": "Acme"}))
	project := p.Want(http.StatusCreated, Call(t.Context(), http.MethodPost,
		s.URL+"/v1/organizations/"+organization.Text("id")+"/projects", p.Bearer,
		map[string]string{"name": "API"}))
	p.Organization, p.Project = organization.Text("id"), project.Text("id")
	return p
}

// Want ends the test if an answer has another status.
func (p *Tenant) Want(status int, a Answer) Answer {
	p.t.Helper()
	if a.Status != status {
		p.t.Fatalf("got %d %v, want %d", a.Status, a.Body, status)
	}
	return a
}

// Keys returns the URL of the tenant's keys.
func (p *Tenant) Keys(s *Server) string { return s.URL + "/v1/projects/" + p.Project + "/keys" }

// Key creates a key and returns its id and token.
func (p *Tenant) Key(s *Server, scopes ...string) (id, token string) {
	p.t.Helper()
	made := p.Want(http.StatusCreated, Call(p.t.Context(), http.MethodPost, p.Keys(s), p.Bearer,
		map[string]any{"name": "k", "scopes": append([]string{}, scopes...)}))
	return made.Text("key", "id"), made.Text("token")
}
