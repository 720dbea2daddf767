package api

import (
	"context"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// forged returns a well-formed token that no instance has made.
func forged(t testing.TB) string {
	t.Helper()
	token, err := domain.RandomToken(domain.DefaultKeyPrefix, domain.Live)
	must(t, err)
	return token.Reveal()
}

// refusesForged waits until the instance knows of all tokens without a tag, and so
// refuses what was never made without a query.
func (e *edges) refusesForged(t testing.TB) {
	t.Helper()
	noQuery, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		if _, err := e.App.ProveKey(noQuery, forged(t), nil); domain.CodeOf(err) == domain.CodeInvalidAPIKey {
			return
		}
		runtime.Gosched()
	}
}

// TestForgedTokenCostsLittleMore guarantees that refusing a token which this
// instance never made costs one code over it more than refusing a mistyped one, so
// that forging tokens gains an attacker nothing.
func TestForgedTokenCostsLittleMore(t *testing.T) {
	e := newEdges(t)
	e.refusesForged(t)
	mistyped, forged := hotAsks["a mistyped token"], hotAsks["a forged token"]
	sendMistyped, sendForged := e.repeat(t, e.lean, mistyped.ask, mistyped.status), e.repeat(t, e.lean, forged.ask, forged.status)
	if more := allocations(sendForged) - allocations(sendMistyped); more > 0 {
		t.Errorf("a forged token allocates %v times more than a mistyped one, want no more", more)
	}
	cpuOfMistyped, cpuOfForged := time.Hour, time.Hour
	for range 10 {
		cpuOfMistyped, cpuOfForged = min(cpuOfMistyped, cpuOf(t, sendMistyped)), min(cpuOfForged, cpuOf(t, sendForged))
	}
	ratio := cpuOfForged.Seconds() / cpuOfMistyped.Seconds()
	t.Logf("a mistyped token costs %v, a forged one %v, which is %.2f of it", cpuOfMistyped, cpuOfForged, ratio)
	if ratio > 1.6 {
		t.Errorf("a forged token costs %.2f times as much as a mistyped one, want at most 1.6", ratio)
	}
}

// cpuOf returns the processor time of one of many calls.
func cpuOf(t *testing.T, once func()) time.Duration {
	t.Helper()
	const calls = 1000
	used := func() time.Duration {
		var u syscall.Rusage
		must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begun := used()
	for range calls {
		once()
	}
	return (used() - begun) / calls
}
