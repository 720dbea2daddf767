package domain

import "time"

// How many service accounts an organization can have, and how many tokens each of them:
// enough to make a new one, deploy it, and delete the old one.
const (
	MaxServiceAccounts = 100
	MaxServiceTokens   = 5
)

// ServiceTokenLifetime is how long a service token works if nothing else was asked for.
const ServiceTokenLifetime = 365 * 24 * time.Hour

// ServiceAccount is a member of one organization that is no person: a user for programs,
// with tokens in place of a password.
type ServiceAccount struct {
	ID                UserID
	OrganizationID    OrganizationID
	Name              string
	Role              Role // admin at most
	Status            Status
	MayDeleteProjects bool // without the fresh sign-in that people need
	CreatedAt         time.Time
	UpdatedAt         time.Time
	Revision          int64
}

// ServiceAccountSpec is what a caller can choose for a new service account.
type ServiceAccountSpec struct {
	Name              string
	Role              Role
	MayDeleteProjects bool

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
}

// Validate returns validation_failed, naming every field that is wrong.
func (s ServiceAccountSpec) Validate() error {
	return ServiceAccount{Name: s.Name, Role: s.Role, Status: Active}.validate().Err()
}

func (a ServiceAccount) validate() *Invalid {
	var v Invalid
	v.Name("/name", a.Name)
	if !a.Role.Valid() || a.Role == Owner {
		v.Add("/role", "must be one of viewer, developer, admin")
	}
	v.status(a.Status)
	return &v
}

// ServiceAccountPatch is a change to a service account. A nil field stays as it is.
type ServiceAccountPatch struct {
	Name              *string
	Role              *Role
	Status            *Status
	MayDeleteProjects *bool
}

// Apply returns account with the patch applied, or validation_failed.
func (p ServiceAccountPatch) Apply(account ServiceAccount) (ServiceAccount, error) {
	given := fields{}
	set(given, "name", &account.Name, p.Name)
	set(given, "role", &account.Role, p.Role)
	set(given, "status", &account.Status, p.Status)
	set(given, "may_delete_projects", &account.MayDeleteProjects, p.MayDeleteProjects)
	return account, account.validate().of(given)
}

// ServiceToken is what is known of a token of a service account. The token itself is
// shown once.
type ServiceToken struct {
	ID         TokenID
	Name       string
	Prefix     string // the public part: lks_live_<id>
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // within five minutes; zero: never
}

// ServiceTokenSpec is what a caller can choose for a new token.
type ServiceTokenSpec struct {
	Name      string
	ExpiresAt *time.Time // nil: after ServiceTokenLifetime; the zero time: never

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
	TokenOnce      bool   // a repetition gets no token
}

// Validate returns validation_failed, naming every field that is wrong.
func (s ServiceTokenSpec) Validate(now time.Time) error {
	var v Invalid
	v.Name("/name", s.Name)
	if end := s.Expiry(now); !end.IsZero() && storable(end) && !end.After(now) {
		v.Add("/expires_at", "must be in the future")
	} else {
		v.moment("/expires_at", end)
	}
	return v.Err()
}

// Expiry returns when a token that is made now ends; zero: never.
func (s ServiceTokenSpec) Expiry(now time.Time) time.Time {
	if s.ExpiresAt == nil {
		return now.Add(ServiceTokenLifetime).Truncate(time.Microsecond)
	}
	return s.ExpiresAt.Truncate(time.Microsecond)
}

// Forever is how the end of a session is stored that has none, and the last use of one
// that does not idle out: the last second that every database and every program knows.
var Forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
