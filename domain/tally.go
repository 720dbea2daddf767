package domain

// TypeSet is a set of types of limits, with a bit for each.
type TypeSet uint8

// Bits of TypeSet.
const (
	rateBit TypeSet = 1 << iota
	quotaBit
	creditsBit

	// SetsOfTypes is how many different sets there are.
	SetsOfTypes = 1 << iota
)

// bit returns the set of one type.
func (t LimitType) bit() TypeSet {
	switch t {
	case Quota:
		return quotaBit
	case Credits:
		return creditsBit
	default:
		return rateBit
	}
}

// Has reports whether a type is in the set.
func (s TypeSet) Has(t LimitType) bool { return s&t.bit() != 0 }

// Types returns the types of the limits.
func (s *LimitSet) Types() TypeSet {
	if s == nil {
		return 0
	}
	return s.types
}

// Verdict is what the limits of one type say of a request.
type Verdict int

// The verdicts.
const (
	VerdictAdmitted Verdict = iota
	VerdictExceeded         // admitted, because the limit that is exceeded only observes
	VerdictRefused
	VerdictUnknown // nothing tells what is left, so the request is refused for now
	verdicts
)

// Verdicts are all of them.
var Verdicts = [verdicts]Verdict{VerdictAdmitted, VerdictExceeded, VerdictRefused, VerdictUnknown}

// String returns the verdict as metrics have it.
func (v Verdict) String() string { return [...]string{"admitted", "exceeded", "refused", "unknown"}[v] }

// Verdicts returns the types of limits by what they say of the request. Of a refused
// request, types that do not refuse it say nothing.
func (d *Decision) Verdicts() (by [verdicts]TypeSet) {
	switch {
	case d.Code == CodeUnavailable:
		by[VerdictUnknown] = d.Limits.Types() &^ rateBit
	case !d.Admitted():
		by[VerdictRefused] = d.types(d.violated)
	default:
		by[VerdictExceeded] = d.types(d.exceeded)
		by[VerdictAdmitted] = d.Limits.Types() &^ by[VerdictExceeded]
	}
	return by
}

// types returns the types of some limits.
func (d *Decision) types(of uint64) (all TypeSet) {
	for i := 0; of != 0; i, of = i+1, of>>1 {
		if of&1 != 0 {
			all |= d.Limits.At(i).Type.bit()
		}
	}
	return all
}
