package meter

import (
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	// rest is for how many takes a line that is not held is kept before another
	// token may have it. A request uses the number of a line within seconds.
	rest = 6

	// rareKinds bounds the counts beside the lines between two takes.
	rareKinds = 100_000
)

// Meter counts the uses of keys. It is safe for concurrent use.
type Meter struct {
	table
	tags     *tags
	reported *reported

	mu     sync.Mutex
	loose  map[domain.TokenID]Line // of tokens that were not in the cache when they were used
	firsts []Line                  // used after an idle interval, and not taken
	first  chan struct{}

	rareMu  sync.Mutex
	rare    map[rare]int64
	unknown map[domain.ProjectID]domain.UsageCount

	decisions decisions
}

// rare is an outcome that has no place in a line.
type rare struct {
	line    Line
	outcome domain.Outcome
}

// New returns an empty meter.
func New() *Meter {
	m := &Meter{
		table: table{
			projects: make([]project, 1),
			numbers:  map[domain.ProjectID]uint32{},
			external: map[Line]string{},
			buckets:  newBuckets(),
			balances: newBalances(),
			memory:   newMemory(),
		},
		tags:     newTags(),
		reported: newReported(),
		loose:    map[domain.TokenID]Line{},
		first:    make(chan struct{}, 1),
		rare:     map[rare]int64{},
		unknown:  map[domain.ProjectID]domain.UsageCount{},
	}
	m.blocks.Store(new([]*block))
	return m
}

// Hold returns a line for a token that is kept with its number, until Release.
func (m *Meter) Hold(key domain.ProvenKey) Line {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.add(key)
}

// Release gives up what Hold returned.
func (m *Meter) Release(n Line) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owner(n).rested = 0
}

// lineOf returns the line that a key came with from the cache, or one that it gets
// for as long as it is used.
func (m *Meter) lineOf(key domain.ProvenKey) Line {
	if n := Line(key.Line()); n != 0 {
		return n
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, known := m.loose[key.TokenID()]
	if known && m.external[n] != key.Fields().ExternalID { // what was counted is of the customer that the key had
		m.owner(n).rested = 0
		known = false
	}
	if !known {
		n = m.add(key)
		m.loose[m.owner(n).tokenID()] = n
	}
	return n
}

// Use notes when a token was last used. If the token was idle for an interval
// between two takes, this may be its first use, as far as this node knows.
func (m *Meter) Use(key domain.ProvenKey, now time.Time) {
	n := m.lineOf(key)
	l := m.line(n)
	use := now.UnixMicro()<<flagBits | pending | familiar
	for before := l.last.Load(); before&familiar != 0; before = l.last.Load() {
		if before >= use || l.last.CompareAndSwap(before, use) {
			return
		}
	}
	m.mu.Lock() // a request that sees the flag finds the use among the first ones
	l.last.Store(use)
	m.firsts = append(m.firsts, n)
	m.mu.Unlock()
	m.Wake()
}

// Last returns when a token was last used here; the zero time if that is not
// known.
func (m *Meter) Last(key domain.ProvenKey) time.Time {
	return timeOf(m.line(m.lineOf(key)).last.Load())
}

func timeOf(last int64) time.Time {
	if last>>flagBits == 0 {
		return time.Time{}
	}
	return time.UnixMicro(last >> flagBits).UTC()
}

// First receives when a use waits that may be the first one of its token.
func (m *Meter) First() <-chan struct{} { return m.first }

// Wake makes First receive.
func (m *Meter) Wake() {
	select {
	case m.first <- struct{}{}:
	default: // another use has done so already
	}
}

// CountValid counts a use that was good.
func (m *Meter) CountValid(key domain.ProvenKey) { m.line(m.lineOf(key)).uses[inlineValid].Add(1) }

// Count counts a use of a key.
func (m *Meter) Count(key domain.ProvenKey, outcome domain.Outcome) {
	n := m.lineOf(key)
	for i, name := range inline {
		if name == outcome {
			m.line(n).uses[i].Add(1)
			return
		}
	}
	m.rareMu.Lock()
	defer m.rareMu.Unlock()
	kind := rare{n, outcome}
	if _, known := m.rare[kind]; !known && len(m.rare) >= rareKinds {
		m.line(n).uses[inlineOther].Add(1)
		return
	}
	m.rare[kind]++
}

// Recount turns a use that was counted as good into another outcome. If the use has been
// taken since, and no other one of the token was counted, it stays what it was.
func (m *Meter) Recount(key domain.ProvenKey, outcome domain.Outcome) {
	n, token := Line(key.Line()), key.TokenID()
	m.mu.Lock()
	if n == 0 || m.owner(n).project == 0 || m.owner(n).tokenID() != token { // the line has gone to another token
		n = m.loose[token]
	}
	m.mu.Unlock()
	if n == 0 {
		return
	}
	for uses := &m.line(n).uses[inlineValid]; ; {
		before := uses.Load()
		if before == 0 {
			return
		}
		if uses.CompareAndSwap(before, before-1) {
			m.Count(key.Metered(uint32(n)), outcome)
			return
		}
	}
}

// CountUnknown counts a token that the project asked about and that is of none of
// its keys.
func (m *Meter) CountUnknown(p domain.Project) {
	m.rareMu.Lock()
	defer m.rareMu.Unlock()
	c := m.unknown[p.ID]
	m.unknown[p.ID] = domain.UsageCount{
		OrganizationID: p.OrganizationID, ProjectID: p.ID, Outcome: domain.OutcomeNotFound, Count: c.Count + 1,
	}
}

// Lines returns how many lines are in use.
func (m *Meter) Lines() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Waiting returns how many first uses have not been taken.
func (m *Meter) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.firsts)
}
