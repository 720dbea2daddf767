package console_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/console"
)

// The server and the script in the browser write a duration in the same way, and a
// duration that has just begun as it was chosen.
func TestSpan(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	b := newTab(t, newServer(t))
	b.open("/console/sign-in")
	for length, want := range map[time.Duration]string{
		-time.Second: "a moment", 0: "a moment", 30 * time.Second: "a moment", time.Minute: "1 minute",
		59*time.Minute + 20*time.Second: "59 minutes", time.Hour: "1 hour", 23*time.Hour + 20*time.Minute: "23 hours",
		day - time.Second: "1 day", day: "1 day", 47 * time.Hour: "1 day",
		7*day - time.Second: "7 days", 7 * day: "7 days", 13 * day: "13 days", 14*day - time.Minute: "2 weeks", 45 * day: "6 weeks",
		60 * day: "2 months", 365 * day: "12 months", 800 * day: "2 years",
	} {
		got := map[string]string{
			"server": console.Span(length), "browser": b.evaluated(fmt.Sprintf("span(%d)", int(length.Seconds()))),
		}
		for where, got := range got {
			if got != want {
				t.Errorf("%s: %s is %q, want %q", where, length, got, want)
			}
		}
	}
}
