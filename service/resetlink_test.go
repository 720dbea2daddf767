package service_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that the operator's link sets a password once, within ten minutes
// and not after, ends the sessions when it is used and not before, and that only
// the command line makes one, for an account that may sign in.
func TestResetLink(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann := w.signUp("ann@example.com")
		id := userID(ann)
		_, err := w.CreateResetLink(ctx, ann, id)
		w.code(err, domain.CodeForbidden)

		const replacement = "another unlikely passphrase"
		reset := func(wait time.Duration) (first, second error) {
			link, err := w.CreateResetLink(ctx, domain.System(), id)
			w.check(err)
			w.Pass(wait)
			token := link.Token.Reveal()
			return w.ResetForgottenPassword(ctx, domain.Origin{}, token, replacement),
				w.ResetForgottenPassword(ctx, domain.Origin{}, token, password)
		}
		late, _ := reset(10 * time.Minute)
		w.code(late, domain.CodeInvalidToken)
		in, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		inTime, again := reset(10*time.Minute - time.Microsecond)
		w.check(inTime)
		w.code(again, domain.CodeInvalidToken)
		_, err = w.Refresh(ctx, domain.Origin{}, in.RefreshToken)
		w.code(err, domain.CodeInvalidToken)
		_, err = w.LogIn(ctx, domain.Origin{}, "ann@example.com", replacement)
		w.check(err)

		_, err = w.SetUserStatus(ctx, domain.System(), id, domain.Disabled)
		w.check(err)
		_, err = w.CreateResetLink(ctx, domain.System(), id)
		w.code(err, domain.CodeConflict)
		if got, want := w.countEvents("user.reset_link_created"), 2; got != want {
			w.Errorf("got %d events, want %d", got, want)
		}
	})
}
