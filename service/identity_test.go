package service_test

import (
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that a password is the same from every keyboard, composed or not,
// and that one that 0.1 hashed as it was sent is still good.
func TestPasswordsHaveOneForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	const composed, decomposed = "sept lampes d'\u00e9t\u00e9 violettes", "sept lampes d'e\u0301te\u0301 violettes"
	logIn := func(password string) error {
		_, err := w.LogIn(w.Context(), domain.Origin{}, "ann@example.com", password)
		return err
	}
	_, err := w.SignUp(w.Context(), domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: decomposed})
	w.check(err)
	w.check(logIn(composed))
	w.check(logIn(decomposed))
	w.check(logIn("sept\u00a0lampes d'\u00e9t\u00e9 violettes"))

	user, err := w.FindUser(w.Context(), domain.System(), "ann@example.com")
	w.check(err)
	w.check(w.StoreAsSent(w.Context(), user.ID, decomposed))
	w.check(logIn(decomposed))
	w.code(logIn(composed), domain.CodeInvalidCredentials)
}

// Guarantees that an international domain and its punycode are one address: one
// account, one invitation, one sign-in. Where 0.1 made two accounts, the one
// whose address is confirmed is meant, and doctor can list both.
func TestInternationalDomainsAreOneAddress(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		const unicode, ascii = "u@b\u00fccher.example", "u@xn--bcher-kva.example"
		acme, _ := w.tenant(w.signUp("owner@example.com"))
		_, token, err := acme.CreateInvitation(ctx, domain.InvitationSpec{Email: ascii, Role: domain.Viewer})
		w.check(err)
		caller := w.signUp(unicode)
		_, err = w.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "U@XN--Bcher-KVA.example", Password: password})
		w.code(err, domain.CodeConflict)
		in, err := w.LogIn(ctx, domain.Origin{}, ascii, password)
		w.check(err)
		if in.User.Email != unicode {
			w.Errorf("got %s, want %s", in.User.Email, unicode)
		}
		_, err = w.AcceptInvitation(ctx, caller, token)
		w.check(err)

		old := domain.User{ID: domain.NewID[domain.UserID](w.Now()), Email: "v@xn--bcher-kva.example", Status: domain.Active,
			CreatedAt: w.Now()}
		w.check(w.Store.CreateUser(ctx, old, ""))
		_, err = w.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "v@b\u00fccher.example", Password: password})
		w.code(err, domain.CodeConflict)

		twin := domain.User{
			ID: domain.NewID[domain.UserID](w.Now()), Email: ascii, EmailVerified: true, Status: domain.Active, CreatedAt: w.Now(),
		}
		w.check(w.Store.CreateUser(ctx, twin, ""))
		found, err := w.FindUser(ctx, domain.System(), unicode)
		w.check(err)
		if found.ID != twin.ID {
			w.Errorf("got the account that is not confirmed")
		}
		got, err := service.EmailTwins(ctx, w.Store)
		w.check(err)
		if want := [][2]domain.UserID{{twin.ID, userID(caller)}}; !slices.Equal(got, want) {
			w.Errorf("got twins %v, want %v", got, want)
		}
	})
}
