package cache

import "sync"

const wrongSlots = 4096

// Wrong remembers tokens that were compared with imported secrets and match
// none, so that sending one again costs no hash. It keeps a hash of each token
// in a table of fixed size. It never makes a token valid. It is safe for
// concurrent use.
type Wrong struct {
	mu    sync.Mutex
	slots [wrongSlots]wrong
}

type wrong struct {
	token    uint64
	state    uint64 // identifies the secrets that it was compared with
	compared int
}

// NewWrong returns an empty table.
func NewWrong() *Wrong { return &Wrong{} }

// Compared returns with how many secrets a token was compared, in their order;
// 0 if the secrets were others, according to state.
func (w *Wrong) Compared(token, state uint64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.slots[token%wrongSlots]; s.token == token && s.state == state {
		return s.compared
	}
	return 0
}

// Note records with how many secrets a token was compared.
func (w *Wrong) Note(token, state uint64, compared int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots[token%wrongSlots] = wrong{token, state, compared}
}
