package api

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// Guarantees that a body which arrives too slowly, or not at all after a while, is
// given up within seconds, and that slow lines are fast enough.
func TestPace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chunk, size     int
		pause           time.Duration // after each chunk
		atLeast, atMost time.Duration
		whole           bool
	}{
		"without a pause":        {1 << 20, 16 << 20, 0, 0, 0, true},
		"a line of two Mbit/s":   {32 << 10, 4 << 20, 125 * time.Millisecond, 15 * time.Second, 20 * time.Second, true},
		"with short pauses":      {1 << 20, 4 << 20, 2 * time.Second, 6 * time.Second, 9 * time.Second, true},
		"byte by byte":           {1, 1 << 20, 10 * time.Millisecond, 3 * time.Second, 4 * time.Second, false},
		"nothing after the most": {15 << 20, 16 << 20, time.Hour, 3 * time.Second, 4 * time.Second, false},
		"at half the pace":       {64 << 10, 16 << 20, time.Second, 5 * time.Second, 8 * time.Second, false},
		"for too long":           {160 << 10, 16 << 20, time.Second, 30 * time.Second, 30 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				read := make(chan struct{})
				go func() {
					for sent := 0; sent < c.size; sent += c.chunk {
						if _, err := client.Write(make([]byte, c.chunk)); err != nil {
							return
						}
						select {
						case <-time.After(c.pause):
						case <-read:
						}
					}
					_ = client.Close()
				}()
				began := time.Now()
				body := &paced{Reader: server, setDeadline: server.SetReadDeadline, begun: began, due: began.Add(longestWait)}
				n, err := io.Copy(io.Discard, body)
				_ = server.Close()
				close(read)
				if took := time.Since(began); took < c.atLeast || took > c.atMost {
					t.Errorf("%d bytes took %v, want %v to %v", n, took, c.atLeast, c.atMost)
				}
				if whole := err == nil && n == int64(c.size); whole != c.whole || !whole && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("got %d bytes of %d and %v, want the whole body: %t", n, c.size, err, c.whole)
				}
			})
		})
	}
}
