package domain

import "time"

// Suspension means that the instance's operator has stopped an organization or
// a project. It is separate from Status, which the tenant controls: only the
// operator ends a suspension. During it none of the keys work, and members can
// read and export but change nothing. The zero value is no suspension.
type Suspension struct {
	Since  time.Time
	Reason string // shown to the tenant
}

// Active reports whether there is one.
func (s Suspension) Active() bool { return !s.Since.IsZero() }

// NewSuspension returns a suspension from now on, or validation_failed if there
// is no reason for it.
func NewSuspension(reason string, now time.Time) (Suspension, error) {
	var v Invalid
	v.Text("/reason", reason, 1, MaxReasonLength)
	return Suspension{Since: now, Reason: reason}, v.Err()
}

// Again returns the suspension that results when next is imposed on s: it keeps
// the time when s began, and has the new reason.
func (s Suspension) Again(next Suspension) Suspension {
	if s.Active() {
		next.Since = s.Since
	}
	return next
}
