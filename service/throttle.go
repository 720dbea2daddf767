package service

import (
	"container/list"
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// How often something may be tried before it has to wait: a burst at once, then
// one each interval. No wait is longer than an interval, so nobody is locked
// out of their account.
var (
	// guessesOfAccount bounds wrong passwords for one account from one address.
	// Not from everywhere: then anyone could keep the owner out.
	guessesOfAccount = rate{burst: 10, interval: 20 * time.Second}
	// guessesFromAddress bounds wrong passwords from one address for whatever
	// accounts: 1200 an hour.
	guessesFromAddress = rate{burst: 100, interval: 3 * time.Second}
	// signUpsFromAddress bounds sign-ups from one address where no mail bounds
	// them: as many an hour, after a burst that is enough for a class or an office
	// behind one address.
	signUpsFromAddress = rate{burst: 300, interval: 3 * time.Second}
)

// throttleEntries bounds how many counters a throttle keeps. At 200 bytes or so
// each that is 13 MB; beyond, the one that was touched least lately goes.
const throttleEntries = 1 << 16

// rate is a burst at once and then one each interval.
type rate struct {
	burst    int
	interval time.Duration
}

// throttle counts attempts by the generic cell rate algorithm (ITU-T I.371): of
// each counter only the time is kept at which it will have been forgotten. It
// holds digests of what it counts, no addresses.
type throttle struct {
	seed maphash.Seed

	mu       sync.Mutex
	counters map[uint64]*list.Element
	recent   list.List // of *counter, the latest first
}

type counter struct {
	key   uint64
	empty time.Time // when all that was counted is forgotten
}

func newThrottle() *throttle {
	return &throttle{seed: maphash.MakeSeed(), counters: map[uint64]*list.Element{}}
}

// wait returns how long what is counted under parts has to wait at now: zero
// when it may be tried.
func (t *throttle) wait(r rate, now time.Time, parts ...string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.counters[t.key(parts)]
	if !ok {
		return 0
	}
	return max(0, e.Value.(*counter).empty.Sub(now)-time.Duration(r.burst-1)*r.interval)
}

// count notes one attempt under parts.
func (t *throttle) count(r rate, now time.Time, parts ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := t.key(parts)
	e, ok := t.counters[key]
	if !ok {
		if len(t.counters) >= throttleEntries {
			oldest := t.recent.Back()
			delete(t.counters, t.recent.Remove(oldest).(*counter).key)
		}
		e = t.recent.PushFront(&counter{key: key})
		t.counters[key] = e
	}
	c := e.Value.(*counter)
	if c.empty.Before(now) {
		c.empty = now
	}
	c.empty = c.empty.Add(r.interval)
	t.recent.MoveToFront(e)
}

func (t *throttle) key(parts []string) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, part := range parts {
		h.WriteString(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// network is the address that attempts are counted by: of IPv6 the /64, which
// is what one subscriber gets at least.
func network(ip string) string {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		return netip.PrefixFrom(address, 64).Masked().String()
	}
	return address.String()
}

// provePassword reports whether password is the one hashed, of the account with
// email; an empty hash, of an account that does not exist, takes the same time
// and never matches. After too many wrong ones from the same address the answer
// is rate_limited. Only wrong ones count, and what was counted is looked at
// again when it is this one's turn, so that many at once do not slip through.
func (a *App) provePassword(ctx context.Context, from domain.Origin, email, password, hash string) (match bool, err error) {
	if err := a.mayGuess(from, email); err != nil {
		return false, err
	}
	err = a.passwords.inTurn(ctx, func() error {
		if err := a.mayGuess(from, email); err != nil {
			return err
		}
		if match, err = a.passwords.matches(password, hash); err != nil || match {
			return err
		}
		now, address := a.now(), network(from.IP)
		a.throttle.count(guessesOfAccount, now, "account", email, address)
		a.throttle.count(guessesFromAddress, now, "address", address)
		return nil
	})
	return match, err
}

func (a *App) mayGuess(from domain.Origin, email string) error {
	now, address := a.now(), network(from.IP)
	wait := max(a.throttle.wait(guessesOfAccount, now, "account", email, address), a.throttle.wait(guessesFromAddress, now, "address", address))
	if wait == 0 {
		return nil
	}
	return &domain.Error{
		Code: domain.CodeRateLimited, Detail: "Too many wrong passwords from your address. Wait a little before you try again.", RetryAfter: wait,
	}
}

// mayMakeAccount returns rate_limited when too many have asked for accounts from
// an address, and counts this one. Each costs the hash of a password, and tells
// whether an e-mail address is taken.
func (a *App) mayMakeAccount(from domain.Origin) error {
	now, address := a.now(), network(from.IP)
	if wait := a.throttle.wait(signUpsFromAddress, now, "sign-up", address); wait > 0 {
		return &domain.Error{Code: domain.CodeRateLimited, Detail: "Too many sign-ups from your address. Wait a little.", RetryAfter: wait}
	}
	a.throttle.count(signUpsFromAddress, now, "sign-up", address)
	return nil
}
