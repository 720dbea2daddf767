package domain

import (
	"fmt"
	"io"
	"strings"
)

// Principal is the proven caller: an API key, a user, both, the operator at the
// command line, or an anonymous caller, which is the zero value.
type Principal struct {
	key    ProvenKey
	user   *CallingUser
	system bool
	origin Origin
}

// CallingKey is an API key that has proved itself, with its project and
// organization at that time.
type CallingKey struct {
	Key          Key
	Project      Project
	Organization Organization
	HasPlans     bool // the project has plans; its tenant needs them
}

// Holds reports whether the key has the scope.
func (k CallingKey) Holds(a Action) bool { return k.Key.Holds(a) }

// CallingUser is a person who has proved themselves, and the session in which
// they did.
type CallingUser struct {
	User    User
	Session Session
}

// Origin is where a request came from, as the audit trail records it.
type Origin struct {
	IP        string
	UserAgent string
	RequestID string
}

// maxUserAgent is how much of a User-Agent is kept, in bytes.
const maxUserAgent = 256

// UserAgent returns a client's User-Agent as an Origin stores it: shortened,
// and in a form that every database accepts.
func UserAgent(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s[:min(len(s), maxUserAgent)], "\x00", ""), "")
}

// Format implements fmt.Formatter: a principal prints as its actor with every
// verb. Without it, fmt would print unexported fields.
func (p Principal) Format(f fmt.State, _ rune) {
	actor := p.Actor()
	io.WriteString(f, string(actor.Kind)+" "+actor.ID)
}

// NewPrincipal returns the caller with the credentials that were proved; nil
// means that this kind was not sent.
func NewPrincipal(key *CallingKey, user *CallingUser, from Origin) Principal {
	p := Principal{user: user, origin: from}
	if key != nil {
		p.key = NewProvenKey(string(PackKey(nil, Secret{}, key.Key)), NewTenant(key.Project, key.Organization, nil))
	}
	return p
}

// ProvenPrincipal is like NewPrincipal, but takes the key in its packed form;
// the zero value means no key. It allocates nothing.
func ProvenPrincipal(key ProvenKey, user *CallingUser, from Origin) Principal {
	return Principal{key: key, user: user, origin: from}
}

// System returns the principal of the operator at the command line of the
// instance. It holds every action and is audited as system.
func System() Principal { return Principal{system: true} }

// Key returns the proven key, if there is one.
func (p Principal) Key() (CallingKey, bool) {
	if p.key.IsZero() {
		return CallingKey{}, false
	}
	return p.key.CallingKey(), true
}

// ProvenKey is like Key, but does not unpack the key. It is for what every
// request asks.
func (p Principal) ProvenKey() (ProvenKey, bool) { return p.key, !p.key.IsZero() }

// HasUser reports whether there is a proven user.
func (p Principal) HasUser() bool { return p.user != nil }

// UserID returns the proven user's id, if there is one.
func (p Principal) UserID() (UserID, bool) {
	if p.user == nil {
		return "", false
	}
	return p.user.User.ID, true
}

// User returns the proven user, if there is one.
func (p Principal) User() (CallingUser, bool) {
	if p.user == nil {
		return CallingUser{}, false
	}
	return *p.user, true
}

// IsSystem reports whether this is the command line's principal.
func (p Principal) IsSystem() bool { return p.system }

// Origin returns where the request came from.
func (p Principal) Origin() Origin { return p.origin }

// Actor returns how the audit trail names the principal. If both a key and a
// user are proved, it is the user: people are responsible for what they do.
func (p Principal) Actor() Actor {
	switch {
	case p.user != nil:
		return p.user.User.Actor()
	case !p.key.IsZero():
		key := p.key.Key()
		return Actor{ActorKey, string(key.ID), key.Name}
	case p.system:
		return Actor{ActorSystem, "system", "command line"}
	}
	return Actor{}
}
