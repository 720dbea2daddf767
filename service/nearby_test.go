package service_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// TestProvingAllocatesNothing is the gate for what every request does: proving a
// key, and a user, that are known.
func TestProvingAllocatesNothing(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	in, err := w.SignUp(t.Context(), domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: password})
	w.check(err)
	user, err := w.ProveUser(t.Context(), in.AccessToken)
	w.check(err)
	_, project := w.tenant(domain.NewPrincipal(nil, user, domain.Origin{}))
	_, token, _ := w.key(project, domain.KeysVerify)
	if got := testing.AllocsPerRun(200, func() {
		key, err := w.ProveKey(t.Context(), token, nil)
		if caller := domain.ProvenPrincipal(key, nil, domain.Origin{}); err != nil || caller.HasUser() {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("proving a key: got %v allocations, want 0", got)
	}
	if got := testing.AllocsPerRun(200, func() {
		if _, err := w.ProveUser(t.Context(), in.AccessToken); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("proving a user: got %v allocations, want 0", got)
	}
}

// TestChangesActAtOnce guarantees that what was reported to a caller as done holds
// for the very next request on the same node, for every kind of change to what
// the node keeps in memory.
func TestChangesActAtOnce(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		organization, project := w.tenant(ann)
		key, token, _ := w.key(project, "documents:read")
		proves := func(want domain.Code) {
			w.Helper()
			_, err := w.ProveKey(w.Context(), token, nil)
			if got := domain.CodeOf(err); got != want {
				w.Errorf("got %q, want %q", got, want)
			}
		}
		proves("")
		for _, step := range []struct {
			project, organization domain.Status
			want                  domain.Code
		}{
			{domain.Disabled, domain.Active, domain.CodeProjectDisabled},
			{domain.Disabled, domain.Disabled, domain.CodeProjectDisabled},
			{domain.Active, domain.Disabled, domain.CodeProjectDisabled},
			{domain.Active, domain.Active, ""},
		} {
			_, err := project.Update(w.Context(), domain.ProjectPatch{Status: &step.project})
			w.check(err)
			_, err = organization.Update(w.Context(), domain.OrganizationPatch{Status: &step.organization})
			w.check(err)
			proves(step.want)
		}
		past := w.Now().Add(-time.Second)
		_, err := project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{ExpiresAt: &past})
		w.check(err)
		proves(domain.CodeKeyExpired)
		_, err = project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{ExpiresAt: &time.Time{}})
		w.check(err)
		proves("")
		_, err = project.RevokeKey(w.Context(), key.ID, "")
		w.check(err)
		proves(domain.CodeKeyRevoked)
		w.check(project.DeleteKey(w.Context(), key.ID))
		proves(domain.CodeInvalidAPIKey)
	})
}

// TestRolledBackChangesNothing guarantees that a transaction that fails leaves
// callers who they were.
func TestRolledBackChangesNothing(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, token, _ := w.key(project)
		own, err := project.Get()
		w.check(err)
		failure := errors.New("no")
		err = w.Store.InTx(w.Context(), func(ctx context.Context, tx *repository.Store) error {
			if err := tx.DeleteKey(ctx, own.Scope(), key.ID); err != nil {
				return err
			}
			return failure
		})
		if !errors.Is(err, failure) {
			w.Fatal(err)
		}
		if _, err := w.ProveKey(w.Context(), token, nil); err != nil {
			w.Error(err)
		}
	})
}

// TestAnotherProcessIsHeard guarantees that a change made by another process on
// the same database reaches this one, whatever it was.
func TestAnotherProcessIsHeard(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		key, token, _ := w.key(project)
		elsewhere := w.node()
		handle, err := elsewhere.ProjectOfKey(w.Context(), domain.System(), key.ID)
		w.check(err)
		_, err = handle.RevokeKey(w.Context(), key.ID, "")
		w.check(err)
		servicetest.Eventually(w, "the revocation is heard of", func() bool {
			_, err := w.ProveKey(w.Context(), token, nil)
			return domain.CodeOf(err) == domain.CodeKeyRevoked
		})
	})
}
