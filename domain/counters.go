package domain

import (
	"cmp"
	"strings"
	"time"
)

// Counter names the running state of a limit: the place that defines the limit, its
// type and name, and what it is counted over. So two keys of one customer on two plans
// have two counters.
type Counter struct {
	Owner   string // the id of the project, plan or key that defines the limit
	Type    LimitType
	Name    string
	Per     Per
	Subject string // the key's id, the external id or the project's id
}

// String returns the counter as ParseCounter reads it.
func (c Counter) String() string {
	return c.Owner + "/" + string(c.Type) + "/" + c.Name + "/" + string(c.Per) + "/" + c.Subject
}

// ParseCounter reads what String returns. Anything else gives a counter of nothing.
func ParseCounter(s string) Counter {
	parts := append(strings.SplitN(s, "/", 5), "", "", "", "") // an external id may have slashes
	return Counter{
		Owner:   parts[0],
		Type:    LimitType(parts[1]),
		Name:    parts[2],
		Per:     Per(parts[3]),
		Subject: parts[4],
	}
}

// Reset says that a counter is as good as new. It has an id, because nodes hear of it
// more than once.
type Reset struct {
	ID      string // without slashes; empty: the counter has changed otherwise
	Counter Counter
}

// String returns the reset as ParseReset reads it.
func (r Reset) String() string { return r.ID + "/" + r.Counter.String() }

// ParseReset reads what String returns. Anything else gives a reset of nothing.
func ParseReset(s string) Reset {
	id, counter, _ := strings.Cut(s, "/")
	return Reset{ID: id, Counter: ParseCounter(counter)}
}

// Clone returns the counter without a reference to the text that it was read from.
func (c Counter) Clone() Counter {
	c.Owner, c.Name, c.Subject = strings.Clone(c.Owner), strings.Clone(c.Name), strings.Clone(c.Subject)
	return c
}

// ProjectCounter is a counter of a project.
type ProjectCounter struct {
	Project ProjectID
	Counter
}

// Compare orders counters as all transactions lock them.
func (c ProjectCounter) Compare(d ProjectCounter) int {
	return cmp.Or(cmp.Compare(c.Project, d.Project), cmp.Compare(c.Owner, d.Owner), cmp.Compare(c.Type, d.Type),
		cmp.Compare(c.Name, d.Name), cmp.Compare(c.Per, d.Per), cmp.Compare(c.Subject, d.Subject))
}

// Visit is what a node reports of its lease of one counter, and what it asks for.
type Visit struct {
	Counter ProjectCounter
	Limit   Limit // as the node knows it
	Report  Report
	Journal string // that says what is spent of the lease; empty: it is lost with the process
}

// Visits are those of one node that are done in one transaction.
type Visits struct {
	Node  string
	Nodes int       // that share the counters
	At    time.Time // by the clock of limits, to the microsecond
	All   []Visit   // of different counters
}

// MaxVisits is how many visits one transaction does.
const MaxVisits = 500

// Visited is the answer to a visit, which is committed.
type Visited struct {
	Gone  bool // there is no such project any more
	Books Books
	Lease Lease
}

// ReachedEachHour is how many limits of a project are noted in an hour of which nothing is
// left. Its customers choose how many there are.
const ReachedEachHour = 100

// ActionReached is the action of Reached.
const ActionReached = "limit.reached"

// Reached is the event that nothing of a quota or of credits is left.
func (c ProjectCounter) Reached(organization OrganizationID, b Books, at time.Time) Event {
	kinds := map[Per]string{PerKey: "key", PerExternalID: "external_id", PerProject: "project"}
	return Event{
		ID:             NewID[EventID](at),
		At:             at,
		Actor:          LimitActor,
		Action:         ActionReached,
		Target:         Target{Kind: kinds[c.Per], ID: c.Subject, Name: c.Subject},
		OrganizationID: organization,
		ProjectID:      c.Project,
		Changes:        Changes{"limit": {nil, c.Name}, "type": {nil, c.Type}, "capacity": {nil, b.Capacity}},
	}
}

// CreditEntry is a change of credits, as the list of them has it.
type CreditEntry struct {
	ID        CreditEntryID
	Counter   Counter
	Kind      EntryKind
	Amount    int64 // negative: there are fewer
	Reason    string
	CreatedAt time.Time
	CreatedBy Actor
}

// LimitActor is who changes credits when no one does: a limit that begins or refills,
// or a node that is gone.
var LimitActor = Actor{ActorSystem, "system", "limits"}
