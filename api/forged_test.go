package api

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/servicetest"
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
	servicetest.Eventually(t, "a forged token is refused without a query", func() bool {
		_, err := e.App.ProveKey(noQuery, forged(t), nil)
		return domain.CodeOf(err) == domain.CodeInvalidAPIKey
	})
}

// TestForgedTokenCostsLittleMore guarantees that a token which this instance never made
// is refused for one HMAC more than a mistyped one, which its checksum gives away: at
// most 1.6 times the processor time and no allocation more. Forging tokens gains an
// attacker nothing.
func TestForgedTokenCostsLittleMore(t *testing.T) {
	e := newEdges(t)
	e.refusesForged(t)
	mistyped, forged := hotAsks["a mistyped token"], hotAsks["a forged token"]
	sendMistyped, sendForged := e.repeat(t, e.lean, mistyped.ask, mistyped.status), e.repeat(t, e.lean, forged.ask, forged.status)
	if more := allocations(sendForged) - allocations(sendMistyped); more > 0 {
		t.Errorf("a forged token allocates %v times more than a mistyped one, want no more", more)
	}
	cpuOfMistyped, cpuOfForged := time.Hour, time.Hour
	ratio := func() float64 { return cpuOfForged.Seconds() / cpuOfMistyped.Seconds() }
	for round := 0; round < 10 || ratio() > 1.6 && round < 100; round++ { // the least of many is free of noise
		cpuOfMistyped, cpuOfForged = min(cpuOfMistyped, cpuOf(t, sendMistyped)), min(cpuOfForged, cpuOf(t, sendForged))
	}
	t.Logf("a mistyped token costs %v, a forged one %v, which is %.2f of it", cpuOfMistyped, cpuOfForged, ratio())
	if ratio() > 1.6 {
		t.Errorf("a forged token costs %.2f times as much as a mistyped one, want at most 1.6", ratio())
	}
}

// cpuOf returns the processor time of one of many calls.
func cpuOf(t *testing.T, once func()) time.Duration {
	t.Helper()
	const calls = 1000
	begun := servicetest.ProcessCPU(t)
	for range calls {
		once()
	}
	return (servicetest.ProcessCPU(t) - begun) / calls
}
