package domain

// StaleKind is what kind of object has changed.
type StaleKind string

// The kinds of objects that nodes keep copies of.
const (
	StaleToken        StaleKind = "token"        // one secret of a key: the key itself, or this secret
	StaleProject      StaleKind = "project"      // it, and with it all its keys
	StaleOrganization StaleKind = "organization" // it, its projects and its memberships
	StaleSession      StaleKind = "session"      // it has ended
	StaleUser         StaleKind = "user"         // the person, their memberships, or all their sessions
	StaleSigningKeys  StaleKind = "signing_keys" // of access tokens
	StaleUntagged     StaleKind = "untagged"     // a token without a tag has been made, so it must be looked up
	StaleNodes        StaleKind = "nodes"        // a node has been added to their list
	StaleLimit        StaleKind = "limit"        // a limit has been reset, or credits granted; the id is Reset.String
	StaleReset        StaleKind = "reset"        // all tokens of a project or an organization; no node keeps copies by it
	StaleEverything   StaleKind = "everything"   // what has changed is no longer known
)

// Stale says that copies of an object, in any place, are no longer true. It
// says what changed, not how: a node drops its copy and reads the object again,
// so it does no harm to learn of a change twice, late or out of order. A reset of a
// limit has an id for that.
type Stale struct {
	Kind StaleKind
	ID   string // empty for signing keys, which are few and are read together, and for everything
}

// Note is a stale note as it is stored.
type Note struct {
	Stale

	Project     ProjectID // of a token; empty if a program of 0.1 noted it
	Transaction int64     // that noted it
}
