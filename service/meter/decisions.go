package meter

import (
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

// decisionStripes is how many counts there are of each kind of decision, so that
// requests of different keys rarely change the same cache line.
const decisionStripes = 64

// decisions count what limits have said of requests. Each verdict has the set of types
// that said it, so that the decision about an admitted request is one addition.
type decisions [decisionStripes]struct {
	by [len(domain.Verdicts)][domain.SetsOfTypes]atomic.Int64
}

// CountDecision counts what the limits of a key have said of a request. Where it is not
// known which limits the key has, no type has said it.
func (m *Meter) CountDecision(key domain.ProvenKey, d *domain.Decision) {
	s := &m.decisions[key.Line()%decisionStripes]
	if d.Limits == nil && !d.Admitted() {
		s.by[domain.VerdictUnknown][0].Add(1)
		return
	}
	for verdict, types := range d.Verdicts() {
		if types != 0 {
			s.by[verdict][types].Add(1)
		}
	}
}

// Decisions returns how often the limits of each set of types have said what.
func (m *Meter) Decisions() (sums [len(domain.Verdicts)][domain.SetsOfTypes]int64) {
	for i := range m.decisions {
		for verdict := range sums {
			for types := range sums[verdict] {
				sums[verdict][types] += m.decisions[i].by[verdict][types].Load()
			}
		}
	}
	return sums
}
