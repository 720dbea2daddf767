package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// fickle is a mail server that answers by the name before the @.
type fickle struct {
	mu    sync.Mutex
	sent  []string
	tries int
}

func (f *fickle) Send(_ context.Context, m mail.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	switch name, _, _ := strings.Cut(m.To, "@"); name {
	case "refused":
		return mail.Fail(mail.Refused, "550")
	case "later":
		return mail.Fail(mail.Deferred, "450")
	}
	f.sent = append(f.sent, m.To+" "+mailedToken.FindString(m.Text))
	return nil
}

func (f *fickle) counts() (sent, tries int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent), f.tries
}

// signUpAt signs up with an address, from a network of its own.
func signUpAt(w *world, app *service.App, n int, email string) {
	w.Helper()
	_, err := app.SignUp(w.Context(), domain.Origin{IP: fmt.Sprintf("10.0.%d.1", n)}, domain.SignUp{Email: email, Password: password})
	w.check(err)
}

// Guarantees that an email which is refused for good is tried once, that one to
// be tried later waits beside the others and for its time only, and that both are
// counted.
func TestOutboxRetries(t *testing.T) {
	onEach(t, func(w *world) {
		server := &fickle{}
		app := w.Another(service.Options{Mailer: server})
		for n, email := range []string{"refused@example.com", "later@example.com", "ann@example.com"} {
			signUpAt(w, app, n, email)
		}
		app.SendMails(w.Context())
		if sent, tries := server.counts(); sent != 1 || tries != 3 {
			w.Errorf("got %d emails sent in %d tries, want 1 in 3", sent, tries)
		}
		app.SendMails(w.Context())
		w.Pass(4 * time.Second)
		app.SendMails(w.Context())
		if _, tries := server.counts(); tries != 3 {
			w.Errorf("got %d tries before the pause was over, want 3", tries)
		}
		w.Pass(3 * time.Second)
		app.SendMails(w.Context())
		if _, tries := server.counts(); tries != 4 {
			w.Errorf("got %d tries after the pause, want 4", tries)
		}
		w.check(app.Jobs()["look at the emails that wait"](w.Context()))
		stats := app.MailStats()
		if stats.Waiting != 1 || stats.Sent != 1 || stats.Retried != 2 || stats.Failed[mail.Refused] != 1 ||
			stats.OldestAge != 7*time.Second {
			w.Errorf("got %+v, want 1 waiting for 7 s, 1 sent, 2 retried and 1 refused", stats)
		}
		w.Pass(24 * time.Hour)
		app.SendMails(w.Context())
		w.check(app.Jobs()["look at the emails that wait"](w.Context()))
		if stats := app.MailStats(); stats.Waiting != 0 || stats.Failed[mail.Expired] != 1 {
			w.Errorf("got %+v, want the email that waited for a day given up", stats)
		}
	})
}

// Guarantees that nodes which share a database send each email once, and that
// one whose node died with it is sent with the same token after the lease.
func TestNodesShareTheOutbox(t *testing.T) {
	onEach(t, func(w *world) {
		server := &fickle{}
		nodes := []*service.App{w.Another(service.Options{Mailer: server}), w.Another(service.Options{Mailer: server})}
		for n := range 20 {
			signUpAt(w, nodes[n%2], n, fmt.Sprintf("p%d@example.com", n))
		}
		var sending sync.WaitGroup
		for _, node := range slices.Concat(nodes, nodes) {
			sending.Go(func() { node.SendMails(w.Context()) })
		}
		sending.Wait()
		if sent, tries := server.counts(); sent != 20 || tries != 20 {
			w.Errorf("got %d emails in %d tries, want 20 in 20", sent, tries)
		}

		signUpAt(w, nodes[0], 30, "ann@example.com")
		w.check(nodes[0].Jobs()["claim an email"](w.Context())) // and dies
		nodes[1].SendMails(w.Context())
		if sent, _ := server.counts(); sent != 20 {
			w.Error("an email was sent that another node holds")
		}
		w.Pass(time.Minute)
		nodes[1].SendMails(w.Context())
		if sent, _ := server.counts(); sent != 21 {
			w.Error("the email of a node that died was not sent")
		}
	})
}

// Guarantees that the outbox holds no token, address or text in clear, and that
// what it says cannot be moved to another row.
func TestOutboxIsSealed(t *testing.T) {
	t.Parallel()
	for engine, database := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			w := newWorld(t, dsn)
			server := &fickle{}
			app := w.Another(service.Options{Mailer: server})
			ann := w.signUp("ann@example.com")
			made, err := app.CreateOrganization(w.Context(), ann, domain.OrganizationSpec{Name: "Acme"})
			w.check(err)
			acme, err := app.Organization(w.Context(), ann, made.ID)
			w.check(err)
			_, token, err := acme.CreateInvitation(w.Context(), domain.InvitationSpec{Email: "bob@example.org", Role: domain.Viewer})
			w.check(err)
			dump := storetest.NewDumper(t, dsn).Dump(t)
			if len(dump["outbox"]) != 1 {
				t.Fatalf("got %d rows in the outbox, want 1", len(dump["outbox"]))
			}
			for _, secret := range []string{token, "bob@example.org", "Acme"} {
				row := dump["outbox"][0]
				if strings.Contains(row, secret) || strings.Contains(row, fmt.Sprintf("%x", secret)) {
					t.Errorf("the outbox holds %q in clear", secret)
				}
			}
			app.SendMails(w.Context())
			if got, want := server.sent, []string{"bob@example.org #token=" + token}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if after := storetest.NewDumper(t, dsn).Dump(t)["outbox"]; len(after) != 1 || len(after[0]) > len(dump["outbox"][0])-100 {
				t.Errorf("the outbox still holds what was sent: %s", after)
			}
		})
	}
}

// Guarantees that asking for a new password runs the same statements for an
// address with and without an account, and that what is counted for a network
// does not tell which of them it was, even while nothing can be sent.
func TestForgottenPasswordTellsNothing(t *testing.T) {
	t.Parallel()
	for engine, database := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			w := prepare(t, storetest.NewBreakable(t, dsn), dsn)
			w.App = w.Another(service.Options{})
			app := w.Another(service.Options{Mailer: &fickle{}})
			w.signUp("later@example.com")
			shape := func(email, ip string) (shape []string) {
				count := &storetest.Fault{}
				if err := app.ForgotPassword(count.Context(w.Context()), domain.Origin{IP: ip}, email); err != nil {
					shape = append(shape, string(domain.CodeOf(err)))
				}
				for _, statement := range count.Seen() {
					verb, _, _ := strings.Cut(statement, " ")
					shape = append(shape, fmt.Sprint(verb, len(statement)/40))
				}
				return shape
			}
			for range 12 { // beyond the bounds of an address, too
				known, unknown := shape("later@example.com", "10.0.1.1"), shape("no-one@example.org", "10.0.2.1")
				if !slices.Equal(known, unknown) {
					t.Fatalf("an account takes %v, none takes %v", known, unknown)
				}
				app.SendMails(w.Context())
				w.Pass(6 * time.Minute)
			}
		})
	}
}

// Guarantees that email which others cause to an address keeps no other kind away
// from it: neither invitations nor sign-ups of strangers stop a person's new
// password.
func TestOthersKeepNoResetAway(t *testing.T) {
	onEach(t, func(w *world) {
		server := &fickle{}
		app := w.Another(service.Options{Mailer: server})
		w.signUp("ann@example.com")
		org, _ := w.tenant(w.signUp("eve@example.com"))
		theirs, err := app.Organization(w.Context(), org.Caller(), w.id(org))
		w.check(err)
		for n := range 25 {
			w.Pass(2 * time.Minute)
			_, _, err := theirs.CreateInvitation(w.Context(), domain.InvitationSpec{Email: "ann@example.com", Role: domain.Viewer})
			w.check(err)
			signUpAt(w, app, n, "ann@example.com")
		}
		app.SendMails(w.Context())
		before, _ := server.counts()
		w.check(app.ForgotPassword(w.Context(), domain.Origin{IP: "10.1.0.1"}, "ann@example.com"))
		app.SendMails(w.Context())
		if sent, _ := server.counts(); sent != before+1 || before > 2*20 {
			w.Errorf("got %d emails, then %d; want the person's own after at most 40 of others", before, sent-before)
		}
	})
}

// Guarantees that a person with many organizations waits for their turn to send
// as anyone does: theirs count together.
func TestOnePersonHasOneTurn(t *testing.T) {
	onEach(t, func(w *world) {
		server := &fickle{}
		app := w.Another(service.Options{Mailer: server})
		invite := func(from domain.Principal, email string) {
			org, _ := w.tenant(from)
			theirs, err := app.Organization(w.Context(), from, w.id(org))
			w.check(err)
			_, _, err = theirs.CreateInvitation(w.Context(), domain.InvitationSpec{Email: email, Role: domain.Viewer})
			w.check(err)
		}
		eve, bob := w.signUp("eve@example.com"), w.signUp("bob@example.com")
		for n := range 10 {
			invite(eve, fmt.Sprintf("p%d@example.com", n))
			w.Pass(time.Second)
		}
		invite(bob, "cleo@example.com")
		app.SendMails(w.Context())
		at := slices.IndexFunc(server.sent, func(sent string) bool { return strings.HasPrefix(sent, "cleo@") })
		if at < 0 || at > 1 {
			w.Errorf("another person's email was sent after %d of one with many organizations, want 1 at most", at)
		}
	})
}
