package domain

import "time"

// InvitationLifetime is how long an invitation can be accepted.
const InvitationLifetime = 7 * 24 * time.Hour

// Invitation invites the person with an email address into an organization. The
// digest of its token is not a field, so it cannot leak through one.
type Invitation struct {
	ID             InvitationID
	OrganizationID OrganizationID
	Email          string // normalized: see NormalizeEmail
	Role           Role
	InvitedBy      Actor
	CreatedAt      time.Time
	ExpiresAt      time.Time
	AcceptedAt     time.Time // zero: not yet
}

// InvitationSpec is what a caller can choose for a new invitation.
type InvitationSpec struct {
	Email string
	Role  Role

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
	TokenOnce      bool   // a repeated request returns the invitation without its token
}

// Validate returns validation_failed, naming every field that is wrong.
func (s InvitationSpec) Validate() error {
	var v Invalid
	if DeliverableEmail(s.Email) == "" {
		v.Add("/email", "must be an email address that can be reached")
	}
	v.Role("/role", s.Role)
	return v.Err()
}

// Role checks that r is one of the roles.
func (v *Invalid) Role(pointer string, r Role) {
	if !r.Valid() {
		v.Add(pointer, "must be one of viewer, developer, admin, owner")
	}
}
