package service

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// When uses of secrets are written.
const (
	usageInterval   = 30 * time.Second       // all of them
	firstUseDelay   = 100 * time.Millisecond // those that may be first ones, which decide what a rotation may end: gathered so long
	usageRetry      = time.Second            // after such could not be written
	usageBatch      = 500                    // rows to a statement
	usageLimit      = 5 * time.Second        // for a statement
	usageShards     = 64
	usageLastChance = 5 * time.Second // at the end of Run
)

// usage gathers in memory which secrets have been used, since writing at every
// use would make the database the limit of every request. It is in shards so
// that requests of different keys do not wait for each other.
//
// If a secret was idle for longer than an interval, its next use may be its
// first ever, as far as this node knows, so that use is written immediately.
type usage struct {
	shards  *[usageShards]usageShard
	first   chan struct{} // a secret that was idle is used
	writing chan struct{} // holds one from taking uses until they are written
}

type usageShard struct {
	mu   sync.Mutex
	uses map[domain.TokenID]*pendingUse
}

type pendingUse struct {
	domain.Use
	first   bool // since the secret was idle, and no writer has taken it yet
	written bool
}

func newUsage() usage {
	u := usage{new([usageShards]usageShard), make(chan struct{}, 1), make(chan struct{}, 1)}
	for i := range u.shards {
		u.shards[i].uses = map[domain.TokenID]*pendingUse{}
	}
	return u
}

func (u usage) shard(id domain.TokenID) *usageShard { return &u.shards[id[len(id)-1]%usageShards] }

// note remembers that the secret which proved key was used at now. It does no
// I/O, and allocates only for a secret that was idle.
func (u usage) note(key domain.ProvenKey, now time.Time) {
	id := key.TokenID()
	shard := u.shard(id)
	shard.mu.Lock()
	use, known := shard.uses[id]
	if !known {
		s := key.Secret()
		use = &pendingUse{Use: domain.Use{ProjectID: s.ProjectID, KeyID: s.KeyID, TokenID: s.TokenID, First: now}, first: true}
		shard.uses[id] = use
	}
	use.Last, use.written = now, false
	first := use.first
	shard.mu.Unlock()
	if first {
		u.wake()
	}
}

// wake has what may be first uses written.
func (u usage) wake() {
	select {
	case u.first <- struct{}{}:
	default: // another use has done so already
	}
}

// take returns what is to be written: what may be first uses only, or everything,
// and then forgets secrets that were idle since it did so before.
func (u usage) take(firstOnly bool) []domain.Use {
	var uses []domain.Use
	for i := range u.shards {
		shard := &u.shards[i]
		shard.mu.Lock()
		for id, use := range shard.uses {
			switch {
			case !use.written && (use.first || !firstOnly):
				uses = append(uses, use.Use)
				use.first, use.written = false, true
			case use.written && !firstOnly:
				delete(shard.uses, id)
			}
		}
		shard.mu.Unlock()
	}
	return uses
}

// putBack returns what could not be written. Any of it may be a first use, which
// the next one to ask for those must not miss.
func (u usage) putBack(uses []domain.Use) {
	for _, use := range uses {
		shard := u.shard(use.TokenID)
		shard.mu.Lock()
		if now, known := shard.uses[use.TokenID]; known {
			use.Last = now.Last
		}
		shard.uses[use.TokenID] = &pendingUse{Use: use, first: true}
		shard.mu.Unlock()
	}
}

// last returns when a secret was last used here, as far as that has not been
// written; the zero time for never.
func (u usage) last(id domain.TokenID) time.Time {
	shard := u.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if use, known := shard.uses[id]; known {
		return use.Last
	}
	return time.Time{}
}

// CallingKey returns the key that the caller has proved, with when it was last
// used: as it has been recorded, like that of every key that is read, or while
// the database cannot tell as this node remembers.
func (a *App) CallingKey(ctx context.Context, caller domain.Principal) (key domain.CallingKey, ok bool, err error) {
	proven, ok := caller.ProvenKey()
	if !ok {
		return key, false, nil
	}
	key = proven.CallingKey()
	key.Key.LastUsedAt, err = a.store.LastUse(ctx, key.Project.Scope(), key.Key.ID)
	if domain.CodeOf(err) == domain.CodeUnavailable {
		key.Key.LastUsedAt, err = a.usage.last(proven.TokenID()), nil
	}
	return key, true, err
}

// RecordUses writes to the database which keys have been used since the last
// time. Run does it every 30 seconds, and within a second for a token that was
// idle for that long; a program without Run calls it before it exits.
func (a *App) RecordUses(ctx context.Context) error { return a.recordUses(ctx, false) }

func (a *App) recordFirstUses(ctx context.Context) error { return a.recordUses(ctx, true) }

// recordUses returns when all uses noted before the call are written, including
// those that another caller has taken to write.
func (a *App) recordUses(ctx context.Context, firstOnly bool) error {
	select {
	case a.usage.writing <- struct{}{}:
		defer func() { <-a.usage.writing }()
	case <-ctx.Done():
		return domain.Unavailable(ctx.Err())
	}
	uses := a.usage.take(firstOnly)
	for batch := range slices.Chunk(uses, usageBatch) {
		if err := a.recordBatch(ctx, batch); err != nil {
			a.usage.putBack(uses) // some may be written twice, which changes nothing
			return err
		}
	}
	return nil
}

func (a *App) recordBatch(ctx context.Context, uses []domain.Use) error {
	ctx, cancel := context.WithTimeout(ctx, usageLimit)
	defer cancel()
	return a.store.RecordUses(ctx, uses)
}

// keepUsage writes uses until ctx ends, and then what is left. That it cannot is
// logged once, and so is that it can again.
func (a *App) keepUsage(ctx context.Context) {
	all := time.NewTicker(usageInterval)
	defer all.Stop()
	failing := false
	for {
		var err error
		select {
		case <-all.C:
			err = a.recordUses(ctx, false)
		case <-a.usage.first:
			select {
			case <-time.After(firstUseDelay):
			case <-ctx.Done():
			}
			err = a.recordUses(ctx, true)
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), usageLastChance)
			defer cancel()
			if err := a.RecordUses(ctx); err != nil {
				a.log.WarnContext(ctx, "the last uses of keys could not be recorded", "error", err)
			}
			return
		}
		switch {
		case ctx.Err() != nil: // the reason is the end
		case err != nil && !failing:
			a.log.WarnContext(ctx, "uses of keys cannot be recorded for now, and are kept in memory", "error", err)
		case err == nil && failing:
			a.log.InfoContext(ctx, "uses of keys are recorded again")
		}
		if failing = err != nil; failing {
			time.AfterFunc(usageRetry, a.usage.wake)
		}
	}
}
