package domain

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// ActorKind is what kind of principal acted.
type ActorKind string

// The kinds of actors.
const (
	ActorUser   ActorKind = "user"
	ActorKey    ActorKind = "key"
	ActorSystem ActorKind = "system"

	ActorServiceAccount ActorKind = "service_account"
)

// ActorKinds are all of them. Their order is part of how a ProvenKey is packed
// in memory. Nothing that is stored depends on it.
var ActorKinds = []ActorKind{ActorUser, ActorKey, ActorSystem, ActorServiceAccount}

// Actor is who did something, with the name they had at that time.
type Actor struct {
	Kind ActorKind
	ID   string
	Name string
}

// Actor returns how the audit trail names the user.
func (u User) Actor() Actor {
	if u.IsService() {
		return Actor{ActorServiceAccount, string(u.ID), u.Name}
	}
	name := u.Name
	if name == "" {
		name = u.Email
	}
	return Actor{ActorUser, string(u.ID), name}
}

// Target is what something was done to, with the name it had at that time.
type Target struct {
	Kind string // organization, project, plan, key, member, invitation, user, session, service_account, service_token
	ID   string
	Name string
}

// Change is a field's value before and after: nil where there was none. Secrets
// never appear here.
type Change [2]any

// Changes are the fields that an event changed.
type Changes map[string]Change

// Diff returns the fields whose values differ. A nil map means an object
// that does not exist: then all fields of the other one differ.
func Diff(before, after map[string]any) Changes {
	changes := Changes{}
	for _, fields := range []map[string]any{before, after} {
		for name := range fields {
			if !reflect.DeepEqual(before[name], after[name]) {
				changes[name] = Change{before[name], after[name]}
			}
		}
	}
	return changes
}

// Event is one entry of the audit trail. It is written in the transaction of
// the change that it describes and never altered afterwards. It outlives its
// target and is deleted with its organization.
type Event struct {
	ID             EventID
	At             time.Time
	Actor          Actor
	Action         string // key.created, project.updated, …
	Target         Target
	OrganizationID OrganizationID // empty if it concerns only a user
	ProjectID      ProjectID      // empty if it concerns no project
	Origin         Origin
	Changes        Changes
}

// EventColumns name the cells of Event.Row.
var EventColumns = []string{
	"id", "at", "actor_kind", "actor_id", "actor_name", "action", "target_kind", "target_id", "target_name",
	"organization_id", "project_id", "ip", "user_agent", "request_id", "changes",
}

// Row returns the event as a row of a table that a spreadsheet can open: the
// time is in RFC 3339, the changes are JSON, and no cell is a formula.
func (e Event) Row() ([]string, error) {
	changes := []byte("{}")
	if e.Changes != nil {
		var err error
		if changes, err = json.Marshal(e.Changes); err != nil {
			return nil, err
		}
	}
	row := []string{
		string(e.ID), e.At.UTC().Format(time.RFC3339Nano), string(e.Actor.Kind), e.Actor.ID, e.Actor.Name, e.Action,
		e.Target.Kind, e.Target.ID, e.Target.Name, string(e.OrganizationID), string(e.ProjectID),
		e.Origin.IP, e.Origin.UserAgent, e.Origin.RequestID, string(changes),
	}
	for i, cell := range row {
		row[i] = inert(cell)
	}
	return row, nil
}

// inert keeps a spreadsheet from reading a cell as a formula: its text may come
// from a stranger (OWASP, CSV injection).
func inert(cell string) string {
	if strings.IndexAny(cell, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + cell
	}
	return cell
}

var actionPattern = regexp.MustCompile(`^[a-z][a-z_]*\.[a-z][a-z_]*$`)

// IsID reports whether s is an id of a kind that events contain, and not a
// name.
func IsID(s string) bool { return idPattern.MatchString(s) }

var idPattern = regexp.MustCompile(`^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$`)

// EventFilter narrows a list of audit events. A zero field does not narrow.
type EventFilter struct {
	Actor  string // an actor's id, or the name that they had
	Action string
	Target string    // a target's id, or the name that it had
	Since  time.Time // inclusive
	Until  time.Time // exclusive
}

// Validate returns validation_failed for values that no event can have.
func (f EventFilter) Validate() error {
	var v Invalid
	v.findable("actor", f.Actor)
	if f.Action != "" && !actionPattern.MatchString(f.Action) {
		v.Add("action", "must be what was done, such as key.revoked")
	}
	v.findable("target", f.Target)
	return v.Err()
}
