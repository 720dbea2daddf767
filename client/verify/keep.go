package verify

import (
	"container/list"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"time"

	"github.com/latchkey-dev/latchkey/client"
)

// quiet is for how long nothing is kept of what has changed: another node of Latchkey may
// hear of a change so much later.
const quiet = 5 * time.Second

// answer is an answer about one token.
type answer struct {
	client.Verification

	sent  time.Time // when the question was sent, from which everything counts
	fresh time.Time // ask again after this
	end   time.Time // wrong after this; zero: not known to end
}

// store has the answers that are kept, by the hash of the token: those about keys, and in
// a tenth of the room those that a token is of none.
type store struct{ keys, unknown lru }

func newStore(most int) *store {
	return &store{newLRU(most), newLRU(max(1, most/10))}
}

func (s *store) len() int { return s.keys.order.Len() + s.unknown.order.Len() }

func (s *store) get(hash [sha256.Size]byte) *answer {
	if a := s.keys.get(hash); a != nil {
		return a
	}
	return s.unknown.get(hash)
}

func (s *store) put(hash [sha256.Size]byte, a *answer) {
	if a.Valid {
		s.keys.put(hash, a)
	} else {
		s.unknown.put(hash, a)
	}
}

func (s *store) drop(changed func(*answer) bool) {
	s.keys.drop(changed)
	s.unknown.drop(changed)
}

type lru struct {
	most  int
	order *list.List // the last used one first
	of    map[[sha256.Size]byte]*list.Element
}

type entry struct {
	hash [sha256.Size]byte
	*answer
}

func newLRU(most int) lru { return lru{most, list.New(), map[[sha256.Size]byte]*list.Element{}} }

func (l *lru) get(hash [sha256.Size]byte) *answer {
	e := l.of[hash]
	if e == nil {
		return nil
	}
	l.order.MoveToFront(e)
	return e.Value.(entry).answer //nolint:forcetypeassert // there is nothing else
}

func (l *lru) put(hash [sha256.Size]byte, a *answer) {
	if old := l.of[hash]; old != nil {
		l.order.Remove(old)
	}
	l.of[hash] = l.order.PushFront(entry{hash, a})
	if l.order.Len() > l.most {
		l.remove(l.order.Back())
	}
}

func (l *lru) remove(e *list.Element) {
	delete(l.of, e.Value.(entry).hash) //nolint:forcetypeassert // the same
	l.order.Remove(e)
}

func (l *lru) drop(changed func(*answer) bool) {
	for e := l.order.Front(); e != nil; {
		next := e.Next()
		if changed(e.Value.(entry).answer) { //nolint:forcetypeassert // the same
			l.remove(e)
		}
		e = next
	}
}

// find returns a kept answer that is good now. If asked is set, Latchkey has been asked
// since then and has not answered, so an answer is good for as long as it is without
// Latchkey.
func (v *Verifier) find(hash [sha256.Size]byte, asked time.Time) (a *answer, local bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.o.Clock()
	if a = v.answers.get(hash); a == nil || !a.end.IsZero() && !now.Before(a.end) {
		return nil, false
	}
	good := now.Before(a.fresh)
	if !v.inSync(now) || !asked.IsZero() {
		good = a.Valid && now.Before(v.heard.last.Add(*v.o.Grace))
	}
	if !good {
		return nil, false
	}
	v.stats.Hits++
	return a, true
}

// keep keeps an answer, unless it may already be untrue: if changes are not heard, if its
// token has changed a moment before the question or since, or if everything has.
func (v *Verifier) keep(hash [sha256.Size]byte, a *answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if a.MaxAge <= 0 || !v.inSync(v.o.Clock()) || v.heard.reset.After(a.sent.Add(-quiet)) {
		return
	}
	if a.TokenID != nil && v.heard.changed[*a.TokenID].After(a.sent.Add(-quiet)) {
		return
	}
	age := time.Duration(a.MaxAge) * time.Second
	a.fresh = a.sent.Add(age - time.Duration(rand.Int64N(int64(age)/10))) //nolint:gosec // so that not all are asked about together
	if a.Deadline != nil {
		a.end = a.sent.Add(time.Duration(*a.Deadline) * time.Second)
	}
	v.answers.put(hash, a)
}

// flight is a question that is being asked, which others about the same token share.
type flight struct {
	done   chan struct{}
	answer *answer // nil: there is none
}

// shared reports whether an answer is good for all who ask at the same time. Each use of
// a key with limits costs, and a key with allowed_ips depends on the address.
func (a *answer) shared() bool {
	return len(a.Limits) == 0 && a.Code != client.VerificationCodeAddressNotAllowed && (a.Key == nil || len(a.Key.AllowedIPs) == 0)
}

// ask asks Latchkey about a token, once for all who ask at the same time.
func (v *Verifier) ask(ctx context.Context, hash [sha256.Size]byte, q Question) (*answer, error) {
	v.mu.Lock()
	f := v.flights[hash]
	joined := f != nil
	if !joined {
		f = &flight{done: make(chan struct{})}
		v.flights[hash] = f
	}
	v.mu.Unlock()
	if !joined {
		go v.fly(context.WithoutCancel(ctx), f, hash, q)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	a := f.answer
	if joined && a != nil && !a.shared() {
		a = v.question(ctx, q)
	}
	if a == nil {
		if a, _ = v.find(hash, v.o.Clock()); a == nil {
			return nil, ErrUnavailable
		}
	}
	return a, nil
}

func (v *Verifier) fly(ctx context.Context, f *flight, hash [sha256.Size]byte, q Question) {
	if f.answer = v.question(ctx, q); f.answer != nil {
		v.keep(hash, f.answer)
	}
	v.mu.Lock()
	if v.flights[hash] == f {
		delete(v.flights, hash)
	}
	v.mu.Unlock()
	close(f.done)
}
