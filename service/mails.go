package service

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// Mailer delivers mails to people.
type Mailer interface {
	// Send hands a mail over. Its error must say nothing of what is in it.
	Send(ctx context.Context, m mail.Message) error
}

const (
	mailQueue   = 512              // mails that wait; beyond, they are lost and the log says so
	mailTries   = 3                // how often one is tried
	mailPause   = 5 * time.Second  // before the second try; longer before each further one
	mailGoodbye = 10 * time.Second // for those that wait when the program ends
)

// How many mails one person is sent, and one network may cause, at once and then
// each interval. Whoever asks for more to one address is answered the same and
// nothing is sent.
var (
	mailsToAddress   = rate{burst: 5, interval: 5 * time.Minute}
	mailsFromNetwork = rate{burst: 100, interval: 10 * time.Second}
)

// mailing sends mails after the change that they tell of has been committed,
// and so that no answer takes longer for somebody who gets one.
type mailing struct {
	mailer Mailer
	on     bool // a mail server is set up, so addresses are verified
	queue  chan func(context.Context) (mail.Letter, bool, error)
}

func newMailing(o Options, log *slog.Logger) mailing {
	m := mailing{mailer: o.Mailer, on: o.Mailer != nil, queue: make(chan func(context.Context) (mail.Letter, bool, error), mailQueue)}
	if m.mailer == nil {
		m.mailer = mail.Log{Log: log, Terminal: o.Terminal}
	}
	return m
}

// Mails reports whether mails reach people: whether a mail server is set up.
func (a *App) Mails() bool { return a.mailing.on }

// post sends what write returns, soon. It never blocks.
func (a *App) post(ctx context.Context, write func(context.Context) (letter mail.Letter, send bool, err error)) {
	select {
	case a.mailing.queue <- write:
	default:
		a.log.ErrorContext(ctx, "a mail was lost, since too many wait already")
	}
}

// postLetter is post for a letter that is written already.
func (a *App) postLetter(ctx context.Context, l mail.Letter) {
	a.post(ctx, func(context.Context) (mail.Letter, bool, error) { return l, true, nil })
}

// sendMails sends what is posted until ctx ends, and then what still waits.
func (a *App) sendMails(ctx context.Context) {
	for {
		select {
		case write := <-a.mailing.queue:
			a.sendMail(ctx, write)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), mailGoodbye)
			defer cancel()
			a.SendMails(last)
			return
		}
	}
}

// SendMails sends what has been posted so far. Programs that do not Run call it
// before they end.
func (a *App) SendMails(ctx context.Context) {
	for {
		select {
		case write := <-a.mailing.queue:
			a.sendMail(ctx, write)
		default:
			return
		}
	}
}

func (a *App) sendMail(ctx context.Context, write func(context.Context) (mail.Letter, bool, error)) {
	letter, send, err := write(ctx)
	if err != nil {
		a.log.ErrorContext(ctx, "a mail could not be written", "mail", letter.Kind, "error", err)
		return
	}
	if !send {
		return
	}
	message, err := letter.Write()
	if err != nil {
		a.log.ErrorContext(ctx, "a mail could not be written", "mail", letter.Kind, "error", err)
		return
	}
	for try := 1; ; try++ {
		if err = a.mailing.mailer.Send(ctx, message); err == nil {
			return
		}
		if try == mailTries || ctx.Err() != nil {
			break
		}
		select {
		case <-time.After(time.Duration(try) * mailPause):
		case <-ctx.Done():
		}
	}
	a.log.ErrorContext(ctx, "a mail could not be sent", "mail", letter.Kind, "error", err)
}

// mayMail reports whether one more mail that somebody else can cause is not too
// many for an address, and counts it. Notices are not asked about: otherwise a
// flood of other mails would keep them away.
func (a *App) mayMail(to string) bool {
	now := a.now()
	if a.throttle.wait(mailsToAddress, now, "mail", to) > 0 {
		return false
	}
	a.throttle.count(mailsToAddress, now, "mail", to)
	return true
}

// mayCauseMail returns rate_limited when a network has caused too many mails.
func (a *App) mayCauseMail(from domain.Origin) error {
	now, address := a.now(), network(from.IP)
	if wait := a.throttle.wait(mailsFromNetwork, now, "mailed", address); wait > 0 {
		return &domain.Error{Code: domain.CodeRateLimited, Detail: "Too many mails have been asked for from your address. Wait a little.", RetryAfter: wait}
	}
	a.throttle.count(mailsFromNetwork, now, "mailed", address)
	return nil
}

// page is the address of a page of the console.
func (a *App) page(path string) string { return a.publicURL + "/console/" + path }

func (a *App) verificationLetter(u domain.User, token string) mail.Letter {
	return mail.Letter{
		Kind: "verification", To: u.Email, Subject: "Confirm your e-mail address",
		Paragraphs: []string{
			"Somebody, probably you, made an account with this e-mail address at " + a.publicURL + ".",
			"Confirm that the address is yours, and then sign in. The link works once, for 24 hours.",
		},
		Action:  mail.Action{Label: "Confirm the address", Page: a.page("verify-email"), Token: token},
		Closing: "If it was not you, leave this mail alone: without it nobody can use the account.",
	}
}

func (a *App) accountExistsLetter(u domain.User) mail.Letter {
	return mail.Letter{
		Kind: "account-exists", To: u.Email, Subject: "You have an account already",
		Paragraphs: []string{
			"Somebody, probably you, tried to sign up with this e-mail address at " + a.publicURL + ". There is an account with it already, so nothing has changed.",
			"Sign in with it. If you do not know the password any more, the sign-in page helps you to a new one.",
		},
		Action:  mail.Action{Label: "Sign in", Page: a.page("sign-in")},
		Closing: "If it was not you, you need do nothing.",
	}
}

func (a *App) claimLetter(u domain.User, token string) mail.Letter {
	return mail.Letter{
		Kind: "account-claim", To: u.Email, Subject: "Set your password",
		Paragraphs: []string{
			"Somebody, probably you, signed up with this e-mail address at " + a.publicURL + ". There is an account with it already, " +
				"but the address has never been confirmed, so somebody else may have made it.",
			"Set a password of your own, which makes the account yours. The link works once, for ten minutes; later, ask for a new password on the sign-in page.",
		},
		Action:  mail.Action{Label: "Set a password", Page: a.page("reset-password"), Token: token},
		Closing: "If it was not you, leave this mail alone: without it nobody can use the account.",
	}
}

func (a *App) resetLetter(u domain.User, token string) mail.Letter {
	return mail.Letter{
		Kind: "password-reset", To: u.Email, Subject: "Set a new password",
		Paragraphs: []string{
			"Somebody, probably you, forgot the password of your account at " + a.publicURL + ".",
			"Set a new one. The link works once, for ten minutes; using it ends all your sessions.",
		},
		Action:  mail.Action{Label: "Set a new password", Page: a.page("reset-password"), Token: token},
		Closing: "If it was not you, leave this mail alone: your password stays as it is.",
	}
}

func (a *App) invitationLetter(v domain.Invitation, organization domain.Organization, token string) mail.Letter {
	return mail.Letter{
		Kind: "invitation", To: v.Email, Subject: "You are invited to " + mail.Quote(organization.Name),
		Paragraphs: []string{
			fmt.Sprintf("%s invites you to the organization %s at %s, as %s.",
				mail.Quote(v.InvitedBy.Name), mail.Quote(organization.Name), a.publicURL, v.Role),
			"Sign in, or sign up, with this e-mail address to accept. The invitation works once, until " +
				v.ExpiresAt.Format("2 January 2006, 15:04") + " UTC.",
		},
		Action:  mail.Action{Label: "Accept the invitation", Page: a.page("invitation"), Token: token},
		Closing: "If you do not know who this is, leave this mail alone.",
	}
}

// noticeLetter tells somebody what has been done to their account, so that they
// notice when it was not them.
func (a *App) noticeLetter(kind string, u domain.User, subject, what string, from domain.Origin) mail.Letter {
	where := "from an unknown address"
	if from.IP != "" {
		where = "from the address " + from.IP
	}
	return mail.Letter{
		Kind: kind, To: u.Email, Subject: subject,
		Paragraphs: []string{fmt.Sprintf("%s at %s, %s, %s.", what, a.publicURL, a.now().Format("on 2 January 2006 at 15:04 UTC"), where)},
		Action:     mail.Action{Label: "Look at your account", Page: a.page("account")},
		Closing:    "If it was not you, set a new password at once: that ends every session.",
	}
}
