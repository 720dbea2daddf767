package service

import (
	"strconv"
	"testing"
	"time"
)

// Guarantees that a flood of accounts and addresses takes a bounded amount of
// memory.
func TestThrottleIsBounded(t *testing.T) {
	t.Parallel()
	throttle, now := newThrottle(), time.Unix(0, 0)
	for i := range 3 * throttleEntries {
		throttle.count(guessesOfAccount, now, "account", strconv.Itoa(i))
	}
	if got, want := len(throttle.counters), throttleEntries; got != want {
		t.Errorf("got %d counters, want %d", got, want)
	}
	if got, want := throttle.recent.Len(), throttleEntries; got != want {
		t.Errorf("got a list of %d, want %d", got, want)
	}
}
