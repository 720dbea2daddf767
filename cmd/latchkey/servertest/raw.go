package servertest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Request returns the bytes of a request. Load tools send these over connections
// of their own, because net/http's client costs more than the server.
func Request(method, path string, headers map[string]string, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	for name, value := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// ReadAnswer reads one answer and returns the start of its status line.
func ReadAnswer(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	status := slices.Clone(first[:min(len(first), 13)])
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return status, err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return status, err
			}
		}
	}
	_, err = r.Discard(length)
	return status, err
}

// CPU returns the processor time that a process has used.
func CPU(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	Must(t, err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, err := strconv.Atoi(fields[11])
	Must(t, err)
	system, err := strconv.Atoi(fields[12])
	Must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}
