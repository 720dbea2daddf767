package service

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/fair"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// How many emails of a kind one address is sent, and how many one network may
// cause, in a burst and then each interval. Further requests for an address are answered the same and
// nothing is sent.
var (
	mailsToAddress   = fair.Pace{Burst: 5, Emission: 5 * time.Minute}
	mailsFromNetwork = fair.Pace{Burst: 100, Emission: 10 * time.Second}
)

// The kinds of email that are written when they are sent.
const (
	mailVerification  = "verification"
	mailAccountExists = "account-exists"
	mailPasswordReset = "password-reset"
)

// mailInvitation is the kind of those that are written when they are posted.
const mailInvitation = "invitation"

// writers write the emails whose posting must not depend on whether an address
// has an account. They return nil when nothing is to be sent.
var writers = map[string]func(ctx context.Context, a *App, m repository.OutgoingMail, to string) (*mail.Letter, error){
	mailVerification:  writeVerification,
	mailAccountExists: writeAccountExists,
	mailPasswordReset: writePasswordReset,
}

// How long it makes sense to send what was posted.
const (
	sendRequested    = time.Hour      // what a person has asked for and waits for
	sendVerification = 24 * time.Hour // what lets a person into a new account
	sendLetters      = 72 * time.Hour // invitations and notices
)

// requested is an email that a stranger asks to have sent to an address, whether
// or not it has an account.
func (a *App) requested(kind, to string, from domain.Origin) posting {
	good := sendRequested
	if kind == mailVerification {
		good = sendVerification
	}
	return posting{kind: kind, to: to, payer: string(fair.Network(from.IP)), good: good}
}

// postRequested posts an email that a stranger asks for, if the address has not
// had too many.
func (a *App) postRequested(ctx context.Context, tx *repository.Store, kind, to string, from domain.Origin) error {
	if !a.mayMail(kind, to, "") {
		return nil
	}
	return a.post(ctx, tx, a.requested(kind, to, from))
}

// postNotice tells the owner of an account what has been done to it, in the
// transaction that does it.
func (a *App) postNotice(ctx context.Context, tx *repository.Store, kind string, u domain.User, subject, what string,
	from domain.Origin) error {
	letter := a.noticeLetter(kind, u, subject, what, from)
	return a.post(ctx, tx, posting{
		kind:   kind,
		to:     u.Email,
		letter: &letter,
		payer:  string(u.ID),
		known:  true,
		notice: true,
		good:   sendLetters,
	})
}

// page is the address of a page of the console.
func (a *App) page(path string) string { return a.publicURL + "/console/" + path }

func (a *App) verificationLetter(u domain.User, token string) mail.Letter {
	return mail.Letter{
		Kind:    "verification",
		To:      u.Email,
		Subject: "Confirm your email address",
		Paragraphs: []string{
			"Someone, probably you, created an account with this email address at " + a.publicURL + ".",
			"Confirm that the address is yours and choose your password. Then sign in. The link works once, for 24 hours.",
		},
		Action:  mail.Action{Label: "Confirm the address", Page: a.page("verify-email"), Token: token},
		Closing: "If it was not you, ignore this email. No one can use the account without it.",
	}
}

func (a *App) accountExistsLetter(u domain.User) mail.Letter {
	return mail.Letter{
		Kind:    "account-exists",
		To:      u.Email,
		Subject: "You already have an account",
		Paragraphs: []string{
			"Someone, probably you, tried to sign up with this email address at " + a.publicURL +
				". You already have an account, so nothing has changed.",
			"Sign in with it. If you forgot your password, use the link on the sign-in page to set a new one.",
		},
		Action:  mail.Action{Label: "Sign in", Page: a.page("sign-in")},
		Closing: "If it was not you, ignore this email.",
	}
}

func (a *App) claimLetter(u domain.User, token string) mail.Letter {
	return mail.Letter{
		Kind:    "account-claim",
		To:      u.Email,
		Subject: "Set your password",
		Paragraphs: []string{
			"Someone, probably you, signed up with this email address at " + a.publicURL + ". There is already an account with it, " +
				"but the address was never confirmed, so someone else may have created it.",
			"Set your own password to make the account yours. The link works once, for ten minutes. " +
				"After that, ask for a new one on the sign-in page.",
		},
		Action:  mail.Action{Label: "Set a password", Page: a.page("reset-password"), Token: token},
		Closing: "If it was not you, ignore this email. No one can use the account without it.",
	}
}

func (a *App) resetLetter(u domain.User, token string) mail.Letter {
	return mail.Letter{
		Kind:    "password-reset",
		To:      u.Email,
		Subject: "Set a new password",
		Paragraphs: []string{
			"Someone, probably you, asked for a new password for your account at " + a.publicURL + ".",
			"Set it with this link. It works once, for ten minutes. Using it ends all your sessions.",
		},
		Action:  mail.Action{Label: "Set a new password", Page: a.page("reset-password"), Token: token},
		Closing: "If it was not you, ignore this email. Your password stays the same.",
	}
}

func (a *App) invitationLetter(v domain.Invitation, organization domain.Organization, token string) mail.Letter {
	return mail.Letter{
		Kind:    mailInvitation,
		To:      v.Email,
		Subject: "You are invited to " + mail.Quote(organization.Name),
		Paragraphs: []string{
			fmt.Sprintf("%s invites you to the organization %s at %s, as %s.",
				mail.Quote(v.InvitedBy.Name), mail.Quote(organization.Name), a.publicURL, v.Role),
			"Sign in, or sign up, with this email address to accept. The invitation works once, until " +
				v.ExpiresAt.Format("2 January 2006, 15:04") + " UTC.",
		},
		Action:  mail.Action{Label: "Accept the invitation", Page: a.page("invitation"), Token: token},
		Closing: "If you do not know who this is, ignore this email.",
	}
}

// noticeLetter tells a person what was done to their account, so that they notice
// when it was not them.
func (a *App) noticeLetter(kind string, u domain.User, subject, what string, from domain.Origin) mail.Letter {
	where := "from an unknown address"
	if from.IP != "" {
		where = "from the address " + from.IP
	}
	return mail.Letter{
		Kind:       kind,
		To:         u.Email,
		Subject:    subject,
		Paragraphs: []string{fmt.Sprintf("%s at %s, %s, %s.", what, a.publicURL, a.now().Format("on 2 January 2006 at 15:04 UTC"), where)},
		Action:     mail.Action{Label: "Look at your account", Page: a.page("account")},
		Closing:    "If it was not you, set a new password immediately. That ends every session.",
	}
}
