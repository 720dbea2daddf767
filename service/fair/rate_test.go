package fair

import (
	"testing"
	"time"
)

// A payer that has had all it may have takes nothing from another, and everyone
// is bounded together.
func TestRate(t *testing.T) {
	t.Parallel()
	r, now := NewRate(5, 2), time.Unix(1_800_000_000, 0)
	take := func(p Payer, want bool) {
		t.Helper()
		if full := r.Full(p, now); full == want {
			t.Errorf("full for %q: got %t, want %t", p, full, !want)
		}
		if got := r.Take(p, now); got != want {
			t.Errorf("%q: got %t, want %t", p, got, want)
		}
	}
	take("a", true)
	take("a", true)
	take("a", false)
	take("b", true)
	r.GiveBack("a")
	take("a", true)
	take("a", false)
	take("c", true)
	take("", true)
	take("", false)
	take("d", false)

	now = now.Add(-time.Second) // a caller that has waited begins no new second
	take("d", false)
	now = now.Add(2 * time.Second)
	take("a", true)
	r.GiveBack("b") // of the second before
	take("b", true)
	take("b", true)
	take("b", false)
	now = now.Add(-time.Hour) // the clock has been put back
	take("b", true)
}
