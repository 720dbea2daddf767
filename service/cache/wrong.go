package cache

import "sync"

const wrongSlots = 4096

// Wrong remembers tokens that have been compared with imported secrets and fit
// none, so that sending one again costs no hash. It keeps a hash of each token in
// a table of fixed size, and nothing is right by it. It is safe for concurrent
// use.
type Wrong struct {
	mu    sync.Mutex
	slots [wrongSlots]wrong
}

type wrong struct {
	token    uint64
	state    uint64 // stands for the secrets that it was compared with
	compared int
}

// NewWrong returns an empty table.
func NewWrong() *Wrong { return &Wrong{} }

// Compared returns with how many secrets a token has been compared, in the order
// in which they are; 0 when the state that stands for them was another.
func (w *Wrong) Compared(token, state uint64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.slots[token%wrongSlots]; s.token == token && s.state == state {
		return s.compared
	}
	return 0
}

// Note remembers with how many secrets a token has been compared.
func (w *Wrong) Note(token, state uint64, compared int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots[token%wrongSlots] = wrong{token, state, compared}
}
