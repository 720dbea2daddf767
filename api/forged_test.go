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
	ratio := func(mistyped, forged time.Duration) float64 { return forged.Seconds() / mistyped.Seconds() }
	cpuOfMistyped, cpuOfForged := servicetest.LeastCPU(t, thousandTimes(sendMistyped), thousandTimes(sendForged),
		func(rounds int, mistyped, forged time.Duration) bool {
			return rounds >= 10 && ratio(mistyped, forged) <= 1.6
		})
	r := ratio(cpuOfMistyped, cpuOfForged)
	t.Logf("a thousand mistyped tokens cost %v, as many forged ones %v, which is %.2f of it", cpuOfMistyped, cpuOfForged, r)
	if r > 1.6 {
		t.Errorf("a forged token costs %.2f times as much as a mistyped one, want at most 1.6", r)
	}
}

func thousandTimes(once func()) func() {
	return func() {
		for range 1000 {
			once()
		}
	}
}
