package domain

import "time"

// Suspension is the instance's operator having stopped an organization or a project.
// It is apart from Status, which is the tenant's own: only the operator lifts it.
// While it lasts no key below works, and members read and export, and change
// nothing. The zero value is none.
type Suspension struct {
	Since  time.Time
	Reason string // the tenant reads it
}

// Active reports whether there is one.
func (s Suspension) Active() bool { return !s.Since.IsZero() }

// NewSuspension returns a suspension from now on, or validation_failed unless there
// is a reason for it.
func NewSuspension(reason string, now time.Time) (Suspension, error) {
	var v Invalid
	v.Text("/reason", reason, 1, MaxReasonLength)
	return Suspension{Since: now, Reason: reason}, v.Err()
}

// Again returns what becomes of a suspension when next is imposed: it lasts since
// it began, for the later reason.
func (s Suspension) Again(next Suspension) Suspension {
	if s.Active() {
		next.Since = s.Since
	}
	return next
}
