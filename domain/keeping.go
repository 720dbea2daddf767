package domain

import "time"

// How long an answer about a token may be kept, in seconds.
const (
	LongestAnswer = 60 // that a token is valid
	UnknownAnswer = 5  // that it is not known: a key that is created then works after so long
)

// Keeping says how long a caller that hears of changes may keep the answer that a
// token is valid. It is in whole seconds, rounded down, so that no clock is shared.
type Keeping struct {
	MaxAge   int64 // after which the caller asks again; 0: it asks each time
	Deadline int64 // until the key or its secret ends, of which no change tells
	Ends     bool  // whether there is a deadline
}

// Keeping returns how long the answer at now that the key is valid may be kept: until
// Unusable may return something else without a change, and for LongestAnswer at most.
// The use of a key with limits is counted by asking, and that of a key with allowed_ips is
// judged by asking, so their answers are not kept. This is
// the only place that computes it.
func (k ProvenKey) Keeping(now time.Time) (keep Keeping) {
	end, ends := k.moment(packedExpires)
	if until, ok := k.moment(packedValidUntil); ok && (!ends || until < end) {
		end, ends = until, true
	}
	keep.MaxAge, keep.Ends = LongestAnswer, ends
	if ends {
		keep.Deadline = max(0, (end-now.UnixMicro())/time.Second.Microseconds())
		keep.MaxAge = min(keep.MaxAge, keep.Deadline)
	}
	if k.Limited() || k.Bound() {
		keep.MaxAge = 0
	}
	return keep
}
