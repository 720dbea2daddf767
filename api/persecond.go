package api

import (
	"sync/atomic"
	"time"
)

// perSecond counts what happens in a second.
type perSecond struct{ state atomic.Int64 } // the Unix time in seconds, and the count in the lowest 20 bits

// below reports whether fewer than limit have asked in this second. Of those who
// ask at the turn of a second a few may not be counted.
func (p *perSecond) below(limit int64, now time.Time) bool {
	const bits = 20
	second := now.Unix() << bits
	if state := p.state.Load(); state>>bits != second>>bits {
		p.state.Store(second)
	} else if state-second >= limit {
		return false
	}
	return p.state.Add(1)-second <= limit
}
