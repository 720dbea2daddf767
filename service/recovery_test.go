package service_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// postOffice keeps what is sent.
type postOffice struct {
	mu   sync.Mutex
	sent []mail.Message
}

func (p *postOffice) Send(_ context.Context, m mail.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
	return nil
}

// collect returns what app has posted since the last time, by kind.
func (p *postOffice) collect(app *service.App) map[string]mail.Message {
	app.SendMails(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	mails := map[string]mail.Message{}
	for _, m := range p.sent {
		mails[m.Kind] = m
	}
	p.sent = nil
	return mails
}

var mailedToken = regexp.MustCompile(`#token=(\S+)`)

func tokenIn(t *testing.T, m mail.Message) string {
	t.Helper()
	found := mailedToken.FindStringSubmatch(m.Text)
	if found == nil || !strings.Contains(m.HTML, found[1]) {
		t.Fatalf("no token in both forms of %q", m.Subject)
	}
	return found[1]
}

func kinds(mails map[string]mail.Message) string {
	var names []string
	for _, kind := range []string{"verification", "account-exists", "account-claim", "password-reset", "password-changed",
		"session-ended", "invitation"} {
		if _, ok := mails[kind]; ok {
			names = append(names, kind)
		}
	}
	return strings.Join(names, " ")
}

// Guarantees that with a mail server no one signs in, or accepts an invitation,
// with an address that they have not shown to be theirs; that signing up and
// asking for a new password answer the same for addresses with and without an
// account; and that what was mailed works once and for its time.
func TestMail(t *testing.T) {
	onEach(t, func(w *world) {
		ctx, office := w.Context(), &postOffice{}
		app := w.Another(service.Options{Mailer: office})
		expect := func(want string) map[string]mail.Message {
			w.Helper()
			mails := office.collect(app)
			if got := kinds(mails); got != want {
				w.Errorf("got emails %q, want %q", got, want)
			}
			return mails
		}
		signUp := func(email string) (service.SignedIn, error) {
			return app.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: email, Password: password})
		}
		logIn := func(password string) error {
			_, err := app.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
			return err
		}

		first, err := signUp("ann@example.com")
		w.check(err)
		token := tokenIn(w.T, expect("verification")["verification"])
		w.code(logIn("a wrong passphrase"), domain.CodeInvalidCredentials)
		expect("")
		w.code(logIn(password), domain.CodeEmailUnverified)
		expect("verification") // a fresh one, since the first may be lost
		for _, forged := range []string{"", "x", token[1:] + "A"} {
			w.code(app.VerifyEmail(ctx, domain.Origin{}, forged, "short"), domain.CodeInvalidToken)
			// Nothing is said of a password, and no work is spent on one, before the token is good.
			w.code(app.ResetForgottenPassword(ctx, domain.Origin{}, forged, "short"), domain.CodeInvalidToken)
		}
		w.code(app.ResetForgottenPassword(ctx, domain.Origin{}, token, "another passphrase"), domain.CodeInvalidToken) // of another purpose
		w.code(app.VerifyEmail(ctx, domain.Origin{}, token, "short"), domain.CodeValidationFailed)
		w.check(app.VerifyEmail(ctx, domain.Origin{}, token, password))
		w.code(app.VerifyEmail(ctx, domain.Origin{}, token, password), domain.CodeInvalidToken)
		w.check(logIn(password))

		again, err := signUp("Ann@Example.com")
		w.check(err)
		if diff := cmp.Diff(first, again); diff != "" {
			w.Errorf("signing up tells whether there is an account: %s", diff)
		}
		expect("account-exists")

		w.code(app.ForgotPassword(ctx, domain.Origin{}, "no-one"), domain.CodeValidationFailed)
		w.check(app.ForgotPassword(ctx, domain.Origin{}, "no-one@example.com"))
		expect("")
		w.check(app.ForgotPassword(ctx, domain.Origin{}, "ANN@example.com"))
		late := tokenIn(w.T, expect("password-reset")["password-reset"])
		w.Pass(10 * time.Minute)
		w.code(app.ResetForgottenPassword(ctx, domain.Origin{}, late, "another passphrase"), domain.CodeInvalidToken)
		w.check(app.ForgotPassword(ctx, domain.Origin{}, "ann@example.com"))
		token = tokenIn(w.T, expect("password-reset")["password-reset"])
		w.code(app.ResetForgottenPassword(ctx, domain.Origin{}, token, "short"), domain.CodeValidationFailed)
		in, err := app.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)

		var all sync.WaitGroup
		codes := make(chan domain.Code, 8)
		for range cap(codes) {
			all.Go(func() {
				codes <- domain.CodeOf(app.ResetForgottenPassword(ctx, domain.Origin{IP: "192.0.2.1"}, token, "another passphrase"))
			})
		}
		all.Wait()
		close(codes)
		worked := 0
		for code := range codes {
			if code == "" {
				worked++
			}
		}
		if worked != 1 {
			w.Errorf("the token worked %d times, want once", worked)
		}
		if m := expect("password-changed")["password-changed"]; !strings.Contains(m.Text, "192.0.2.1") {
			w.Errorf("the notice does not say from where:\n%s", m.Text)
		}
		_, err = app.ProveUser(ctx, in.AccessToken)
		w.code(err, domain.CodeInvalidToken)
		w.code(logIn(password), domain.CodeInvalidCredentials)
		w.check(logIn("another passphrase"))
		w.check(app.ForgotPassword(ctx, domain.Origin{}, "ann@example.com"))
		token = tokenIn(w.T, expect("password-reset")["password-reset"])
		in, err = app.LogIn(ctx, domain.Origin{}, "ann@example.com", "another passphrase")
		w.check(err)
		user, err := app.ProveUser(ctx, in.AccessToken)
		w.check(err)
		account, err := app.Account(ctx, domain.NewPrincipal(nil, user, domain.Origin{}))
		w.check(err)
		w.check(account.ChangePassword(ctx, "another passphrase", "a third passphrase"))
		expect("password-changed")
		w.code(app.ResetForgottenPassword(ctx, domain.Origin{}, token, "a fourth passphrase"),
			domain.CodeInvalidToken) // older than the change

		for action, want := range map[string]int{"user.created": 1, "user.email_verified": 1, "user.password_reset": 1} {
			if got := w.countEvents(action); got != want {
				w.Errorf("%s: got %d events, want %d", action, got, want)
			}
		}
	})
}

// Guarantees that an invitation reaches the one invited, whose name cannot write
// into the mail, and that a token used twice is reported to whom it belongs.
func TestInvitationMail(t *testing.T) {
	onEach(t, func(w *world) {
		ctx, office := w.Context(), &postOffice{}
		ann := w.signUp("ann@example.com") // while there was no mail server
		app := w.Another(service.Options{Mailer: office})
		made, err := app.CreateOrganization(ctx, ann, domain.OrganizationSpec{Name: "Acme"})
		w.check(err)
		old := made.Organization // as an earlier release let it be named
		old.Name, old.Revision = "Acme\r\nBcc: eve@example.com <script>", old.Revision+1
		w.check(w.Store.UpdateOrganization(ctx, old.Scope(), old))
		acme, err := app.Organization(ctx, ann, made.ID)
		w.check(err)
		spec := domain.InvitationSpec{Email: "bob@example.com", Role: domain.Viewer, IdempotencyKey: "0123456789abcdef"}
		_, token, err := acme.CreateInvitation(ctx, spec)
		w.check(err)
		_, _, err = acme.CreateInvitation(ctx, spec) // repeated, and not mailed again
		w.check(err)
		m := office.collect(app)["invitation"]
		if got := tokenIn(w.T, m); got != token || m.To != "bob@example.com" {
			w.Errorf("got a mail to %s with another token", m.To)
		}
		if strings.ContainsAny(m.Subject, "\r\n") || strings.Contains(m.HTML, "<script>") || strings.Contains(m.Text, "\nBcc:") {
			w.Errorf("a name writes into the mail: %q", m.Subject)
		}
		if got := len(office.collect(app)); got != 0 {
			w.Errorf("got %d more emails for the same invitation", got)
		}
		bob := w.signUp("bob@example.com") // has not verified the address
		_, err = app.AcceptInvitation(ctx, bob, token)
		w.code(err, domain.CodeEmailUnverified)
		_, err = w.AcceptInvitation(ctx, bob, token)
		w.check(err)
	})
}

// Guarantees that one address is not flooded with email, and that one network
// cannot have email sent to many.
func TestMailIsBounded(t *testing.T) {
	t.Parallel()
	w, office := newWorld(t, storetest.SQLite(t)), &postOffice{}
	ctx := w.Context()
	w.signUp("ann@example.com")
	app := w.Another(service.Options{Mailer: office})
	sent, refused := 0, 0
	for range 110 {
		err := app.ForgotPassword(ctx, domain.Origin{IP: "192.0.2.1"}, "ann@example.com")
		if err != nil {
			w.code(err, domain.CodeRateLimited)
			refused++
		}
		sent += len(office.collect(app))
	}
	if sent != 5 || refused != 10 {
		w.Errorf("got %d emails sent and %d requests refused, want 5 and 10", sent, refused)
	}
	w.check(app.ForgotPassword(ctx, domain.Origin{IP: "198.51.100.2"}, "ann@example.com"))
}

// Guarantees that a person who confirms the address of an account that a stranger
// made, perhaps while there was no mail server, has it for themselves: neither
// the stranger's password nor their session survives.
func TestVerifiedAccountIsTheReaders(t *testing.T) {
	onEach(t, func(w *world) {
		ctx, office := w.Context(), &postOffice{}
		eve, err := w.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: "the passphrase of eve"})
		w.check(err)
		app := w.Another(service.Options{Mailer: office})
		_, err = app.LogIn(ctx, domain.Origin{}, "ann@example.com", "the passphrase of eve")
		w.code(err, domain.CodeEmailUnverified)
		token := tokenIn(w.T, office.collect(app)["verification"])
		w.check(app.VerifyEmail(ctx, domain.Origin{}, token, "the passphrase of ann"))
		_, err = app.LogIn(ctx, domain.Origin{}, "ann@example.com", "the passphrase of eve")
		w.code(err, domain.CodeInvalidCredentials)
		_, err = app.Refresh(ctx, domain.Origin{}, eve.RefreshToken)
		w.code(err, domain.CodeInvalidToken)
		_, err = app.ProveSession(ctx, eve.Cookie)
		w.code(err, domain.CodeInvalidToken)
		_, err = app.LogIn(ctx, domain.Origin{}, "ann@example.com", "the passphrase of ann")
		w.check(err)
	})
}

// Guarantees that a person who signs up with another's address before its owner
// does gets no way into what the owner then takes for their account.
func TestAccountMadeForSomebodyElse(t *testing.T) {
	onEach(t, func(w *world) {
		ctx, office := w.Context(), &postOffice{}
		app := w.Another(service.Options{Mailer: office})
		for _, s := range []domain.SignUp{
			{Email: "ann@example.com", Password: "the passphrase of eve"}, {Email: "ann@example.com", Password: "the passphrase of ann"},
		} {
			_, err := app.SignUp(ctx, domain.Origin{}, s)
			w.check(err)
		}
		mails := office.collect(app)
		if got, want := kinds(mails), "verification account-claim"; got != want {
			w.Fatalf("got emails %q, want %q", got, want)
		}
		w.check(app.ResetForgottenPassword(ctx, domain.Origin{}, tokenIn(w.T, mails["account-claim"]), "another passphrase of ann"))
		_, err := app.LogIn(ctx, domain.Origin{}, "ann@example.com", "the passphrase of eve")
		w.code(err, domain.CodeInvalidCredentials)
		_, err = app.LogIn(ctx, domain.Origin{}, "ann@example.com", "another passphrase of ann")
		w.check(err)
	})
}
