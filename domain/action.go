package domain

import (
	"regexp"
	"slices"
	"strings"
)

// Action is a verb on an organization or a project, written resource:verb. A
// user gets it from a role, and a key from a scope.
type Action string

// Scope is an action held by a key: one of Latchkey's own, or one that a
// project invented for its own API, such as documents:read.
type Scope = Action

// Actions on an organization.
const (
	OrganizationRead   Action = "organization:read"
	OrganizationWrite  Action = "organization:write"
	OrganizationDelete Action = "organization:delete"
	MembersRead        Action = "members:read"
	MembersWrite       Action = "members:write"
	ProjectsRead       Action = "projects:read"
	ProjectsWrite      Action = "projects:write"
	AuditRead          Action = "audit:read"

	ServiceAccountsRead  Action = "service_accounts:read"
	ServiceAccountsWrite Action = "service_accounts:write"
)

// Actions on a project.
const (
	ProjectRead   Action = "project:read"
	ProjectWrite  Action = "project:write"
	ProjectDelete Action = "project:delete"
	KeysRead      Action = "keys:read"
	KeysWrite     Action = "keys:write"
	KeysVerify    Action = "keys:verify"
	KeysImport    Action = "keys:import"
	UsageRead     Action = "usage:read" // also on an organization
	LimitsRead    Action = "limits:read"
	LimitsWrite   Action = "limits:write"
	WebhooksRead  Action = "webhooks:read"
	WebhooksWrite Action = "webhooks:write"
)

// KeyScopes are the actions of Latchkey itself that a key may hold.
var KeyScopes = []Scope{ProjectRead, ProjectWrite, KeysRead, KeysWrite, KeysVerify, UsageRead, LimitsRead, LimitsWrite, WebhooksRead}

// Role is the role of a member in an organization. It decides which actions the
// member holds there and on all of its projects.
type Role string

// The roles, from least to most.
const (
	Viewer    Role = "viewer"
	Developer Role = "developer"
	Admin     Role = "admin"
	Owner     Role = "owner"
)

// Roles are all roles, from least to most.
var Roles = []Role{Viewer, Developer, Admin, Owner}

// roleActions is what each role adds to the one before it.
var roleActions = map[Role][]Action{
	Viewer:    {OrganizationRead, MembersRead, ProjectsRead, ProjectRead, KeysRead, UsageRead, LimitsRead},
	Developer: {KeysWrite, KeysVerify, KeysImport, LimitsWrite},
	Admin: {
		OrganizationWrite, MembersWrite, ProjectsWrite, ProjectWrite, ProjectDelete, AuditRead,
		ServiceAccountsRead, ServiceAccountsWrite, WebhooksRead, WebhooksWrite,
	},
	Owner: {OrganizationDelete},
}

// Reads reports whether a changes nothing.
func (a Action) Reads() bool {
	return a == KeysVerify || strings.HasSuffix(string(a), ":read")
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// Holds reports whether a member with this role may do a. Viewers hold the
// project's own scopes that read; all other roles hold every one of them.
func (r Role) Holds(a Action) bool {
	for _, role := range Roles[:slices.Index(Roles, r)+1] {
		if slices.Contains(roleActions[role], a) {
			return true
		}
	}
	return a.custom() && r.Valid() && (r != Viewer || strings.HasSuffix(string(a), ":read"))
}

// MayGrant reports whether a member with this role may give, change or take
// away the other one. Only owners make or change owners; no one grants more
// than they hold.
func (r Role) MayGrant(other Role) bool {
	return other.Valid() && r.Holds(MembersWrite) && slices.Index(Roles, other) <= slices.Index(Roles, r)
}

// RolesHolding names the roles that hold a, for the sentence that tells a
// refused caller who can grant it.
func RolesHolding(a Action) []Role {
	return slices.DeleteFunc(slices.Clone(Roles), func(r Role) bool { return !r.Holds(a) })
}

var customScope = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,31}:[a-z][a-z0-9_.-]{0,63}$`)

// reservedResources may not be the first half of a project's own scope: they
// belong to Latchkey, now or in later releases.
var reservedResources = []string{
	"organization", "members", "projects", "project", "keys", "audit", "usage", "limits", "webhooks", "tokens", "sessions", "users",
	"service_accounts",
}

// custom reports whether a is a well-formed scope of a project's own.
func (a Action) custom() bool {
	resource, _, _ := strings.Cut(string(a), ":")
	return customScope.MatchString(string(a)) && !slices.Contains(reservedResources, resource)
}

// ValidateScope says why a key cannot hold s, or "".
func ValidateScope(s Scope) string {
	if slices.Contains(KeyScopes, s) || s.custom() {
		return ""
	}
	if customScope.MatchString(string(s)) {
		return "is not a scope that a key may hold; its resource name is reserved"
	}
	return "must look like resource:verb, in lower-case letters, digits, '_', '.' and '-'"
}
