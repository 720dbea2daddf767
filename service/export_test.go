package service

import (
	"context"
	"runtime"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Prove and Used are the two halves of ProveKey, so that tests can have
// something happen between them.
func (a *App) Prove(ctx context.Context, token string, now time.Time) (domain.ProvenKey, error) {
	return a.prove(ctx, token, asker{now: now})
}

func (a *App) Used(ctx context.Context, key domain.ProvenKey, token string, now time.Time) {
	a.used(ctx, key, token, now)
}

// RefuseSlowHashes takes all places in which hashes of imported tokens are
// computed that cost time.
func (a *App) RefuseSlowHashes(ctx context.Context) error {
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		if _, err := a.foreign.gate.Enter(ctx, ""); err != nil {
			return err
		}
	}
	_, err := a.foreign.large.Enter(ctx, "")
	return err
}

// ExportPlace takes a place among the exports of this node.
func (a *App) ExportPlace(ctx context.Context, caller domain.Principal) (leave func(), err error) {
	return a.scarce.exports.enter(ctx, caller)
}

// SumPlace takes a place among the sums of usage of this node.
func (a *App) SumPlace(ctx context.Context, caller domain.Principal) (leave func(), err error) {
	return a.scarce.sums.enter(ctx, caller)
}

// FirstUses counts the first uses of secrets that have not begun to be written.
func (a *App) FirstUses() int { return a.usage.meter.Waiting() }

// CountsTick is what a node does every few seconds.
func (a *App) CountsTick(ctx context.Context) error { return a.recordCounts(ctx, true) }

// Attempt notes that many sign-ins of an account from an address, without the
// work of hashing their passwords.
func (a *App) Attempt(ip, email string, times int) {
	for range times {
		a.noteAttempt(domain.Origin{IP: ip}, email)
	}
}

// BindPasswords is the job in the background.
func (a *App) BindPasswords(ctx context.Context) error { return a.bindPasswords(ctx) }

// Jobs returns the background work of a node by name: each job of Run's list, and one
// round of each of its loops. A call does it once.
func (a *App) Jobs() map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{
		"read tokens without a tag": a.loadUntagged,
		"record uses":               a.RecordUses,
		"record refusals":           a.recordRefusals,
		"claim an email": func(ctx context.Context) error {
			m, err := a.claimMail(ctx)
			if err == nil {
				a.mailing.count(m, -1)
			}
			return ignoreNotFound(err) // one that was claimed before waits for its lease
		},
	}
	for _, j := range a.jobs() {
		all[j.name] = j.do
	}
	return all
}

// RecordRefusals writes the refused sign-ins that wait in memory.
func (a *App) RecordRefusals(ctx context.Context) error { return a.recordRefusals(ctx) }

// StoreAsSent sets a password as programs before 0.2 did: as it was sent.
func (a *App) StoreAsSent(ctx context.Context, user domain.UserID, password string) error {
	hash, err := a.passwords.hash(ctx, hashing{}, password)
	if err != nil {
		return err
	}
	return a.storePassword(ctx, a.store, user, hash)
}

// NoteRefusals has n sign-ins to an account be refused.
func (a *App) NoteRefusals(u domain.User, n int) {
	for range n {
		a.refusals.note(u, refusal{at: a.now(), reason: "invalid_credentials"})
	}
}

// Assess sets the state of the node after an attempt to read stale notes.
func (a *App) Assess(err error) { a.assess(err) }

// HeardAgo makes the node have known of every change for the last time so long ago.
func (a *App) HeardAgo(d time.Duration) { a.near.last.Store(time.Now().Add(-d).UnixMicro()) }

// SamePassword reports whether two stored hashes of a user are of one password. Bound
// returns the bound form of one.
func (a *App) SamePassword(user domain.UserID, x, y string) bool {
	return a.keyring.samePassword(user, x, y)
}

func (a *App) Bound(user domain.UserID, stored string) string {
	h, err := parsePasswordHash(stored)
	if err != nil {
		return ""
	}
	return a.keyring.bind(user, h).String()
}

// ParsePasswordHash says why a stored hash cannot be used.
func ParsePasswordHash(stored string) error {
	_, err := parsePasswordHash(stored)
	return err
}
