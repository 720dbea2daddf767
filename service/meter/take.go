package meter

import "github.com/latchkey-dev/latchkey/domain"

// Take returns what has been counted since the last call, which is then no longer
// here: every count is taken once. A key may be in several of the counts.
func (m *Meter) Take() []domain.UsageCount {
	m.rareMu.Lock()
	rares, unknown := m.rare, m.unknown
	m.rare, m.unknown = map[rare]int64{}, map[domain.ProjectID]domain.UsageCount{}
	m.rareMu.Unlock()

	counts := m.reported.takeReported()
	m.mu.Lock()
	for kind, count := range rares {
		counts = append(counts, m.count(kind.line, kind.outcome, count))
	}
	m.mu.Unlock()
	for _, c := range unknown {
		counts = append(counts, c)
	}
	m.inBlocks(func(n Line) { counts = m.takeCounts(n, counts) })
	return counts
}

// inBlocks calls fn for all lines in use. It gives the lock to others after each
// block.
func (m *Meter) inBlocks(fn func(Line)) {
	for b := range *m.blocks.Load() {
		m.mu.Lock()
		for n := Line(b * linesInBlock); n < Line((b+1)*linesInBlock); n++ {
			if m.owner(n).project != 0 {
				fn(n)
			}
		}
		m.mu.Unlock()
	}
}

// Rest frees lines as Take does, but takes no counts. It is called instead of Take
// while counts cannot be written, so that lines without any do not pile up.
func (m *Meter) Rest() {
	m.rareMu.Lock()
	counted := map[Line]bool{}
	for kind := range m.rare {
		counted[kind.line] = true
	}
	m.rareMu.Unlock()
	m.inBlocks(func(n Line) {
		used := counted[n]
		for i := range inline {
			used = used || m.line(n).uses[i].Load() > 0
		}
		m.letRest(n, used)
	})
}

// takeCounts appends the counts of a line, and frees a line that is not held and
// has rested.
func (m *Meter) takeCounts(n Line, counts []domain.UsageCount) []domain.UsageCount {
	l := m.line(n)
	before := len(counts)
	for i := range l.uses {
		if l.uses[i].Load() > 0 { // a read leaves the cache line to the requests
			counts = append(counts, m.count(n, inline[i], int64(l.uses[i].Swap(0))))
		}
	}
	m.letRest(n, len(counts) > before)
	return counts
}

// letRest frees a line that is not held, has rested, and was not used since.
func (m *Meter) letRest(n Line, used bool) {
	switch o := m.owner(n); {
	case o.rested == held:
	case used || m.line(n).last.Load()&pending != 0:
		o.rested = 0
	case o.rested < rest:
		o.rested++
	default:
		m.remove(n)
	}
}

// Pending returns how many uses have been counted and not been taken. It reads what
// requests write, and so is not for their way.
func (m *Meter) Pending() (n int64) {
	m.rareMu.Lock()
	for _, count := range m.rare {
		n += count
	}
	for _, c := range m.unknown {
		n += c.Count
	}
	m.rareMu.Unlock()
	for _, b := range *m.blocks.Load() {
		for i := range b.lines {
			for k := range b.lines[i].uses {
				n += int64(b.lines[i].uses[k].Load())
			}
		}
	}
	return n
}

// Use is a use of a token that is to be written.
type Use struct {
	domain.Use
	line Line
}

// TakeFirst returns the uses that may be first ones and that no call has returned
// yet.
func (m *Meter) TakeFirst() (uses []Use) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.firsts {
		uses = m.takeUse(n, familiar, uses)
	}
	m.firsts = nil
	return uses
}

// TakeUses returns the last use of each token that was used since the last call,
// unless a call has returned it. Tokens without one are idle from then on, and
// their next use may be a first one again.
func (m *Meter) TakeUses() (uses []Use) {
	m.mu.Lock()
	m.firsts = nil // they are among all
	m.mu.Unlock()
	m.inBlocks(func(n Line) { uses = m.takeUse(n, 0, uses) })
	m.mu.Lock()
	defer m.mu.Unlock()
	for token, n := range m.loose {
		if m.line(n).last.Load()&familiar == 0 {
			m.owner(n).rested = 0
			delete(m.loose, token)
		}
	}
	return uses
}

// takeUse appends the last use of a line if it is pending. Otherwise it sets the
// flags to idle.
func (m *Meter) takeUse(n Line, idle int64, uses []Use) []Use {
	l := m.line(n)
	last := l.last.Load()
	if last&pending == 0 {
		l.last.CompareAndSwap(last, last&^flags|last&idle)
		return uses
	}
	l.last.CompareAndSwap(last, last&^pending) // a later use stays pending
	o, at := m.owner(n), timeOf(last)
	return append(uses, Use{domain.Use{
		ProjectID: m.projects[o.project].id,
		KeyID:     o.keyID(),
		TokenID:   o.tokenID(),
		First:     at,
		Last:      at,
	}, n})
}

// PutBack returns uses that could not be written. Any of them may be a first one.
func (m *Meter) PutBack(uses []Use) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, use := range uses {
		m.line(use.line).last.Or(pending)
		m.firsts = append(m.firsts, use.line)
	}
}
