package service

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/service/fair"
)

// Guarantees that a flood of accounts and addresses takes a bounded amount of
// memory.
func TestThrottleIsBounded(t *testing.T) {
	t.Parallel()
	throttle, now := newThrottle(), time.Unix(0, 0)
	for i := range 3 * throttleEntries {
		throttle.count(guessesOfAccount, now, "", "account", strconv.Itoa(i))
	}
	if got, want := len(throttle.counters), throttleEntries; got != want {
		t.Errorf("got %d counters, want %d", got, want)
	}
	if got, want := throttle.recent.Len(), throttleEntries; got != want {
		t.Errorf("got a list of %d, want %d", got, want)
	}
}

// Guarantees that one subscriber with all networks of an IPv6 /48 pushes out no
// one else's counters: those of an attacker are counted on, and so are wrong
// passwords of the whole /48.
func TestThrottleSharesCounters(t *testing.T) {
	t.Parallel()
	throttle, now := newThrottle(), time.Unix(0, 0)
	for range 20 {
		throttle.count(guessesOfAccount, now, "192.0.2.0/24", "account", "ann", "192.0.2.0/24")
	}
	for i := range 3 * throttleEntries {
		network := string(fair.Network(fmt.Sprintf("2001:db8:1:%x::1", i%(1<<16))))
		throttle.count(guessesOfAccount, now, network, "account", strconv.Itoa(i), network)
		throttle.count(guessesFromSite, now, network, "site", site(network))
	}
	if got, want := len(throttle.counters), siteEntries+1; got != want {
		t.Errorf("got %d counters, want %d", got, want)
	}
	if throttle.wait(guessesOfAccount, now, "account", "ann", "192.0.2.0/24") <= 0 {
		t.Error("another network's counter was pushed out")
	}
	if throttle.wait(guessesFromSite, now, "site", "2001:db8:1::/48") <= 0 {
		t.Error("the /48 is not counted as a whole")
	}
	for i := range 2 * throttleEntries {
		throttle.count(guessesOfAccount, now, "", "account", strconv.Itoa(i))
	}
	if len(throttle.sites) != 0 {
		t.Errorf("got %d sites that have no counter any more", len(throttle.sites))
	}
}
