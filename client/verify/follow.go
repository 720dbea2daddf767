package verify

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey/client"
)

// heard is what a verifier has heard of changes.
type heard struct {
	cursor  string
	last    time.Time            // when a call was last answered; zero: not yet
	failed  bool                 // the last call
	reset   time.Time            // when everything changed
	changed map[string]time.Time // when tokens changed, for as long as that matters
	uses    map[string]client.ReportedUse
}

func newHeard() heard {
	return heard{changed: map[string]time.Time{}, uses: map[string]client.ReportedUse{}}
}

const (
	slack    = 2 * time.Second // that a call may take longer than it waits
	mostUses = 500             // in one call
	remember = 6 * quiet       // changes, longer than any question takes
)

// inSync reports whether changes are heard. The caller holds the lock.
func (v *Verifier) inSync(now time.Time) bool {
	return !v.heard.last.IsZero() && !v.heard.failed && now.Before(v.heard.last.Add(v.o.Wait+slack))
}

// follow asks for changes until ctx ends, and then reports the last uses.
func (v *Verifier) follow(ctx context.Context) {
	defer close(v.stopped)
	for ctx.Err() == nil {
		pause := v.poll(ctx, v.o.Wait)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	if v.unreported() {
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		v.poll(last, 0)
	}
}

func (v *Verifier) unreported() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.heard.uses) > 0
}

// poll asks for changes once, and returns how long to wait before the next call.
func (v *Verifier) poll(ctx context.Context, wait time.Duration) (pause time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait+slack)
	defer cancel()
	v.mu.Lock()
	cursor, uses := v.heard.cursor, v.takeUses()
	v.mu.Unlock()
	seconds := int(wait / time.Second)
	ask := client.SyncKeysRequest{Wait: &seconds, Uses: uses}
	if cursor != "" {
		ask.Cursor = &cursor
	}
	var said client.ChangedKeys
	refused, err := v.post(ctx, "/v1/keys/sync", ask, &said)
	if err == nil && said.Cursor != "" {
		if v.hear(said) {
			return 0
		}
		return 100 * time.Millisecond // whatever answers, it is not asked all the time
	}
	v.mu.Lock()
	wasInSync := !v.heard.failed && !v.heard.last.IsZero()
	v.heard.failed = true
	for _, u := range uses {
		v.addUse(u)
	}
	v.mu.Unlock()
	if wasInSync && ctx.Err() != context.Canceled {
		v.o.Log.Warn("latchkey: changes of keys are not heard for now", "error", err)
		if v.o.OutOfSync != nil {
			v.o.OutOfSync(err)
		}
	}
	if refused != nil && refused.Status < http.StatusInternalServerError {
		return 5 * time.Second
	}
	return 100*time.Millisecond + time.Duration(rand.Int64N(int64(time.Second))) //nolint:gosec // so that not all call together
}

// hear drops what has changed, and reports whether something has.
func (v *Verifier) hear(said client.ChangedKeys) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.o.Clock()
	h := &v.heard
	h.cursor, h.last, h.failed = said.Cursor, now, false
	for id, at := range h.changed {
		if now.Sub(at) > remember {
			delete(h.changed, id)
		}
	}
	if !said.Reset && len(said.Changed) == 0 {
		return false
	}
	for _, id := range said.Changed {
		h.changed[id] = now
	}
	if said.Reset {
		h.reset = now
	}
	v.answers.drop(func(a *answer) bool {
		return said.Reset || a.TokenID != nil && h.changed[*a.TokenID].Equal(now)
	})
	clear(v.flights) // a request from now on does not share a question that was asked before
	return true
}

// used counts a request that was let in from memory.
func (v *Verifier) used(token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addUse(client.ReportedUse{TokenID: token, Count: 1, LastAt: time.Now()})
}

func (v *Verifier) addUse(u client.ReportedUse) {
	known, ok := v.heard.uses[u.TokenID]
	if !ok && len(v.heard.uses) >= v.o.Kept {
		return
	}
	u.Count += known.Count
	if known.LastAt.After(u.LastAt) {
		u.LastAt = known.LastAt
	}
	v.heard.uses[u.TokenID] = u
}

// takeUses returns what one call reports. The caller holds the lock.
func (v *Verifier) takeUses() (uses []client.ReportedUse) {
	for id, u := range v.heard.uses {
		if len(uses) == mostUses {
			break
		}
		uses = append(uses, u)
		delete(v.heard.uses, id)
	}
	return uses
}
