package fair

import "time"

// Pace is a limit by the generic cell rate algorithm (ITU-T I.371): a burst, and
// one more after each emission interval. All that is kept of a counter is its
// theoretical arrival time (TAT): when it will have its whole burst again.
type Pace struct {
	Burst    int
	Emission time.Duration // the emission interval
}

// Wait returns how long one more has to wait at now; 0: it conforms.
func (p Pace) Wait(tat, now time.Time) time.Duration {
	if !tat.After(now) {
		return 0
	}
	return max(0, tat.Sub(now)-time.Duration(p.Burst-1)*p.Emission)
}

// Next returns the TAT after one more at now.
func (p Pace) Next(tat, now time.Time) time.Time {
	if tat.Before(now) {
		tat = now
	}
	return tat.Add(p.Emission)
}
