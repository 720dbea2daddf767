package console_test

import (
	"context"
	"io"
	"regexp"
	"testing"

	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// mailbox keeps the emails that are sent.
type mailbox struct{ mails []mail.Message }

func (m *mailbox) Send(_ context.Context, message mail.Message) error {
	m.mails = append(m.mails, message)
	return nil
}

var link = regexp.MustCompile(`/console/\S+#token=\S+`)

// last sends the waiting emails and returns the path of the link in the last one.
func (m *mailbox) last(t *testing.T, s *server) string {
	t.Helper()
	s.App.SendMails(t.Context())
	if len(m.mails) == 0 {
		t.Fatal("no mail was sent")
	}
	found := link.FindString(m.mails[len(m.mails)-1].Text)
	if found == "" {
		t.Fatalf("there is no link in %q", m.mails[len(m.mails)-1].Text)
	}
	return found
}

// With a mail server, an account is ready after its address is confirmed, and a link
// in an email replaces a forgotten password. Without JavaScript the link is pasted.
func TestMailedLinks(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := &mailbox{}
			s := newServer(t, func(o *service.Options) { o.Mailer = box })
			b := newTab(t, s)
			if !scripts {
				b.withoutScripts()
			}
			arrive := func() {
				path := box.last(t, s)
				b.open(path)
				if scripts {
					b.waits(`location.hash === ""`)
				} else {
					b.fill("token", s.URL+path)
				}
			}
			b.open("/console/sign-up")
			b.fill("email", "ann@example.com").fill("password", password).follow("Create account")
			b.shows("Check your email")
			arrive()
			const chosen = "nine yellow kites over the dunes"
			b.fill("password", chosen).follow("Confirm the address")
			b.shows("Your email address is confirmed")

			b.follow("Forgot password?")
			b.fill("email", "ann@example.com").follow("Send the link")
			b.shows("an email with a link is on its way")
			arrive()
			b.fill("password", "short").eval(`document.querySelector("#password").minLength = 0`)
			b.follow("Set the password")
			b.shows("Must be 12 to 256 characters")
			if !scripts {
				b.fill("token", s.URL+box.last(t, s))
			}
			const replacement = "seven brass keys in a row"
			b.fill("password", replacement).follow("Set the password")
			b.shows("Your password has been changed")
			b.fill("email", "ann@example.com").fill("password", replacement).follow("Sign in")
			b.shows("One more step")
		})
	}
}

// Where nothing sends email, no page says that an email is on its way.
func TestNoMailServer(t *testing.T) {
	t.Parallel()
	for shown, want := range map[bool]string{false: "latchkey user reset-password", true: "the server's terminal shows a link"} {
		s := newServer(t, func(o *service.Options) {
			if shown {
				o.Terminal = io.Discard
			}
		})
		b := newTab(t, s)
		b.open("/console/forgot-password")
		b.shows("no mail server")
		b.fill("email", "ann@example.com").follow("Send the link")
		b.shows(want)
		b.hides("on its way")
	}
}
