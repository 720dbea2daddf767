package servicetest

import (
	"syscall"
	"testing"
	"time"
)

// patience is how long tests wait for what another goroutine does: long enough for a
// very busy machine.
const patience = time.Minute

// Eventually waits until something is so, and fails the test if it takes a minute.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// ProcessCPU returns how much time the cores have spent on this process. Other work
// of the machine changes it little.
func ProcessCPU(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
