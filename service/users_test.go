package service_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a person whose account has just been disabled cannot bring it
// back by changing it, on a node that still takes them for active.
func TestDisabledUserStaysDisabled(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		account, err := w.Account(w.Context(), ann)
		w.check(err)
		disabled, err := w.SetUserStatus(w.Context(), domain.System(), account.User().ID, domain.Disabled)
		w.check(err)
		_, err = account.Rename(w.Context(), "Eve")
		w.code(err, domain.CodeInvalidToken)
		got, err := w.FindUser(w.Context(), domain.System(), string(disabled.ID))
		w.check(err)
		if got != disabled {
			w.Errorf("got %+v, want %+v", got, disabled)
		}
	})
}
