package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Guarantees that 0.0.0.0 opens only IPv4.
func TestListenAsWritten(t *testing.T) {
	t.Parallel()
	listener, err := listen(t.Context(), "LISTEN", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok || address.AddrPort().Addr().Is6() {
		t.Errorf("it listens on %v", listener.Addr())
	}
}

// Guarantees that only the user and group of a Unix socket can connect, and that it
// replaces the socket of a dead process, but never that of a running one or a file.
func TestListenOnUnixSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "latchkey.sock")
	left, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if unix, ok := left.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	listener, err := listen(t.Context(), "LISTEN", "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if _, err := listen(t.Context(), "LISTEN", "unix:"+path); err == nil || !strings.Contains(err.Error(), "in use by another program") {
		t.Errorf("a living socket was taken: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t.Context(), "LISTEN", "unix:"+file); err == nil {
		t.Error("a file was taken for a socket")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file now has %q, %v", text, err)
	}
}

// child is the program in a process of its own, with a database of its own.
type child struct {
	*exec.Cmd

	lines *bufio.Scanner
}

// startChild starts the program by a shell, as a supervisor does.
func startChild(t *testing.T, shell string, env []string, files ...*os.File) *child {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", shell)
	cmd.Env = append(os.Environ(), append([]string{"LATCHKEY_ADMIN_LISTEN=127.0.0.1:0", "LATCHKEY_LOG=json"}, env...)...)
	cmd.Dir, cmd.ExtraFiles = dir, files
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return &child{cmd, bufio.NewScanner(stderr)}
}

// says waits for a line of the log and returns its fields.
func (c *child) says(t *testing.T, message string) (line map[string]any) {
	t.Helper()
	var all []string
	for c.lines.Scan() {
		all = append(all, c.lines.Text())
		if json.Unmarshal(c.lines.Bytes(), &line) == nil && line["msg"] == message {
			return line
		}
	}
	t.Fatalf("the program ended without %q: %v", message, all)
	return nil
}

// Guarantees that the sockets that systemd opens are served, and that those of the
// settings are not opened beside them.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	open := func() (net.Listener, *os.File) {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			t.Fatal(l)
		}
		file, err := tcp.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = errors.Join(file.Close(), l.Close()) })
		return l, file
	}
	public, publicFile := open()
	admin, adminFile := open()
	c := startChild(t, "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=latchkey.socket:admin exec latchkey serve",
		[]string{"LATCHKEY_LISTEN=127.0.0.1:1"}, publicFile, adminFile)
	line := c.says(t, "serving")
	if line["address"] != public.Addr().String() || line["admin"] != admin.Addr().String() {
		t.Fatalf("it serves on %v and %v", line["address"], line["admin"])
	}
	for _, url := range []string{"http://" + public.Addr().String() + "/healthz", "http://" + admin.Addr().String() + "/metrics"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", url, a.StatusCode)
		}
	}
}

// Guarantees that clients of a Unix socket are distinguished by the address that the
// proxy in front names, and that a socket without LATCHKEY_PUBLIC_URL is refused.
func TestServeOnUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	c := startChild(t, "exec latchkey serve", []string{"LATCHKEY_LISTEN=unix:" + path})
	if err := c.Wait(); err == nil {
		t.Error("a Unix socket was served without an address for clients")
	}
	c = startChild(t, "exec latchkey serve", []string{"LATCHKEY_LISTEN=unix:" + path, "LATCHKEY_PUBLIC_URL=https://keys.example.com"})
	c.says(t, "serving")
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://keys.example.com/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "198.51.100.1, 203.0.113.9:4711")
	a, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	if got := c.says(t, "request")["ip"]; got != "203.0.113.9" {
		t.Errorf("the client is %v, want 203.0.113.9", got)
	}
}

// Guarantees that SIGHUP, which a closing terminal sends, ends the program as
// SIGTERM does: requests are finished and balancers are given notice.
func TestHangUpDrains(t *testing.T) {
	t.Parallel()
	c := startChild(t, "exec latchkey serve", []string{"LATCHKEY_LISTEN=127.0.0.1:0"})
	c.says(t, "serving")
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := c.says(t, "ending")["signal"]; got != "hangup" {
		t.Errorf("the signal is %v", got)
	}
	c.says(t, "ended")
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// Guarantees that doctor reports when the server on this machine treats all clients
// of a proxy as one, because no setting names the proxy.
func TestDoctorSeesAForgottenProxy(t *testing.T) {
	t.Parallel()
	c := startChild(t, "exec latchkey serve", []string{"LATCHKEY_LISTEN=127.0.0.1:0"})
	line := c.says(t, "serving")
	doctor := func() string {
		cmd := exec.CommandContext(t.Context(), "latchkey", "doctor", "--admin-listen", line["admin"].(string))
		cmd.Dir = c.Dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	const note = "TRUSTED_PROXIES names no proxy"
	if out := doctor(); strings.Contains(out, note) || !strings.Contains(out, "ok    proxies") {
		t.Errorf("without a proxy doctor says\n%s", out)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+line["address"].(string)+"/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	if out := doctor(); !strings.Contains(out, note) {
		t.Errorf("with a forgotten proxy doctor says\n%s", out)
	}
}
