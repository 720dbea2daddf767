package service

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// How many refused sign-ins of an hour become audit events, on all nodes
// together. What is beyond a ceiling is counted, and one event has the count when
// the hour has ended: no one can fill the audit trail by guessing.
const (
	refusalsOfAccount      = 10
	refusalsOfOrganization = 100
	refusalsOfInstance     = 500
)

const (
	refusalsInterval = time.Second // how long a refusal is in memory only
	refusedAccounts  = 1000        // that a node has in memory; others are only counted
	refusedIn        = 20          // how many organizations of a person are charged
	instanceSubject  = "instance"
)

// refusal is a sign-in to an account that was refused.
type refusal struct {
	at     time.Time
	from   domain.Origin
	reason string
}

// refusedAccount is what a node has not yet written of one account.
type refusedAccount struct {
	user domain.User
	some []refusal // at most refusalsOfAccount
	more int       // beyond those
}

// refusals are the refused sign-ins that are to be written. They wait in memory,
// so that the answer to a sign-in takes as long for an address that has an account
// as for one that has none.
type refusals struct {
	mu       sync.Mutex
	accounts map[domain.UserID]*refusedAccount
	beyond   int // of accounts that found no place

	writing sync.Mutex
	closed  time.Time // the hour before which all are summed up
}

// refusalReason is why err refuses a sign-in to an account, or "" where it does
// not. What fails for want of a database or a turn says nothing of the caller.
func refusalReason(user domain.User, err error) string {
	switch code := domain.CodeOf(err); code {
	case domain.CodeInvalidCredentials, domain.CodeRateLimited, domain.CodeEmailUnverified:
		if user.Status != domain.Active {
			return "account_disabled"
		}
		return string(code)
	}
	return ""
}

// note keeps a refused sign-in to an account until it is written. An address that
// has no account is not noted: it would let strangers write what they like.
func (r *refusals) note(user domain.User, refused refusal) {
	if user.ID == "" || refused.reason == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(refusedAccount{user: user, some: []refusal{refused}})
}

// add needs the lock.
func (r *refusals) add(more refusedAccount) {
	account, known := r.accounts[more.user.ID]
	if !known {
		if len(r.accounts) >= refusedAccounts {
			r.beyond += len(more.some) + more.more
			return
		}
		if r.accounts == nil {
			r.accounts = map[domain.UserID]*refusedAccount{}
		}
		account = &refusedAccount{user: more.user}
		r.accounts[more.user.ID] = account
	}
	fit := min(len(more.some), refusalsOfAccount-len(account.some))
	account.some = append(account.some, more.some[:fit]...)
	account.more += more.more + len(more.some) - fit
}

// take returns what is to be written, in the order of the accounts' ids.
func (r *refusals) take() (accounts []*refusedAccount, beyond int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	accounts = slices.SortedFunc(maps.Values(r.accounts), func(x, y *refusedAccount) int { return cmp.Compare(x.user.ID, y.user.ID) })
	beyond, r.accounts, r.beyond = r.beyond, nil, 0
	return accounts, beyond
}

// putBack returns what could not be written.
func (r *refusals) putBack(accounts []*refusedAccount, beyond int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, account := range accounts {
		r.add(*account)
	}
	r.beyond += beyond
}

// keepRefusals writes refused sign-ins until ctx ends, and then what is left.
func (a *App) keepRefusals(ctx context.Context) {
	a.every(ctx, refusalsInterval, "record refused sign-ins", a.recordRefusals)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), usageLastChance)
	defer cancel()
	if err := a.recordRefusals(ctx); err != nil {
		a.log.WarnContext(ctx, "the last refused sign-ins could not be recorded", "error", err)
	}
}

// recordRefusals writes the refused sign-ins of the last moments, up to the
// ceilings, and sums up hours that have ended.
func (a *App) recordRefusals(ctx context.Context) error {
	a.refusals.writing.Lock()
	defer a.refusals.writing.Unlock()
	hour := a.now().Truncate(time.Hour)
	accounts, beyond := a.refusals.take()
	if len(accounts) > 0 || beyond > 0 {
		err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
			return a.writeRefusals(ctx, tx, hour, accounts, beyond)
		})
		if err != nil {
			a.refusals.putBack(accounts, beyond)
			return err
		}
	}
	if a.refusals.closed.Equal(hour) {
		return nil
	}
	err := a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error { return a.sumUpRefusals(ctx, tx, hour) })
	if err == nil {
		a.refusals.closed = hour
	}
	return err
}

func (a *App) writeRefusals(ctx context.Context, tx *repository.Store, hour time.Time, accounts []*refusedAccount, beyond int) error {
	// The count of the instance is locked first, so nodes take turns here.
	instance, err := tx.CountRefusals(ctx, repository.RefusalCount{Hour: hour, Subject: instanceSubject, Omitted: beyond})
	if err != nil {
		return err
	}
	room := refusalsOfInstance - instance.Recorded
	for _, account := range accounts {
		written, err := a.writeRefusalsOf(ctx, tx, hour, *account, room)
		if err != nil {
			return err
		}
		room -= written
	}
	return nil
}

// writeRefusalsOf writes as many refusals of an account as there is room for, and
// counts the others at what has the least room.
func (a *App) writeRefusalsOf(ctx context.Context, tx *repository.Store, hour time.Time, account refusedAccount, room int) (written int,
	err error) {
	charged, full := []string{instanceSubject}, instanceSubject
	if room > 0 { // otherwise nothing else needs to be asked
		subjects, err := subjectsOf(ctx, tx, account.user)
		if err != nil {
			return 0, err
		}
		for _, s := range subjects {
			count, err := tx.CountRefusals(ctx, repository.RefusalCount{Hour: hour, Subject: s.id})
			if err != nil {
				return 0, err
			}
			if left := s.ceiling - count.Recorded; left < room {
				room, full = left, s.id
			}
			charged = append(charged, s.id)
		}
	}
	written = max(0, min(room, len(account.some)))
	for _, r := range account.some[:written] {
		if err := addRefusal(ctx, tx, r.at, userTarget(account.user), r.from, map[string]any{"reason": r.reason}); err != nil {
			return 0, err
		}
	}
	omitted := len(account.some) - written + account.more
	if written == len(account.some) && len(charged) > 1 {
		full = charged[1] // more than one account may have in memory
	}
	for _, subject := range charged {
		add := repository.RefusalCount{Hour: hour, Subject: subject, Recorded: written}
		if subject == full {
			add.Omitted = omitted
		}
		if _, err := tx.CountRefusals(ctx, add); err != nil {
			return 0, err
		}
	}
	return written, nil
}

// bounded is an account or an organization with its ceiling.
type bounded struct {
	id      string
	ceiling int
}

// subjectsOf are an account and the organizations that it is in.
func subjectsOf(ctx context.Context, tx *repository.Store, user domain.User) ([]bounded, error) {
	list, err := tx.ListOrganizationsOf(ctx, user.ID, domain.Page{Limit: refusedIn})
	if err != nil {
		return nil, err
	}
	subjects := []bounded{{string(user.ID), refusalsOfAccount}}
	for _, o := range list.Items {
		subjects = append(subjects, bounded{string(o.ID), refusalsOfOrganization})
	}
	return subjects, nil
}

// sumUpRefusals writes one event for each ceiling that was passed in an hour that
// has ended.
func (a *App) sumUpRefusals(ctx context.Context, tx *repository.Store, hour time.Time) error {
	counts, err := tx.EndRefusals(ctx, hour)
	if err != nil {
		return err
	}
	for _, count := range counts {
		if count.Omitted == 0 {
			continue
		}
		target, err := refusalTarget(ctx, tx, count.Subject)
		if err != nil {
			return err
		}
		fields := map[string]any{"hour": count.Hour.UTC().Format(time.RFC3339), "omitted": count.Omitted}
		if err := addRefusal(ctx, tx, a.now(), target, domain.Origin{}, fields); err != nil {
			return err
		}
	}
	return nil
}

// refusalTarget names what a count is of, which may be gone by now.
func refusalTarget(ctx context.Context, tx *repository.Store, subject string) (domain.Target, error) {
	if id, err := domain.ParseID[domain.UserID](subject); err == nil {
		user, err := tx.GetUser(ctx, id)
		return domain.Target{Kind: "user", ID: subject, Name: user.Email}, ignoreNotFound(err)
	}
	if id, err := domain.ParseID[domain.OrganizationID](subject); err == nil {
		organization, err := tx.GetOrganization(ctx, id)
		return domain.Target{Kind: "organization", ID: subject, Name: organization.Name}, ignoreNotFound(err)
	}
	return domain.Target{Kind: instanceSubject, ID: instanceSubject}, nil
}

func ignoreNotFound(err error) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil
	}
	return err
}

// addRefusal appends to the audit trail. Who tried is not known, so the instance
// itself is the actor.
func addRefusal(ctx context.Context, tx *repository.Store, at time.Time, target domain.Target, from domain.Origin,
	fields map[string]any) error {
	return tx.AddEvent(ctx, domain.Event{
		ID:      domain.NewID[domain.EventID](at),
		At:      at,
		Action:  "session.refused",
		Target:  target,
		Origin:  from,
		Actor:   domain.Actor{Kind: domain.ActorSystem, ID: "system", Name: "sign-in"},
		Changes: domain.Diff(nil, fields),
	})
}
