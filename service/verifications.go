package service

import (
	"slices"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

// Edge is where a key is judged.
type Edge string

// The edges.
const (
	EdgeCall   Edge = "call"   // the key is the credential of a request
	EdgeVerify Edge = "verify" // a project asks about a key

	EdgeForward Edge = "forward" // a proxy asks about a request
)

// OutcomeUnavailable is counted where it cannot be known whether a key is good.
const OutcomeUnavailable domain.Outcome = "unavailable"

// Verifications is how often keys were judged at an edge with one outcome.
type Verifications struct {
	Edge    Edge
	Outcome domain.Outcome
	Count   int64
}

// verified counts verifications at one edge, by the index of the outcome; the last one
// is OutcomeUnavailable.
type verified [16]atomic.Int64

func (v *verified) count(o domain.Outcome) {
	v[outcomeIndex(o)].Add(1)
}

func outcomeIndex(o domain.Outcome) int {
	for i, each := range domain.Outcomes {
		if each == o {
			return i
		}
	}
	return len(domain.Outcomes)
}

// refused counts a key that is no credential of a request, because of err.
func (v *verified) refused(err error) {
	switch domain.CodeOf(err) {
	case domain.CodeInvalidAPIKey:
		v.count(domain.OutcomeNotFound)
	case domain.CodeUnavailable:
		v.count(OutcomeUnavailable)
	default:
		v.count(domain.OutcomeOf(domain.CodeOf(err)))
	}
}

// Verifications returns how often this node has judged keys. At the edge "call" this is
// the proof of the key; what limits say of the request is in LimitDecisions. The list
// has always the same edges and outcomes.
func (a *App) Verifications() (all []Verifications) {
	for _, edge := range []struct {
		name   Edge
		counts *verified
	}{{EdgeCall, &a.calls}, {EdgeVerify, &a.questions}, {EdgeForward, &a.forwards}} {
		for i, o := range append(slices.Clip(domain.Outcomes), OutcomeUnavailable) {
			all = append(all, Verifications{edge.name, o, edge.counts[i].Load()})
		}
	}
	return all
}
