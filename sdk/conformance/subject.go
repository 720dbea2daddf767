package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// ownKey is the key of the subject.
const ownKey = "lk_live_OWN_secret-of-the-service"

// subject is a process with the service, which plays one case after the other.
type subject struct {
	cmd     *exec.Cmd
	address string
	log     lockedBuffer
	said    int // how much of the log earlier cases have
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startSubject(command []string, env ...string) (*subject, error) {
	if len(command) == 0 {
		return nil, errors.New("-subject is the command that starts the service")
	}
	s := &subject{cmd: exec.Command(command[0], command[1:]...)}
	s.cmd.Env = append(append(os.Environ(), "LATCHKEY_API_KEY="+ownKey), env...)
	s.cmd.Stderr = &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the command may start the service in a process of its own
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	port, err := lines.ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the subject prints no port: %w\n%s", err, s.log.String())
	}
	go func() { _, _ = io.Copy(&s.log, lines) }()
	s.address = "http://127.0.0.1:" + strings.TrimSpace(port)
	return s, nil
}

func (s *subject) stop() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
}

// caller gives up on a subject that hangs.
var caller = &http.Client{Timeout: 2 * patience}

// begin has the subject use a new SDK, which asks the instances at the addresses.
func (s *subject) begin(urls string, options map[string]any) error {
	s.said = len(s.log.String())
	all := map[string]any{"url": urls, "timeout": 10}
	maps.Copy(all, options)
	return s.control("begin", all, nil)
}

// logged returns what the subject has logged in this case.
func (s *subject) logged() string { return s.log.String()[s.said:] }

func (s *subject) control(what string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	res, err := caller.Post(s.address+"/test/"+what, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("/test/%s answers %d: %s", what, res.StatusCode, said)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(said, answer)
}
