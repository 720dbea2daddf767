package service

import "github.com/latchkey-dev/latchkey/domain"

// suspension returns a suspension from now on, for the operator to impose: only
// the command line may.
func (g grant) suspension(reason string) (domain.Suspension, error) {
	if err := requireSystem(g.caller); err != nil {
		return domain.Suspension{}, err
	}
	return domain.NewSuspension(reason, g.app.now())
}

// errSuspended refuses a change to what the operator has suspended.
func errSuspended(s domain.Suspension) error {
	return domain.Errorf(domain.CodeForbidden,
		"The operator of this instance has suspended this: it can be read and exported, and not changed. Their reason: %s", s.Reason)
}

// withSuspension adds what the audit trail says of a suspension, if there is one.
func withSuspension(fields map[string]any, s domain.Suspension) map[string]any {
	if s.Active() {
		fields["suspended_at"], fields["suspended_reason"] = s.Since, s.Reason
	}
	return fields
}
