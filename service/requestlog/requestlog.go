// Package requestlog decides which requests the log has. It is one rule for the
// API and the console, for every operation, page and unknown path, so that no
// flood fills a disk: changes are always logged; of everything else the first
// hundred of each second and one in a hundred beyond.
package requestlog

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/service/fair"
)

// What the log has of each kind of request.
const (
	PerSecond = 100 // the first of each second
	Share     = 100 // beyond these, one in so many
)

// Kind is what became of a request, as far as the log is concerned.
type Kind int

// Kinds have a count each, so that a flood of refusals hides no fault.
const (
	Read    Kind = iota // answered, and nothing was changed
	Refused             // 4xx: the client's fault
	Failed              // 5xx: a fault or an outage of this side
	kinds
)

func (k Kind) String() string { return [...]string{"read", "refused", "failed"}[k] }

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{Read, Refused, Failed} }

// Rule is the rule with its counters. It is safe for concurrent use.
type Rule struct {
	first   [kinds]*fair.Rate
	omitted [kinds]atomic.Int64
}

// NewRule returns a rule that has counted nothing.
func NewRule() *Rule {
	r := &Rule{}
	for kind := range r.first {
		r.first[kind] = fair.NewRate(PerSecond, PerSecond)
	}
	return r
}

// Keeps reports whether the log has the request that was answered with status at
// the time now, and counts it if not.
func (r *Rule) Keeps(method string, status int, now time.Time) bool {
	kind := Read
	switch {
	case status >= 500:
		kind = Failed
	case status >= 400:
		kind = Refused
	case method != "GET" && method != "HEAD" && method != "OPTIONS":
		return true
	}
	if r.first[kind].Take("", now) || rand.Uint32N(Share) == 0 { //nolint:gosec // chance is enough here
		return true
	}
	r.omitted[kind].Add(1)
	return false
}

// Omitted returns how many requests of a kind the log does not have.
func (r *Rule) Omitted(kind Kind) int64 { return r.omitted[kind].Load() }
