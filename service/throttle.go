package service

import (
	"container/list"
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// How often something may be tried before it has to wait. No wait is longer than
// an emission interval, so no one is locked out of their account. All are counted by
// network: otherwise anyone could keep the owner of an account out.
var (
	// guessesOfAccount bounds wrong passwords for one account.
	guessesOfAccount = fair.Pace{Burst: 10, Emission: 20 * time.Second}
	// guessesFromNetwork bounds wrong passwords for any accounts: 1200 an hour.
	guessesFromNetwork = fair.Pace{Burst: 100, Emission: 3 * time.Second}
	// guessesFromSite bounds wrong passwords from an IPv6 /48: 12,000 an hour. It has
	// 65,536 networks, more than there are counters.
	guessesFromSite = fair.Pace{Burst: 1000, Emission: 300 * time.Millisecond}
	// attemptsOfAccount bounds all passwords for one account, right ones too: each
	// costs a hash and a session. A person's programs that sign in anew each
	// minute stay far below it.
	attemptsOfAccount = fair.Pace{Burst: 150, Emission: 2 * time.Second}
	// attemptsFromNetwork bounds all passwords for any accounts, with room for a
	// large office that signs in on one morning.
	attemptsFromNetwork = fair.Pace{Burst: 1000, Emission: 200 * time.Millisecond}
	// signUpsFromNetwork bounds sign-ups where no mail bounds them: 1200 an hour,
	// after a burst that is enough for a class or an office.
	signUpsFromNetwork = fair.Pace{Burst: 300, Emission: 3 * time.Second}
)

// throttleEntries bounds how many counters a throttle keeps. At 300 bytes or so
// each that is 20 MB; beyond, the one that was touched least lately goes.
const throttleEntries = 1 << 16

// siteEntries bounds how many of them are those of one IPv6 /48, which one
// subscriber may have. Beyond, it loses its own, and pushes out no one else's.
const siteEntries = throttleEntries / 16

// throttle counts attempts against paces. It holds digests of what it counts, no
// addresses.
type throttle struct {
	seed maphash.Seed

	mu       sync.Mutex
	counters map[uint64]*list.Element
	recent   list.List             // of *counter, the latest first
	sites    map[uint64]*list.List // of elements of recent, the latest first
}

type counter struct {
	key    uint64
	tat    time.Time
	site   uint64
	inSite *list.Element // nil for what is of no site
}

func newThrottle() *throttle {
	return &throttle{seed: maphash.MakeSeed(), counters: map[uint64]*list.Element{}, sites: map[uint64]*list.List{}}
}

// wait returns how long what is counted under parts has to wait at now: zero
// when it may be tried.
func (t *throttle) wait(pace fair.Pace, now time.Time, parts ...string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.counters[t.key(parts)]
	if !ok {
		return 0
	}
	return pace.Wait(e.Value.(*counter).tat, now)
}

// count notes one attempt under parts, which a network has made, or "".
func (t *throttle) count(pace fair.Pace, now time.Time, network string, parts ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.counters[t.key(parts)]
	if !ok {
		e = t.add(t.key(parts), site(network))
	}
	c := e.Value.(*counter)
	c.tat = pace.Next(c.tat, now)
	t.recent.MoveToFront(e)
	if c.inSite != nil {
		t.sites[c.site].MoveToFront(c.inSite)
	}
}

// add makes a counter, in place of the one that was touched least lately when
// there are too many, of the site or in all.
func (t *throttle) add(key uint64, site string) *list.Element {
	c := &counter{key: key}
	if site != "" {
		c.site = t.key([]string{site})
		if own := t.sites[c.site]; own != nil && own.Len() >= siteEntries {
			t.drop(own.Back().Value.(*list.Element))
		}
	}
	if len(t.counters) >= throttleEntries {
		t.drop(t.recent.Back())
	}
	e := t.recent.PushFront(c)
	t.counters[key] = e
	if site != "" {
		if t.sites[c.site] == nil {
			t.sites[c.site] = list.New()
		}
		c.inSite = t.sites[c.site].PushFront(e)
	}
	return e
}

func (t *throttle) drop(e *list.Element) {
	c := t.recent.Remove(e).(*counter)
	delete(t.counters, c.key)
	if c.inSite == nil {
		return
	}
	own := t.sites[c.site]
	if own.Remove(c.inSite); own.Len() == 0 {
		delete(t.sites, c.site)
	}
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

// network is what attempts are counted by.
func network(ip string) string { return string(fair.Network(ip)) }

// site returns the /48 of an IPv6 network, and "" for others.
func site(network string) string {
	prefix, err := netip.ParsePrefix(network)
	if err != nil || !prefix.Addr().Is6() {
		return ""
	}
	return netip.PrefixFrom(prefix.Addr(), 48).Masked().String()
}

// provePassword reports whether password is that of the user whose stored hash it
// is, and whose address is email; an empty hash, of an account that does not
// exist, takes the same time and never matches. After too many from the same network, of which few may be
// wrong, the answer is rate_limited. What was counted is looked at again when it
// is this one's turn, so that many at the same moment do not slip through.
func (a *App) provePassword(ctx context.Context, from domain.Origin, email string, user domain.UserID, password,
	stored string) (match bool, err error) {
	if err := a.mayTry(from, email); err != nil {
		return false, err
	}
	hash := a.usableHash(ctx, user, stored)
	err = a.passwords.inTurn(ctx, hashing{email, fair.Network(from.IP)}, func() error {
		if err := a.mayTry(from, email); err != nil {
			return err
		}
		a.noteAttempt(from, email)
		for _, form := range passwordForms(password) {
			if match = a.keyring.matches(user, form, hash); match {
				return nil
			}
		}
		now, network := a.now(), network(from.IP)
		a.throttle.count(guessesOfAccount, now, network, "account", email, network)
		a.throttle.count(guessesFromNetwork, now, network, "network", network)
		if site := site(network); site != "" {
			a.throttle.count(guessesFromSite, now, network, "site", site)
		}
		return nil
	})
	return match, err
}

// usableHash returns a stored hash, or one that nothing matches in its place:
// when there is none, when it is out of bounds, and when it must have been written
// by someone without the master key.
func (a *App) usableHash(ctx context.Context, user domain.UserID, stored string) passwordHash {
	if stored == "" {
		return a.passwords.decoy
	}
	hash, err := parsePasswordHash(stored)
	if err == nil && !hash.bound && !a.takesUnboundPassword() {
		err = errors.New("the hash is not bound to its user: a node of 0.1 that was started after the upgrade wrote it, or " +
			"someone without the master key did. Stop nodes of 0.1, and give the user a link with: latchkey user reset-password")
	}
	if err != nil {
		a.log.ErrorContext(ctx, "a password hash cannot be used; its owner needs a new password", "user", user, "error", err)
		return a.passwords.decoy
	}
	return hash
}

func (a *App) mayTry(from domain.Origin, email string) error {
	now, network := a.now(), network(from.IP)
	wrong := max(a.throttle.wait(guessesOfAccount, now, "account", email, network),
		a.throttle.wait(guessesFromNetwork, now, "network", network), a.throttle.wait(guessesFromSite, now, "site", site(network)))
	if wrong > 0 {
		return tooMany("Too many wrong passwords from your network. Wait a little before you try again.", wrong)
	}
	all := max(a.throttle.wait(attemptsOfAccount, now, "attempt", email, network),
		a.throttle.wait(attemptsFromNetwork, now, "attempts", network))
	if all > 0 {
		return tooMany("Too many sign-ins from your network. Wait a little before you try again.", all)
	}
	return nil
}

// noteAttempt counts a password that is about to be compared.
func (a *App) noteAttempt(from domain.Origin, email string) {
	now, network := a.now(), network(from.IP)
	a.throttle.count(attemptsOfAccount, now, network, "attempt", email, network)
	a.throttle.count(attemptsFromNetwork, now, network, "attempts", network)
}

// mayMakeAccount returns rate_limited when too many have asked for accounts from
// a network, and counts this one. Each costs the hash of a password, and tells
// whether an email address is taken.
func (a *App) mayMakeAccount(from domain.Origin) error {
	now, network := a.now(), network(from.IP)
	if wait := a.throttle.wait(signUpsFromNetwork, now, "sign-up", network); wait > 0 {
		return tooMany("Too many sign-ups from your network. Wait a little.", wait)
	}
	a.throttle.count(signUpsFromNetwork, now, network, "sign-up", network)
	return nil
}

func tooMany(detail string, wait time.Duration) error {
	return &domain.Error{Code: domain.CodeRateLimited, Detail: detail, RetryAfter: wait}
}
