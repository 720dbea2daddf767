package watch

import (
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// What is kept of changes.
const (
	kept        = 10 * time.Minute // changes of any project; an older cursor gets a reset
	sweepEvery  = time.Minute
	mostChanges = 1000 // of one project; beyond, its cursors get a reset
)

// Watch is safe for concurrent use.
type Watch struct {
	mu       sync.Mutex
	position domain.Position // of the last poll
	started  time.Time       // when that poll began
	polled   chan struct{}   // closed by the next poll
	lost     chan struct{}   // closed when the changes cannot be heard any more
	ended    chan struct{}   // closed when all who wait shall answer
	ending   bool

	waiting  int
	floor    domain.Position // changes in it are not kept
	marks    []mark
	subjects map[string]*subject
}

// mark is where the notes were at a moment.
type mark struct {
	at       time.Time
	position domain.Position
}

// subject is a project or an organization.
type subject struct {
	changes []change
	floor   domain.Position // changes of this subject in it are not kept; the zero value: that of all
	woken   chan struct{}   // nil until someone waits
}

// change is one note: of a token, or a reset if there is none.
type change struct {
	transaction int64
	token       domain.TokenID
}

// New returns a watch that has heard nothing: cursors get a reset, and the first one.
func New() *Watch {
	return &Watch{
		polled: make(chan struct{}), lost: make(chan struct{}), ended: make(chan struct{}), subjects: map[string]*subject{},
	}
}

// Restart begins anew at a position: what was changed before is not known.
func (w *Watch) Restart(position domain.Position, started time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restart(position)
	w.advance(position, started)
}

// Advance passes on the notes of one poll, which began at started and read up to the
// position.
func (w *Watch) Advance(position domain.Position, notes []domain.Note, started time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !position.Covers(w.position) || slices.ContainsFunc(notes, func(n domain.Note) bool { return n.Kind == domain.StaleEverything }) {
		w.restart(position)
	}
	for _, n := range notes {
		switch n.Kind {
		case domain.StaleToken:
			w.add(string(n.Project), change{n.Transaction, domain.TokenID(n.ID)}, position)
		case domain.StaleReset:
			w.add(n.ID, change{transaction: n.Transaction}, position)
		}
	}
	w.advance(position, started)
}

func (w *Watch) advance(position domain.Position, started time.Time) {
	w.position, w.started = position, started
	close(w.polled)
	w.polled = make(chan struct{})
	if len(w.marks) == 0 || started.Sub(w.marks[len(w.marks)-1].at) >= sweepEvery {
		w.marks = append(w.marks, mark{started, position})
		w.sweep(started)
	}
}

// restart forgets all changes and wakes everyone.
func (w *Watch) restart(position domain.Position) {
	w.floor, w.marks = position, nil
	for id, s := range w.subjects {
		s.wake()
		delete(w.subjects, id)
	}
}

// add adds a change to those of a subject. The whole memory of changes is paid for by
// the project that makes them: beyond its share it loses its own.
func (w *Watch) add(id string, c change, at domain.Position) {
	if id == "" {
		return // of a token whose project a node of 0.1 did not note
	}
	s := w.subject(id)
	if len(s.changes) >= mostChanges {
		s.changes, s.floor = nil, at
	} else if !s.floor.Covers(at) {
		s.changes = append(s.changes, c)
	}
	s.wake()
}

func (w *Watch) subject(id string) *subject {
	s := w.subjects[id]
	if s == nil {
		s = &subject{}
		w.subjects[id] = s
	}
	return s
}

func (s *subject) wake() {
	if s.woken != nil {
		close(s.woken)
		s.woken = nil
	}
}

// wait returns what is closed by the next change.
func (s *subject) wait() <-chan struct{} {
	if s.woken == nil {
		s.woken = make(chan struct{})
	}
	return s.woken
}

// sweep drops what is older than it has to be kept.
func (w *Watch) sweep(now time.Time) {
	for len(w.marks) > 0 && now.Sub(w.marks[0].at) >= kept {
		w.floor, w.marks = w.marks[0].position, w.marks[1:]
	}
	for id, s := range w.subjects {
		s.changes = slices.Clip(slices.DeleteFunc(s.changes, func(c change) bool { return w.floor.Has(c.transaction) }))
		if len(s.changes) == 0 && (s.floor.IsZero() || w.floor.Covers(s.floor)) {
			s.wake() // those who wait look again, and wait for a new one
			delete(w.subjects, id)
		}
	}
}

// Lose has all who wait fail, since changes are not heard any more. Those who come
// later are the caller's to refuse.
func (w *Watch) Lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.lost)
	w.lost = make(chan struct{})
}

// Waiting returns how many wait.
func (w *Watch) Waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting
}

// waits counts one that waits, or no longer does.
func (w *Watch) waits(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting += n
}

// End has all who wait answer with what they have.
func (w *Watch) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ending {
		w.ending = true
		close(w.ended)
	}
}
