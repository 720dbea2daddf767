// Package fair shares scarce resources, such as turns to hash a password or
// memory for large bodies, among the callers that ask for them. Each payer is
// bounded before all payers together are, and free places go round the waiting
// payers. So a flood from one network is refused for that network only, and a
// request of another network waits for at most one place of each payer before
// it.
package fair

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Payer is who pays for a request: the project of a calling key, a user, or the
// network of an anonymous request. The empty payer is for the program's own
// work; only the bound on all payers together applies to it.
type Payer string

// Network returns the payer of an address: the /24 of an IPv4 address and the
// /64 of an IPv6 address, the least that one subscriber gets. Text that is not
// an address, such as the peer of a Unix socket, is a payer under its own name.
func Network(ip string) Payer {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return Payer("peer " + ip)
	}
	address = address.Unmap().WithZone("")
	bits := 24
	if address.Is6() {
		bits = 64
	}
	return Payer(netip.PrefixFrom(address, bits).Masked().String())
}

// Bounds says how many places there are and how many requests may wait for
// them. All fields must be positive, except Wait.
type Bounds struct {
	Total    int // places that are taken at the same time
	PerPayer int // of those, for one payer

	Waiting         int           // requests that wait for a place
	WaitingPerPayer int           // of those, for one payer
	Wait            time.Duration // how long a request waits at most; 0: it does not wait
}

// Gate assigns places. Its memory is bounded by the places and by the requests
// that may wait for them, not by the number of payers.
type Gate struct {
	bounds Bounds

	mu      sync.Mutex
	taken   int
	waiting int
	refused int64
	payers  map[Payer]*payer // those that hold a place or wait for one
	ready   []*payer         // those that wait and may take a place, the next one first
}

type payer struct {
	name    Payer
	holding int
	queue   []*waiter // the first one to come is the first one to leave
	ready   bool      // it is in Gate.ready
}

type waiter struct {
	admitted chan struct{} // closed when a place has been given to it
	refused  chan struct{} // closed when it has to make room for another payer
}

// NewGate returns a gate with all places free.
func NewGate(b Bounds) *Gate {
	return &Gate{bounds: b, payers: map[Payer]*payer{}}
}

// Enter takes a place for a request of the payer and returns the function that
// gives it back, which must be called once. Errors: unavailable, with the time
// to wait before another try, if there is no place within the time that the
// bounds allow; unavailable with the context's error as its cause, if the
// caller has left.
func (g *Gate) Enter(ctx context.Context, name Payer) (leave func(), err error) {
	w, err := g.enter(name)
	if err != nil {
		return nil, g.refuse(nil)
	}
	leave = sync.OnceFunc(func() { g.leave(name) })
	if w == nil {
		return leave, nil
	}
	patience := time.NewTimer(g.bounds.Wait)
	defer patience.Stop()
	var cause error
	select {
	case <-w.admitted:
		return leave, nil
	case <-w.refused:
		return nil, g.refuse(nil)
	case <-patience.C:
	case <-ctx.Done():
		cause = ctx.Err()
	}
	if g.giveUp(name, w) {
		return nil, g.refuse(cause)
	}
	if cause == nil {
		return leave, nil // a place was given at the last moment
	}
	leave()
	return nil, busy(cause)
}

// Stats is how a gate is used.
type Stats struct {
	Total, Taken, Waiting int
	Refused               int64 // requests that got no place, since the start; without those whose caller has left
}

// Stats returns how the gate is used now.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{
		Total:   g.bounds.Total,
		Taken:   g.taken,
		Waiting: g.waiting,
		Refused: g.refused,
	}
}

// refuse counts a request that gets no place, and returns its error. A caller that
// has left is not counted, but one whose time is over is.
func (g *Gate) refuse(cause error) error {
	if !errors.Is(cause, context.Canceled) {
		g.mu.Lock()
		g.refused++
		g.mu.Unlock()
	}
	return busy(cause)
}

func busy(cause error) error {
	return &domain.Error{
		Code: domain.CodeUnavailable, Detail: "Too many requests of this kind are in progress. Try again shortly.",
		Err: cause, RetryAfter: time.Second,
	}
}

// enter takes a place, or joins the queue and returns its waiter.
func (g *Gate) enter(name Payer) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.payers[name]
	if p == nil {
		p = &payer{name: name}
		g.payers[name] = p
	}
	defer g.forget(p)
	if g.taken < g.bounds.Total && g.allows(p) && len(p.queue) == 0 {
		g.taken++
		p.holding++
		return nil, nil //nolint:nilnil // a place without waiting
	}
	if g.bounds.Wait <= 0 || len(p.queue) >= g.bounds.WaitingPerPayer || g.waiting >= g.bounds.Waiting && !g.makeRoom(p) {
		return nil, busy(nil)
	}
	w := &waiter{admitted: make(chan struct{}), refused: make(chan struct{})}
	p.queue = append(p.queue, w)
	g.waiting++
	g.enqueue(p)
	return w, nil
}

// allows reports whether a payer may take one more place.
func (g *Gate) allows(p *payer) bool { return p.name == "" || p.holding < g.bounds.PerPayer }

// makeRoom refuses the latest request of the payer with the most waiting
// requests, so that a full queue of one payer excludes no other. It reports
// false if this would be a request of p.
func (g *Gate) makeRoom(p *payer) bool {
	longest := p
	for _, other := range g.payers {
		if len(other.queue) > len(longest.queue)+1 || longest != p && len(other.queue) > len(longest.queue) {
			longest = other
		}
	}
	if longest == p {
		return false
	}
	last := len(longest.queue) - 1
	close(longest.queue[last].refused)
	longest.queue = longest.queue[:last]
	g.waiting--
	g.forget(longest)
	return true
}

// leave gives a place back and assigns every free place.
func (g *Gate) leave(name Payer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.payers[name]
	p.holding--
	g.taken--
	g.enqueue(p)
	for g.taken < g.bounds.Total && len(g.ready) > 0 {
		next := g.ready[0]
		g.ready = g.ready[1:]
		next.ready = false
		if len(next.queue) == 0 || !g.allows(next) {
			continue
		}
		close(next.queue[0].admitted)
		next.queue = next.queue[1:]
		next.holding++
		g.taken++
		g.waiting--
		g.enqueue(next)
	}
	g.forget(p)
}

// enqueue puts a payer behind those that wait, if it waits and may take a place.
func (g *Gate) enqueue(p *payer) {
	if !p.ready && len(p.queue) > 0 && g.allows(p) {
		p.ready = true
		g.ready = append(g.ready, p)
	}
}

// giveUp removes a waiter from its queue. It reports false if the waiter is no
// longer there, because it was admitted or refused.
func (g *Gate) giveUp(name Payer, w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.admitted:
		return false
	case <-w.refused:
		return true
	default:
	}
	p := g.payers[name]
	p.queue = slices.DeleteFunc(p.queue, func(other *waiter) bool { return other == w })
	g.waiting--
	g.forget(p)
	return true
}

// forget drops a payer that holds no place and does not wait for one.
func (g *Gate) forget(p *payer) {
	if len(p.queue) > 0 {
		return
	}
	if p.ready {
		p.ready = false
		g.ready = slices.DeleteFunc(g.ready, func(other *payer) bool { return other == p })
	}
	if p.holding == 0 {
		delete(g.payers, p.name)
	}
}
