package storetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// UseCase is an operation that must either be done or not, and report which.
type UseCase struct {
	Name string
	// Prepare makes what the use case needs, and returns the use case.
	Prepare func() func(context.Context) error
	// InSteps means that it runs in several transactions; those before the fault
	// remain.
	InSteps bool
}

// Faults returns the ways in which each of the statements can fail.
func Faults(seen []string) (all []*Fault) {
	for i, statement := range seen {
		all = append(all, &Fault{At: i + 1, Kind: Refused})
		switch {
		case statement == "COMMIT":
			all = append(all, &Fault{At: i + 1, Kind: Lost})
		case strings.Contains(statement, "SELECT") || strings.Contains(statement, "RETURNING"):
			all = append(all, &Fault{At: i + 1, Kind: Cut})
		}
	}
	return all
}

// FailOnce makes statements of a use case fail, one in each run. It reports an
// error unless the use case then returns unavailable, leaves the database
// unchanged and succeeds when it is tried again. share is the part of the
// statements that is tried, drawn from random.
func (u UseCase) FailOnce(t *testing.T, d *Dumper, share float64, random *rand.Rand) (tried int) {
	t.Helper()
	count := &Fault{}
	if err := u.Prepare()(count.Context(t.Context())); err != nil {
		t.Fatalf("%s: %v", u.Name, err)
	}
	seen := count.Seen()
	if len(seen) == 0 {
		t.Errorf("%s: no statement was seen", u.Name)
	}
	for _, f := range Faults(seen) {
		if random.Float64() >= share {
			continue
		}
		tried++
		act := u.Prepare()
		before := d.Dump(t)
		err := act(f.Context(t.Context()))
		if !f.Hit() || err == nil && slices.Index(seen[f.At-1:], "COMMIT") < 0 && slices.Contains(seen, "COMMIT") {
			continue // it took another path this time, or is already done
		}
		if domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("%s, statement %d %s (%.100s): got %v, want unavailable", u.Name, f.At, f.Kind, seen[f.At-1], err)
		}
		if f.Kind == Lost {
			continue // it was done completely
		}
		if diff := before.Diff(d.Dump(t)); len(diff) > 0 && !u.InSteps {
			t.Errorf("%s, statement %d %s (%.100s): the database has changed: %s", u.Name, f.At, f.Kind, seen[f.At-1],
				strings.Join(diff, "\n\t"))
		}
		if err := act(t.Context()); err != nil {
			t.Errorf("%s, statement %d %s (%.100s): tried again, got %v", u.Name, f.At, f.Kind, seen[f.At-1], err)
		}
	}
	return tried
}
