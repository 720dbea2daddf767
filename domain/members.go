package domain

import "time"

// Membership is a user in an organization with a role.
type Membership struct {
	OrganizationID OrganizationID
	UserID         UserID
	Role           Role
	JoinedAt       time.Time
}

// Member is a user as the other members of an organization see them.
type Member struct {
	User     User
	Role     Role
	JoinedAt time.Time
}
