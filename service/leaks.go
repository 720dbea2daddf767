package service

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// reportsFromNetwork bounds reports of leaks: 60, and then one a minute. Each may name
// MaxLeaks tokens.
var reportsFromNetwork = fair.Pace{Burst: 60, Emission: time.Minute}

// maxReportedHashes is how many slow hashes of imported tokens one report computes.
const maxReportedHashes = 5

// errHashedEnough says that a token needs more slow hashes than its request may have.
// Those computed are remembered, so the same request gets further.
var errHashedEnough = &domain.Error{
	Code: domain.CodeUnavailable, Detail: "Checking these tokens takes long. Send the report again.", RetryAfter: time.Second,
}

// LeakOutcome is what was done with a token of a report.
type LeakOutcome string

// What is done with reported tokens.
const (
	LeakUnknown  LeakOutcome = "unknown"  // it is no token of this instance
	LeakRevoked  LeakOutcome = "revoked"  // its key was revoked, or the token alone if it was retiring
	LeakNotified LeakOutcome = "notified" // its key keeps working, as the project wants it
	LeakKnown    LeakOutcome = "known"    // it did not work anymore, or it was reported before
)

// LeakOutcomes are all of them.
var LeakOutcomes = []LeakOutcome{LeakUnknown, LeakRevoked, LeakNotified, LeakKnown}

// leakCounts count outcomes, by their index.
type leakCounts [4]atomic.Int64

// LeakStats returns how many reported tokens had each outcome on this node.
func (a *App) LeakStats() map[LeakOutcome]int64 {
	stats := map[LeakOutcome]int64{}
	for i, outcome := range LeakOutcomes {
		stats[outcome] = a.leaks[i].Load()
	}
	return stats
}

// reporter is the network that pays for what a report costs.
type reporter domain.Origin

// RealIP implements Sender.
func (r reporter) RealIP() string { return r.IP }

// AdmitReport returns rate_limited when a network has sent too many reports of leaks,
// and counts this one. It is asked before the report is read.
func (a *App) AdmitReport(from domain.Origin) error {
	now, address := a.now(), network(from.IP)
	if wait := a.throttle.wait(reportsFromNetwork, now, "leaks", address); wait > 0 {
		return tooMany("Too many reports of leaked tokens from your network. Wait a little.", wait)
	}
	a.throttle.count(reportsFromNetwork, now, address, "leaks", address)
	return nil
}

// ReportLeaks does with the keys of leaked tokens what their projects want, and returns
// for each token whether it is real. To have a token is all the proof that it takes: its
// holder could do worse. A token that this instance never made costs no statement. A
// report can be repeated; its error says that a part of it has not been looked at.
func (a *App) ReportLeaks(ctx context.Context, from domain.Origin, report domain.LeakReport) (found []bool, err error) {
	if err := report.Validate(); err != nil {
		return nil, err
	}
	hashes := maxReportedHashes
	asks := asker{from: reporter(from), now: a.now(), slow: &hashes}
	found = make([]bool, len(report.Leaks))
	seen := make(map[domain.Hidden]bool, len(report.Leaks))
	for i, leak := range report.Leaks {
		if known, again := seen[leak.Token]; again {
			found[i] = known
			continue
		}
		outcome, problem := a.reportLeak(ctx, leak, asks, from)
		switch {
		case errors.Is(problem, errHashedEnough):
			err = problem
			continue
		case problem != nil:
			return nil, problem
		}
		a.leaks[slices.Index(LeakOutcomes, outcome)].Add(1)
		found[i] = outcome != LeakUnknown
		seen[leak.Token] = found[i]
	}
	return found, err
}

func (a *App) reportLeak(ctx context.Context, leak domain.Leak, asks asker, from domain.Origin) (LeakOutcome, error) {
	if isServiceToken(leak.Token.Reveal()) {
		return a.reportServiceToken(ctx, leak, from)
	}
	key, err := a.prove(ctx, leak.Token.Reveal(), asks)
	if domain.CodeOf(err) == domain.CodeInvalidAPIKey {
		return LeakUnknown, nil
	}
	if err != nil {
		return "", err
	}
	if _, algorithm, _ := key.Digest(); algorithm.Slow() {
		a.rehash(ctx, key, leak.Token.Reveal()) // so that the report gets further when it is sent again
	}
	if key.Unusable(asks.now) == domain.CodeKeyRevoked {
		return LeakKnown, nil
	}
	project := key.Tenant().Project
	p := &Project{grant{app: a, caller: domain.ProvenPrincipal(key, nil, from)}, &project}
	outcome := LeakKnown
	err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		outcome, err = p.leaked(ctx, tx, key.Secret(), leak)
		return err
	})
	if domain.CodeOf(err) == domain.CodeNotFound { // it was deleted in between
		return LeakUnknown, nil
	}
	return outcome, err
}

// leaked does what the project wants with the key of a leaked secret. A secret that is
// retiring ends alone, since the key has another one. The event names the key as the
// actor, because the report was made with it.
func (p *Project) leaked(ctx context.Context, tx *repository.Store, secret domain.Secret, leak domain.Leak) (LeakOutcome, error) {
	before, err := tx.LockKey(ctx, p.project.Scope(), secret.KeyID)
	if err != nil || !before.RevokedAt.IsZero() {
		return LeakKnown, err
	}
	now := p.app.now()
	live, err := tx.LiveSecrets(ctx, p.project.Scope(), before.ID, now)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(live, func(s domain.Secret) bool { return s.TokenID == secret.TokenID })
	if i < 0 {
		return LeakKnown, nil // a rotation has ended it
	}
	after, outcome, changes := before, LeakRevoked, domain.Changes{}
	switch retires := !live[i].ValidUntil.IsZero(); {
	case p.project.OnLeak == domain.LeakNotifies:
		if outcome = LeakNotified; !before.LeakedAt.IsZero() {
			return LeakKnown, nil
		}
		after.LeakedAt = now
	case retires:
		if err := tx.EndSecret(ctx, p.project.Scope(), secret.TokenID, now); err != nil {
			return "", err
		}
		changes["retiring_until"] = domain.Change{moment(before.Retiring.ValidUntil), nil}
		after.Retiring = domain.Retiring{}
	default:
		after.LeakedAt, after.RevokedAt, after.RevokedReason = now, now, domain.ReasonLeaked
	}
	after.Revision = before.Revision + 1
	if err := tx.UpdateKey(ctx, p.project.Scope(), after); err != nil {
		return "", err
	}
	maps.Copy(changes, domain.Diff(keyFields(before), keyFields(after)))
	changes["leaked_token"] = domain.Change{nil, live[i].Prefix}
	addPlace(changes, leak)
	if err := p.noticeLeak(ctx, tx, after, outcome, leak); err != nil {
		return "", err
	}
	return outcome, p.record(ctx, tx, "key.leaked", after, changes)
}

// addPlace adds where a token was found to what an event says.
func addPlace(changes domain.Changes, leak domain.Leak) {
	for name, text := range map[string]string{"url": leak.URL, "source": leak.Source} {
		if text != "" {
			changes[name] = domain.Change{nil, text}
		}
	}
}
