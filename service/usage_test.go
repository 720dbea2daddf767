package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
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
		early := w.clock()
		_, err = other.AuthenticateKey(w.Context(), token.Reveal())
		w.check(err)
		w.pass(time.Minute)
		_, err = project.VerifyKey(w.Context(), token.Reveal(), nil)
		w.check(err)
		if got := w.lastUsed(project, key.ID); !got.IsZero() {
			w.Errorf("got %v, want nothing written yet", got)
		}
		late := w.clock()
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
		w.pass(time.Second)
		v, err := project.VerifyKey(w.Context(), token, []domain.Scope{"documents:write"})
		if err != nil || v.Valid {
			w.Error(v, err)
		}
		w.check(w.RecordUses(w.Context()))
		if got := w.lastUsed(project, kept.ID); !got.Equal(w.clock()) {
			w.Errorf("got %v, want %v: somebody holds the token, whatever it may do", got, w.clock())
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
		w.pass(time.Minute)
		ctx, stop := context.WithCancel(w.Context())
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.App.Run(ctx) }()
		_, err := w.AuthenticateKey(w.Context(), token)
		w.check(err)
		stop()
		<-stopped
		if got := w.lastUsed(project, key.ID); !got.Equal(w.clock()) {
			w.Errorf("got %v, want %v", got, w.clock())
		}
	})
}
