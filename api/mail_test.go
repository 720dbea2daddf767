package api_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// mailbox receives the emails that an instance sends.
type mailbox chan mail.Message

func (m mailbox) Send(_ context.Context, message mail.Message) error {
	m <- message
	return nil
}

var inFragment = regexp.MustCompile(`#token=(\S+)`)

// read waits for the next email, which must be of the kind, and returns its token.
func (m mailbox) read(t *testing.T, kind string) string {
	t.Helper()
	select {
	case message := <-m:
		if message.Kind != kind {
			t.Fatalf("got a mail of kind %s, want %s", message.Kind, kind)
		}
		if found := inFragment.FindStringSubmatch(message.Text); found != nil {
			return found[1]
		}
		return ""
	case <-time.After(time.Minute):
		t.Fatalf("no mail of kind %s came", kind)
		return ""
	}
}

// With a mail server, signing up and asking for a new password give the same answer
// to everyone. A token from an email works once, signs no one in, and leaves one
// event.
func TestMailOverHTTP(t *testing.T) {
	t.Parallel()
	box := make(mailbox, 100)
	w := startWorld(t, storetest.SQLite(t), box)
	ada := map[string]string{"email": "ada@example.com", "password": password}
	post := func(path string, body any) answer { return w.call(t, "POST", path, anonymous, body) }

	first := post("/v1/auth/signup", ada).want(t, 202, nil)
	verify := box.read(t, "verification")
	w.secret(verify)
	again := post("/v1/auth/signup", map[string]string{"email": "ADA@example.com", "password": "another long passphrase"}).want(t, 202, nil)
	if string(first.body) != string(again.body) || len(first.header) != len(again.header) {
		t.Errorf("got %s for a new address and %s for a known one", first.body, again.body)
	}
	w.secret(box.read(t, "account-claim")) // not verified yet, so whose it is has to be shown first
	post("/v1/auth/login", ada).fails(t, 403, domain.CodeEmailUnverified)
	w.secret(box.read(t, "verification"))

	w.Pass(time.Second)
	at := w.Now()
	// Who signed up may be a stranger, so the mail's reader chooses the password.
	const chosen = "nine yellow kites over the dunes"
	w.secret(chosen)
	confirm := func(token, password string) answer {
		return post("/v1/auth/email/verify", map[string]string{"token": token, "password": password})
	}
	confirm("garbage", "passwordpassword").fails(t, 401, domain.CodeInvalidToken) // the token is judged first
	confirm(verify, "passwordpassword").fails(t, 422, domain.CodeValidationFailed)
	post("/v1/auth/email/verify", map[string]string{"token": verify}).fails(t, 422, domain.CodeValidationFailed)
	confirm(verify, chosen).want(t, 204, nil)
	confirm(verify, chosen).fails(t, 401, domain.CodeInvalidToken)
	if got := w.since(t, at); len(got) != 1 || got[0].Action != "user.email_verified" {
		t.Errorf("got events %+v, want one user.email_verified", got)
	}
	var in person
	post("/v1/auth/login", ada).fails(t, 401, domain.CodeInvalidCredentials)
	ada["password"] = chosen
	post("/v1/auth/login", ada).want(t, 200, &in.Session)
	w.secret(in.AccessToken, in.RefreshToken)
	if !in.User.EmailVerified {
		t.Error("the user is not shown as verified")
	}
	post("/v1/auth/signup", ada).want(t, 202, nil)
	box.read(t, "account-exists")

	unknown := post("/v1/auth/password/forgot", map[string]string{"email": "noone@example.com"}).want(t, 202, nil)
	known := post("/v1/auth/password/forgot", map[string]string{"email": "ada@example.com"}).want(t, 202, nil)
	if string(unknown.body) != string(known.body) {
		t.Errorf("got %s for an unknown address and %s for a known one", unknown.body, known.body)
	}
	reset := box.read(t, "password-reset")
	w.secret(reset)
	w.Pass(time.Second)
	at = w.Now()
	const replacement = "eight green boats on the canal"
	w.secret(replacement)
	post("/v1/auth/password/reset", map[string]string{"token": "garbage", "password": "passwordpassword"}).
		fails(t, 401, domain.CodeInvalidToken)
	post("/v1/auth/password/reset", map[string]string{"token": reset, "password": "short"}).fails(t, 422, domain.CodeValidationFailed)
	post("/v1/auth/password/reset", map[string]string{"token": verify, "password": replacement}).fails(t, 401, domain.CodeInvalidToken)
	post("/v1/auth/password/reset", map[string]string{"token": reset, "password": replacement}).want(t, 204, nil)
	post("/v1/auth/password/reset", map[string]string{"token": reset, "password": replacement}).fails(t, 401, domain.CodeInvalidToken)
	box.read(t, "password-changed")
	if got := w.since(t, at); len(got) != 1 || got[0].Action != "user.password_reset" {
		t.Errorf("got events %+v, want one user.password_reset", got)
	}
	w.call(t, "GET", "/v1/me", byUser(in.AccessToken), nil).fails(t, 401, domain.CodeInvalidToken)
	post("/v1/auth/login", ada).fails(t, 401, domain.CodeInvalidCredentials)
	ada["password"] = replacement
	post("/v1/auth/login", ada).want(t, 200, &in.Session)
	w.secret(in.AccessToken, in.RefreshToken)
}
