package service_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that a new password does not contain the name of an organization
// that the person is in or was invited to, on each way to set one, and that a
// refusal does not tell a stranger which organization invited an address.
func TestPasswordsWithoutOrganizations(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		const guessable, other = "My M3ridian-Tr4ding 77", "violet otters read maps"
		ann := w.signUp("ann@example.com")
		o, err := w.CreateOrganization(ctx, ann, domain.OrganizationSpec{Name: "Meridian Trading"})
		w.check(err)
		organization, err := w.Organization(ctx, ann, o.ID)
		w.check(err)
		_, token, err := organization.CreateInvitation(ctx, domain.InvitationSpec{Email: "bob@example.com", Role: domain.Developer})
		w.check(err)

		account, err := w.Account(ctx, ann)
		w.check(err)
		w.code(account.ChangePassword(ctx, password, guessable), domain.CodeValidationFailed)
		w.check(account.ChangePassword(ctx, password, other))

		signUp := func(email, password, token string) error {
			_, err := w.SignUp(ctx, domain.Origin{},
				domain.SignUp{Email: email, Password: domain.Hidden(password), InvitationToken: domain.Hidden(token)})
			return err
		}
		w.code(signUp("bob@example.com", guessable, token), domain.CodeValidationFailed)
		w.check(signUp("eve@example.com", guessable, token)) // the token is not hers
		w.check(signUp("bob@example.com", guessable, ""))    // a stranger learns nothing
		_, err = w.CreateUser(ctx, domain.System(), domain.SignUp{Email: "bob@example.com", Password: guessable}, false)
		w.code(err, domain.CodeValidationFailed)

		bob, err := w.FindUser(ctx, domain.System(), "bob@example.com")
		w.check(err)
		link, err := w.CreateResetLink(ctx, domain.System(), bob.ID)
		w.check(err)
		for _, guessable := range []string{guessable, "bob@example.com 1", "the latchkey is here"} {
			w.code(w.ResetForgottenPassword(ctx, domain.Origin{}, link.Token.Reveal(), guessable), domain.CodeValidationFailed)
		}
		w.check(w.ResetForgottenPassword(ctx, domain.Origin{}, link.Token.Reveal(), other))
	})
}

// The reader of a verification email is held to the same words.
func TestVerifiedPasswordsWithoutOrganizations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx := w.Context()
	office := &postOffice{}
	app := w.Another(service.Options{Mailer: office})
	organization, _ := w.tenant(w.signUp("ann@example.com"))
	_, err := organization.Update(ctx, domain.OrganizationPatch{Name: new("Meridian Trading")})
	w.check(err)
	_, _, err = organization.CreateInvitation(ctx, domain.InvitationSpec{Email: "bob@example.com", Role: domain.Developer})
	w.check(err)
	_, err = app.SignUp(ctx, domain.Origin{IP: "192.0.2.1"}, domain.SignUp{Email: "bob@example.com", Password: password})
	w.check(err)
	token := tokenIn(t, office.collect(app)["verification"])
	w.code(app.VerifyEmail(ctx, domain.Origin{}, token, "meridian trading rocks"), domain.CodeValidationFailed)
	w.check(app.VerifyEmail(ctx, domain.Origin{}, token, "violet otters read maps"))
}
