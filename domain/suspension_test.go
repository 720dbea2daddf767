package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// A suspension has a reason, which its tenant reads, and begins when it is imposed.
func TestNewSuspension(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reason string
		want   []string
	}{
		{"x", nil},
		{strings.Repeat("é", 500), nil},
		{"", []string{"/reason"}},
		{strings.Repeat("é", 501), []string{"/reason"}},
		{"a\nb", []string{"/reason"}},
	} {
		got, err := domain.NewSuspension(test.reason, now)
		if diff := cmp.Diff(test.want, fields(t, err)); diff != "" {
			t.Errorf("%q: %s", test.reason, diff)
		}
		if want := (domain.Suspension{Since: now, Reason: test.reason}); err == nil && got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	later := domain.Suspension{Since: now.Add(time.Hour), Reason: "b"}
	if got := (domain.Suspension{}).Again(later); got != later {
		t.Errorf("after none: got %+v, want %+v", got, later)
	}
	want := domain.Suspension{Since: now, Reason: "b"}
	if got := (domain.Suspension{Since: now, Reason: "a"}).Again(later); got != want {
		t.Errorf("after another: got %+v, want %+v", got, want)
	}
}

// Guarantees that an object is changed only at a revision that the caller expects.
func TestPrecondition(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		expected domain.Precondition
		want     domain.Code
	}{
		"nothing":     {domain.Precondition{}, ""},
		"this one":    {domain.AtRevision(3), ""},
		"one of them": {domain.AtRevision(1, 3), ""},
		"another":     {domain.AtRevision(2), domain.CodePreconditionFailed},
		"no revision": {domain.AtRevision(), domain.CodePreconditionFailed},
	} {
		if got := domain.CodeOf(test.expected.Check(3)); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
