package service

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// spendTries bounds how often a spending asks for fewer units, because other requests
// take some at the same time.
const spendTries = 8

// SpendKey takes from the limits of a key what a request has turned out to cost, as far
// as it is there, or gives back what it has not cost. It needs keys:verify, and to give
// back limits:write as well, or the spend id of a verification: then at most what that
// one took is given back, once. No key gives back to limits that it spends itself.
// Without an Idempotency-Key, spending is in memory, and a repeated call spends again.
// A key that is not there gives not_found. The limits of the caller are not touched.
func (p *Project) SpendKey(ctx context.Context, s domain.Spending) (domain.Spent, error) {
	if err := p.Authorize(domain.KeysVerify); err != nil {
		return domain.Spent{}, err
	}
	if err := s.Validate(); err != nil {
		return domain.Spent{}, err
	}
	if s.GivesBack() && s.SpendID == "" {
		if err := p.Authorize(domain.LimitsWrite); err != nil {
			return domain.Spent{}, err
		}
	}
	key, err := p.spender(ctx, s)
	if err != nil {
		return domain.Spent{}, err
	}
	limits, known := key.Limits()
	if !known {
		return domain.Spent{}, domain.Unavailable(errors.New("the limits of the key are not known yet"))
	}
	if s.GivesBack() || s.IdempotencyKey.Reveal() != "" {
		return p.settle(ctx, key, limits, s)
	}
	return p.app.takeThere(ctx, key, limits, s.Cost)
}

// spender returns the key that a spending names. It may be revoked: what it has done
// before is settled.
func (p *Project) spender(ctx context.Context, s domain.Spending) (domain.ProvenKey, error) {
	if s.Token.Reveal() == "" {
		key, err := p.app.store.GetKey(ctx, p.project.Scope(), s.KeyID)
		if err != nil {
			return domain.ProvenKey{}, err
		}
		held, err := p.limitsOf(ctx, p.app.store, key)
		return held.Key, err
	}
	key, err := p.app.prove(ctx, s.Token.Reveal(), asker{project: p.project.ID, now: p.app.now()})
	if domain.CodeOf(err) == domain.CodeInvalidAPIKey || err == nil && key.Tenant().Project.ID != p.project.ID {
		return domain.ProvenKey{}, domain.NotFound()
	}
	return key.Metered(0), err
}

// only returns the cost of some units of one limit.
func only(limits *domain.LimitSet, name string, units int64) domain.Cost {
	cost := domain.Cost{}
	for i := range limits.Len() {
		cost[limits.At(i).Name] = 0
	}
	cost[name] = units
	return cost
}

// takeThere takes from the limits that are named what is there, in memory. If it is not
// known what is there, nothing is taken.
func (a *App) takeThere(ctx context.Context, key domain.ProvenKey, limits *domain.LimitSet, cost map[string]int64) (domain.Spent, error) {
	done := newSpent()
	var undo []func()
	for i := range limits.Len() {
		n, named := cost[limits.At(i).Name]
		if !named {
			continue
		}
		taken, giveBack, err := a.takeSome(ctx, key, limits, i, n)
		if err != nil {
			for _, back := range undo {
				back()
			}
			return domain.Spent{}, err
		}
		undo = append(undo, giveBack)
		note(done, limits.At(i).Name, n, taken)
	}
	return done, nil
}

func newSpent() domain.Spent {
	return domain.Spent{Spent: map[string]int64{}, Short: map[string]int64{}}
}

// note notes what was spent of n units.
func note(done domain.Spent, name string, n, spent int64) {
	if done.Spent[name] = spent; spent < n && n > 0 {
		done.Short[name] = n - spent
	}
}

// takeSome takes up to n units of one limit, and returns what gives them back.
func (a *App) takeSome(
	ctx context.Context, key domain.ProvenKey, limits *domain.LimitSet, i int, n int64,
) (taken int64, undo func(), err error) {
	for range spendTries {
		if n <= 0 {
			break
		}
		cost := only(limits, limits.At(i).Name, n)
		d := a.spend(ctx, key, cost)
		switch {
		case d.Code == domain.CodeUnavailable:
			return 0, nil, d.Err()
		case d.Admitted() && !d.Exceeded(i):
			return n, func() { a.usage.meter.GiveBack(key, &d, cost, a.instant()) }, nil
		}
		n = min(n-1, d.Remaining(i))
	}
	return 0, func() {}, nil
}

// settle does a spending in the books, in one transaction, together with what was noted
// of it under its Idempotency-Key or its spend id.
func (p *Project) settle(ctx context.Context, key domain.ProvenKey, limits *domain.LimitSet, s domain.Spending) (domain.Spent, error) {
	r, receipt, err := p.settleOnce(key, s)
	if err != nil {
		return domain.Spent{}, err
	}
	if err := p.app.returnLeasesOf(ctx, key); err != nil {
		return domain.Spent{}, err
	}
	var rates []func()
	undo := func() {
		for _, back := range rates {
			back()
		}
	}
	settled := func(ctx context.Context, tx *repository.Store, _ source) (domain.Spent, error) {
		undo() // of an attempt that has failed
		rates = nil
		done := newSpent()
		for _, b := range bills(key, limits, s, receipt) {
			if err := p.settleOne(ctx, tx, key, b, &rates, done); err != nil {
				return domain.Spent{}, err
			}
		}
		if s.GivesBack() && receipt == nil {
			return done, p.record(ctx, tx, "limit.given_back", key.Key(), domain.Changes{"units": {nil, done.Spent}})
		}
		return done, nil
	}
	done, err := once(ctx, p.app, r, settled, func(context.Context, *repository.Store, *domain.Spent, source) error { return nil })
	if err != nil {
		undo()
	}
	if receipt != nil && domain.CodeOf(err) == domain.CodeIdempotencyMismatch {
		return domain.Spent{}, domain.Errorf(domain.CodeConflict, "This spend_id has been used. What it took is given back once.")
	}
	return done, err
}

// settleOnce returns what makes a spending happen once, and the receipt that its spend
// id is; nil: it has none.
func (p *Project) settleOnce(key domain.ProvenKey, s domain.Spending) (r request, receipt *domain.Receipt, err error) {
	id := key.ID()
	r, err = p.app.newRequest(p.caller, s.IdempotencyKey.Reveal(), "spendKey", id, []any{s.Cost, s.SpendID})
	if s.SpendID == "" || err != nil {
		return r, nil, err
	}
	known, good := p.app.keyring.readReceipt(s.SpendID)
	if !good || known.Key != id || p.app.now().Sub(known.At) > domain.ReceiptLife {
		return request{}, nil, invalid("/spend_id", "must be the spend_id of a verification of this key, of the last 24 hours")
	}
	// It is used once, by any caller and under any Idempotency-Key.
	r, err = p.app.newRequest(p.caller, hex.EncodeToString(known.Nonce[:])+string(id), "spendKey", id, s.Cost)
	r.caller = "spend_id"
	return r, &known, err
}

// bill is what a spending asks for of one limit.
type bill struct {
	place   int
	limit   domain.Limit
	counter domain.Counter
	units   int64 // negative: to be given back
	from    *domain.Origins
}

// bills returns what a spending asks for of the limits that the key has, in the order in
// which all transactions lock counters.
func bills(key domain.ProvenKey, limits *domain.LimitSet, s domain.Spending, receipt *domain.Receipt) (all []bill) {
	for i := range limits.Len() {
		l := limits.At(i)
		units, named := s.Cost[l.Name]
		if !named {
			continue
		}
		b := bill{place: i, limit: l.Limit, counter: limits.Counter(i, key), units: units}
		if receipt != nil && units < 0 {
			taken := receipt.Of(l.Name)
			b.units, b.from = max(units, -taken.Units), &taken.From
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b bill) int {
		return cmp.Or(domain.ProjectCounter{Counter: a.counter}.Compare(domain.ProjectCounter{Counter: b.counter}), a.place-b.place)
	})
	return all
}

// settleOne settles one limit, and appends what takes it back from a rate.
func (p *Project) settleOne(
	ctx context.Context, tx *repository.Store, key domain.ProvenKey, b bill, rates *[]func(), done domain.Spent,
) error {
	if b.units < 0 {
		if err := p.requireOthers(ctx, tx, b.counter); err != nil {
			return err
		}
	}
	if b.limit.Type == domain.RateLimit {
		p.settleRate(key, b, rates, done)
		return nil
	}
	terms := domain.Terms{Limit: b.limit, At: p.app.limitTime(), Nodes: 1}
	spent := int64(0)
	err := tx.ChangeBooks(ctx, p.project.Scope(), b.counter, terms, func(books *domain.Books) {
		switch {
		case b.units >= 0:
			spent = books.Spend(b.units, terms.At)
		case b.from == nil || *b.from == domain.TakenFrom(b.counter, books.Period):
			spent = -books.GiveBack(-b.units, b.from == nil)
		}
	})
	if err != nil {
		return err
	}
	note(done, b.limit.Name, b.units, spent)
	changed := domain.Reset{Counter: b.counter}
	return tx.NoteStale(ctx, domain.Stale{Kind: domain.StaleLimit, ID: changed.String()})
}

// settleRate settles a rate, which is in the memory of this node.
func (p *Project) settleRate(key domain.ProvenKey, b bill, rates *[]func(), done domain.Spent) {
	m, now, spent := p.app.usage.meter, p.app.instant(), int64(0)
	switch {
	case b.units >= 0:
		spent = m.TakeRate(key, b.place, b.units, now)
		*rates = append(*rates, func() { m.GiveBackRate(key, b.place, spent, now) })
	case b.from == nil || *b.from == domain.TakenFrom(b.counter, time.Time{}):
		spent = -m.GiveBackRate(key, b.place, -b.units, now)
		*rates = append(*rates, func() { m.TakeRate(key, b.place, -spent, now) })
	}
	note(done, b.limit.Name, b.units, spent)
}

// spendID returns what names what an admitted verification has taken; empty: nothing.
func (a *App) spendID(key domain.ProvenKey, cost domain.Cost, d *domain.Decision) string {
	r := domain.Receipt{Key: key.ID(), At: a.now()}
	for i := range d.Limits.Len() {
		l := d.Limits.At(i)
		n := cost.Of(l.Limit)
		if n == 0 || d.Exceeded(i) {
			continue
		}
		taken := domain.Taken{Name: l.Name, Units: n}
		switch lease := d.Taken(i); {
		case l.Type == domain.RateLimit:
			taken.From = domain.TakenFrom(d.Limits.Counter(i, key), time.Time{})
		case lease != nil:
			taken.From = domain.TakenFrom(d.Limits.Counter(i, key), lease.Books.Period)
		default:
			continue
		}
		r.Taken = append(r.Taken, taken)
	}
	if len(r.Taken) == 0 {
		return ""
	}
	return a.keyring.sealReceipt(r)
}
