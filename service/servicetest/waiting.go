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

// LeastCPU does two kinds of work in turn and returns the least processor time of
// each. After each round it asks enough, which says of so many rounds whether they
// suffice, and it ends after a hundred in any case: a neighbor on the machine makes
// either work dearer for seconds, but what is really too dear stays so in the least
// of many.
func LeastCPU(
	t testing.TB, one, other func(), enough func(rounds int, one, other time.Duration) bool,
) (leastOne, leastOther time.Duration) {
	t.Helper()
	cost := func(work func()) time.Duration {
		begun := ProcessCPU(t)
		work()
		return ProcessCPU(t) - begun
	}
	leastOne, leastOther = time.Hour, time.Hour
	for rounds := 0; rounds < 100 && (rounds == 0 || !enough(rounds, leastOne, leastOther)); rounds++ {
		leastOne, leastOther = min(leastOne, cost(one)), min(leastOther, cost(other))
	}
	return leastOne, leastOther
}
