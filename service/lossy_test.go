package service_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// hour returns the usage of a project in the hour that begins at start.
func (w *world) hour(p *service.Project, start time.Time) domain.Usage {
	w.Helper()
	usage, err := p.Usage(w.Context(), domain.UsageQuery{Interval: domain.InTotal, Since: start, Until: start.Add(time.Hour)})
	w.check(err)
	return usage
}

// Guarantees that usage is lossy in the hours in which a killed node may have
// counted what it has not written, and in no others: also if the node had nothing
// to count until then, never wrote anything, or was killed when an hour ended.
func TestLossyIsWhenANodeWasKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ticks []time.Duration // when the killed node had written what it had counted, after the full hour
		want  string          // for each hour whether usage is lossy
	}{
		"at its start":     {[]time.Duration{10 * time.Minute}, "Lccc"},
		"after a rest":     {[]time.Duration{10 * time.Minute, 130 * time.Minute}, "ccLc"},
		"when a hour ends": {[]time.Duration{10 * time.Minute, time.Hour - 5*time.Second}, "LLcc"},
		"within an hour":   {[]time.Duration{10 * time.Minute, time.Hour + 10*time.Minute}, "cLcc"},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				_, project := w.tenant(w.signUp("ann@example.com"))
				full := w.Now().Truncate(time.Hour).Add(time.Hour)
				killed := w.Another(service.Options{}) // which is not listed
				for _, at := range test.ticks {
					w.Pass(full.Add(at).Sub(w.Now()))
					w.check(killed.CountsTick(w.Context()))
				}
				got := ""
				for hour := range len(test.want) {
					if w.hour(project, full.Add(time.Duration(hour)*time.Hour)).Lossy {
						got += "L"
					} else {
						got += "c"
					}
				}
				if got != test.want {
					w.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

// Guarantees that a node which keeps telling that it has nothing to count writes no
// more than a row every few seconds, and none after it has ended.
func TestEmptyCountsAreRare(t *testing.T) {
	onEach(t, func(w *world) {
		w.Store = storetest.NewBreakable(w.T, w.DSN)
		node := w.Another(service.Options{})
		for i, step := range []struct {
			passed time.Duration
			want   int
		}{{0, 1}, {0, 0}, {9 * time.Second, 0}, {time.Second, 1}, {time.Hour, 1}} {
			w.Pass(step.passed)
			count := &storetest.Fault{}
			w.check(node.CountsTick(count.Context(w.Context())))
			if got := len(count.Seen()); got != step.want {
				w.Errorf("step %d: got %q, want %d statements", i, count.Seen(), step.want)
			}
		}
		count := &storetest.Fault{}
		w.Pass(time.Hour)
		w.check(node.RecordUses(count.Context(w.Context()))) // as programs do that do not run
		if len(count.Seen()) > 0 {
			w.Errorf("got %q, want nothing written", count.Seen())
		}
	})
}

// Guarantees that an hour which ended before complete_until does not change any
// more, also by what a node has counted that could not reach the database: it is
// counted in the hour in which it is written. What was written stays in its hour and
// is not counted again when only the answer was lost.
func TestCompleteHoursDoNotChange(t *testing.T) {
	t.Parallel()
	for _, kind := range []storetest.FaultKind{storetest.Refused, storetest.Lost} {
		t.Run(kind.String(), func(t *testing.T) {
			onEach(t, func(w *world) {
				_, project := w.tenant(w.signUp("ann@example.com"))
				_, token, _ := w.key(project)
				cut := w.Another(service.Options{Store: storetest.NewBreakable(w.T, w.DSN)}) // which is not listed, as after a while
				proven, err := cut.ProveKey(w.Context(), token, nil)
				w.check(err)
				began := w.Now().Truncate(time.Hour)
				cut.CountUse(proven)
				statements := &storetest.Fault{}
				w.check(cut.CountsTick(statements.Context(w.Context())))
				cut.CountUse(proven)
				fault := &storetest.Fault{At: len(statements.Seen()), Kind: kind} // the COMMIT
				w.code(cut.CountsTick(fault.Context(w.Context())), domain.CodeUnavailable)

				w.Pass(time.Hour)
				w.check(w.RecordUses(w.Context()))
				before := w.hour(project, began)
				if before.CompleteUntil.Before(began.Add(time.Hour)) {
					w.Fatalf("got %v, want the hour complete", before.CompleteUntil)
				}
				w.check(cut.CountsTick(w.Context()))
				first, second := requests(w.hour(project, began)), requests(w.hour(project, began.Add(time.Hour)))
				if was := requests(before); first != was || first+second != 2 {
					w.Errorf("got %d requests in an hour that is complete and %d in the next, want %d and %d", first, second, was, 2-was)
				}
			})
		})
	}
}

// requests returns the sum of the items.
func requests(u domain.Usage) (sum int64) {
	for _, i := range u.Items {
		sum += i.Requests
	}
	return sum
}
