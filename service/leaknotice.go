package service

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// mailKeyLeaked is the kind of emails about leaked keys.
const mailKeyLeaked = "key-leaked"

// noticedOwners is how many owners of an organization get an email about a leaked key.
const noticedOwners = 20

// noticeLeak writes to the owners of the organization that a key has leaked, in the
// transaction that does something about it.
func (p *Project) noticeLeak(ctx context.Context, tx *repository.Store, k domain.Key, outcome LeakOutcome, leak domain.Leak) error {
	letter := func(owner domain.User) mail.Letter { return p.leakLetter(owner, k, outcome, leak) }
	return p.app.noticeOwners(ctx, tx, p.project.OrganizationID, string(p.project.ID), letter)
}

// noticeOwners writes to the owners of an organization that something of it has leaked.
func (a *App) noticeOwners(
	ctx context.Context, tx *repository.Store, of domain.OrganizationID, payer string, write func(owner domain.User) mail.Letter,
) error {
	owners, err := tx.ListOwners(ctx, domain.Organization{ID: of}.Scope(), noticedOwners)
	if err != nil {
		return err
	}
	for _, owner := range owners {
		letter := write(owner)
		err := a.post(ctx, tx, posting{
			kind:   mailKeyLeaked,
			to:     owner.Email,
			letter: &letter,
			payer:  payer,
			known:  true,
			notice: true,
			good:   sendLetters,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// leakLetter has nothing of a reported address except its host: anyone who has a token
// chooses that address, and people follow links in emails.
func (p *Project) leakLetter(owner domain.User, k domain.Key, outcome LeakOutcome, leak domain.Leak) mail.Letter {
	what := "The key is revoked. Requests with it are refused."
	switch {
	case outcome == LeakNotified:
		what = "The key keeps working, as the settings of the project say. Rotate or revoke it now: anyone who has read the token " +
			"can use it."
	case k.RevokedAt.IsZero():
		what = "It was the token from before a rotation. That token has ended, and the key keeps working with its new one."
	}
	return mail.Letter{
		Kind:    mailKeyLeaked,
		To:      owner.Email,
		Subject: "A token of the key " + mail.Quote(k.Name) + " has leaked",
		Paragraphs: []string{
			fmt.Sprintf("A token of the key %s of the project %s at %s was reported as leaked.%s",
				mail.Quote(k.Name), mail.Quote(p.project.Name), p.app.publicURL, foundOn(leak)),
			what,
		},
		Action:  mail.Action{Label: "Look at the key", Page: p.app.page("projects/" + string(p.project.ID) + "/keys/" + string(k.ID))},
		Closing: "The audit log of the organization says where the report came from.",
	}
}

// foundOn says where a token was found: the host alone.
func foundOn(leak domain.Leak) string {
	host := hostOf(leak.URL)
	if host == "" {
		return ""
	}
	return " It was found on the host " + mail.Quote(host) + "."
}

// hostOf returns the host of an address if it is a plain one.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || len(u.Hostname()) > 253 {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
