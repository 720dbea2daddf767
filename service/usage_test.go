package service_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

func (w *world) lastUsed(p interface {
	GetKey(ctx context.Context, id domain.KeyID) (domain.Key, error)
}, id domain.KeyID,
) time.Time {
	w.Helper()
	k, err := p.GetKey(w.Context(), id)
	w.check(err)
	return k.LastUsedAt
}

// Guarantees that using a key writes nothing by itself, and that recorded uses
// move only forward, whichever node was first to write.
func TestLastUsed(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k"})
		w.check(err)
		w.check(w.RecordUses(w.Context()))
		if got := w.lastUsed(project, key.ID); !got.IsZero() {
			w.Errorf("got %v for a key never used", got)
		}
		other := w.node()
		early := w.Now()
		_, err = other.ProveKey(w.Context(), token.Reveal(), nil)
		w.check(err)
		w.Pass(time.Minute)
		_, err = project.VerifyKey(w.Context(), service.Question{Token: token.Reveal()})
		w.check(err)
		if got := w.lastUsed(project, key.ID); !got.IsZero() {
			w.Errorf("got %v, want nothing written yet", got)
		}
		late := w.Now()
		w.check(w.RecordUses(w.Context()))
		w.check(other.RecordUses(w.Context()))
		if got := w.lastUsed(project, key.ID); !got.Equal(late) || got.Equal(early) {
			w.Errorf("got %v, want %v", got, late)
		}
		unchanged, err := project.GetKey(w.Context(), key.ID)
		w.check(err)
		if unchanged.Revision != key.Revision {
			w.Error("a use changed the key's revision")
		}
	})
}

// Guarantees that only usable keys are used, and that uses of a key that has been
// deleted in the meantime do not keep the others from being recorded.
func TestUsesOfWhatIsGone(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		gone, _, _ := w.key(project)
		kept, token, _ := w.key(project, "documents:read")
		revoked, revokedToken, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k"})
		w.check(err)
		_, err = project.RevokeKey(w.Context(), revoked.ID, "")
		w.check(err)
		w.answers(map[string]domain.Code{revokedToken.Reveal(): domain.CodeKeyRevoked})
		w.check(project.DeleteKey(w.Context(), gone.ID))
		w.Pass(time.Second)
		v, err := project.VerifyKey(w.Context(), service.Question{Token: token, Scopes: []domain.Scope{"documents:write"}})
		if err != nil || v.Valid() {
			w.Error(v, err)
		}
		w.check(w.RecordUses(w.Context()))
		if got := w.lastUsed(project, kept.ID); !got.Equal(w.Now()) {
			w.Errorf("got %v, want %v: someone holds the token, whatever it may do", got, w.Now())
		}
		if got := w.lastUsed(project, revoked.ID); !got.IsZero() {
			w.Errorf("got %v for a revoked key", got)
		}
	})
}

// Guarantees that what was gathered when the program stops is not lost.
func TestLastUsesAtShutdown(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, token, _ := w.key(project)
		w.check(w.RecordUses(w.Context())) // so that the next use is not a first one
		w.Pass(time.Minute)
		ctx, stop := context.WithCancel(w.Context())
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.App.Run(ctx) }()
		_, err := w.ProveKey(w.Context(), token, nil)
		w.check(err)
		stop()
		<-stopped
		if got := w.lastUsed(project, key.ID); !got.Equal(w.Now()) {
			w.Errorf("got %v, want %v", got, w.Now())
		}
	})
}

// Guarantees that a rotation knows of a use whose writing has failed, so that it
// does not end the token that callers send.
func TestRotateKeyAfterUsesCouldNotBeWritten(t *testing.T) {
	onEach(t, func(w *world) {
		owner := w.signUp("ann@example.com")
		_, project := w.tenant(owner)
		key, _, _ := w.key(project)
		_, second := w.rotate(project, key.ID, domain.Rotation{})
		store := storetest.New(w.T, w.DSN)
		node := w.Another(service.Options{Store: store})
		_, err := node.ProveKey(w.Context(), second, nil)
		w.check(err)
		store.SetDown(true)
		w.code(node.RecordUses(w.Context()), domain.CodeUnavailable)
		store.SetDown(false)

		there, err := node.Project(w.Context(), owner, key.ProjectID)
		w.check(err)
		w.rotate(there, key.ID, domain.Rotation{})
		w.answers(map[string]domain.Code{second: ""})
	})
}

// Guarantees the same of a use that is just being written.
func TestRotateKeyWhileUsesAreWritten(t *testing.T) {
	onEach(t, func(w *world) {
		owner := w.signUp("ann@example.com")
		_, project := w.tenant(owner)
		key, _, _ := w.key(project)
		_, second := w.rotate(project, key.ID, domain.Rotation{})
		node := w.node()
		_, err := node.ProveKey(w.Context(), second, nil)
		w.check(err)
		token, err := domain.ParseToken(second)
		w.check(err)

		held, release := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			rollback := errors.New("only to hold the row")
			err := w.Store.InTx(w.Context(), func(ctx context.Context, tx *repository.Store) error {
				use := domain.Use{ProjectID: key.ProjectID, KeyID: key.ID, TokenID: token.ID(), First: w.Now(), Last: w.Now()}
				err := tx.RecordUses(ctx, []domain.Use{use})
				close(held)
				<-release
				return errors.Join(rollback, err)
			})
			if !errors.Is(err, rollback) {
				w.Error(err)
			}
		})
		<-held
		all.Go(func() {
			if err := node.RecordUses(w.Context()); err != nil {
				w.Error(err)
			}
		})
		servicetest.Eventually(w, "the first uses are taken", func() bool { return node.FirstUses() == 0 })
		there, err := node.Project(w.Context(), owner, key.ProjectID)
		w.check(err)
		rotating := make(chan struct{})
		all.Go(func() {
			defer close(rotating)
			if _, _, err := there.RotateKey(w.Context(), key.ID, domain.Rotation{}); err != nil {
				w.Error(err)
			}
		})
		select {
		case <-rotating: // without waiting for the use, where the database lets it
		case <-time.After(100 * time.Millisecond):
		}
		close(release)
		all.Wait()
		w.answers(map[string]domain.Code{second: ""})
	})
}

// Guarantees that a rotation does not wait while the database is slow to take counts.
func TestRotateKeyWhileCountsAreWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t)) // SQLite writes one thing after the other
	owner := w.signUp("ann@example.com")
	_, project := w.tenant(owner)
	key, token, _ := w.key(project)
	node := w.Another(service.Options{Store: storetest.NewBreakable(t, w.DSN)})
	proven, err := node.ProveKey(w.Context(), token, nil)
	w.check(err)
	node.CountUse(proven)

	ctx, cancel := context.WithCancel(w.Context())
	stuck, written := make(chan struct{}), make(chan error)
	fault := &storetest.Fault{At: 1, Kind: storetest.Stuck, Reached: func() { close(stuck) }}
	go func() { written <- node.CountsTick(fault.Context(ctx)) }()
	<-stuck
	there, err := node.Project(w.Context(), owner, key.ProjectID)
	w.check(err)
	w.rotate(there, key.ID, domain.Rotation{})
	cancel()
	if err := <-written; err == nil || !fault.Left() {
		t.Error("the key is rotated only after counts are written")
	}
}

// Guarantees that a use after a while without any is written immediately, as it may be
// the first one ever, and that further ones wait to be written together.
func TestUseOfAnIdleKeyIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	_, project := w.tenant(w.signUp("ann@example.com"))
	_, token, _ := w.key(project)
	node := w.Another(service.Options{}) // which does not Run, so that no other process writes
	for i, step := range []struct{ intervals, want int }{{0, 1}, {1, 0}, {1, 0}, {2, 1}, {1, 0}, {3, 1}} {
		for range step.intervals {
			w.check(node.RecordUses(t.Context()))
		}
		_, err := node.ProveKey(t.Context(), token, nil)
		w.check(err)
		if got := node.FirstUses(); got != step.want {
			t.Errorf("step %d, after %d intervals: got %d uses to write immediately, want %d", i, step.intervals, got, step.want)
		}
	}
}

// Guarantees that an outage of however many attempts is two lines in the log: that
// uses cannot be recorded, and that they can again.
func TestUsageOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dsn := storetest.SQLite(t)
	store := storetest.New(t, dsn)
	database, err := sql.Open("sqlite", strings.TrimPrefix(dsn, "sqlite:")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Close() })
	var attempts atomic.Int64
	store.Observe(func(statement string) {
		if strings.HasPrefix(statement, "INSERT INTO api_key_usage") {
			attempts.Add(1)
		}
	})
	w := prepare(t, store, dsn)
	w.App = w.Another(service.Options{})
	servicetest.Follow(t, w.App)
	_, project := w.tenant(w.signUp("ann@example.com"))
	_, token, err := project.CreateKey(t.Context(), domain.KeySpec{Name: "k"})
	w.check(err)

	execute := func(statement string) {
		_, err := database.ExecContext(t.Context(), statement)
		w.check(err)
	}
	execute("CREATE TRIGGER full BEFORE INSERT ON api_key_usage BEGIN SELECT RAISE(ABORT, 'no room'); END")
	_, err = w.ProveKey(t.Context(), token.Reveal(), nil) // once: it is tried again without another use
	w.check(err)
	servicetest.Eventually(t, "it is tried three times", func() bool { return attempts.Load() >= 3 })
	execute("DROP TRIGGER full")
	servicetest.Eventually(t, "it is recorded again", func() bool { return strings.Contains(w.Logged.String(), "recorded again") })
	for _, want := range []string{"cannot be recorded", "recorded again"} {
		if got := strings.Count(w.Logged.String(), want); got != 1 {
			t.Errorf("got %d lines that say %q, want 1:\n%s", got, want, w.Logged.String())
		}
	}
}

// The calling key comes with its last use as it has been recorded, and in an outage
// as the node remembers it; asking for it writes nothing.
func TestLastUseOfCallingKey(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, token, _ := w.key(project)
		w.check(w.RecordUses(w.Context()))
		store := storetest.New(w.T, w.DSN)
		node := w.Another(service.Options{Store: store})
		recorded := w.Now()
		w.Pass(time.Minute)
		proven, err := node.ProveKey(w.Context(), token, nil)
		w.check(err)
		caller := domain.ProvenPrincipal(proven, nil, domain.Origin{})
		last := func(want time.Time) {
			w.Helper()
			calling, ok, err := node.CallingKey(w.Context(), caller)
			w.check(err)
			if !ok || calling.Key.ID != key.ID || !calling.Key.LastUsedAt.Equal(want) {
				w.Errorf("got %s last used at %v, want %s at %v", calling.Key.ID, calling.Key.LastUsedAt, key.ID, want)
			}
		}
		last(recorded)
		last(w.lastUsed(project, key.ID))
		store.SetDown(true)
		last(w.Now())
		store.SetDown(false)
		w.check(node.RecordUses(w.Context()))
		last(w.Now())
		if _, ok, err := node.CallingKey(w.Context(), domain.Principal{}); ok || err != nil {
			w.Errorf("got a key of no one, %v", err)
		}
	})
}
