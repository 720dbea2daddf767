package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// isServiceToken reports whether a text is to be proved as a token of a service account.
func isServiceToken(text string) bool { return strings.HasPrefix(text, domain.ServiceTokenPrefix+"_") }

// reportServiceToken ends a token of a service account that has leaked. It always ends:
// such a token may do what a member may do, and another one is made in a moment.
func (a *App) reportServiceToken(ctx context.Context, leak domain.Leak, from domain.Origin) (LeakOutcome, error) {
	user, _, err := a.userOfServiceToken(ctx, leak.Token.Reveal())
	if domain.CodeOf(err) == domain.CodeInvalidToken {
		return LeakUnknown, nil
	}
	if err != nil {
		return "", err
	}
	token, err := domain.ParseToken(leak.Token.Reveal())
	if err != nil {
		return "", err
	}
	of, err := a.store.ListOrganizationsOf(ctx, user.User.ID, domain.Page{Limit: 1})
	if err != nil || len(of.Items) == 0 {
		return LeakUnknown, err
	}
	o := &Organization{grant: grant{app: a, caller: domain.NewPrincipal(nil, user, from)}, organization: of.Items[0].Organization}
	err = a.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		deleted, err := tx.DeleteServiceToken(ctx, user.User.ID, token.ID())
		if err != nil {
			return err
		}
		notice := func(owner domain.User) mail.Letter { return o.serviceLeakLetter(owner, user.User, leak) }
		if err := a.noticeOwners(ctx, tx, o.organization.ID, string(o.organization.ID), notice); err != nil {
			return err
		}
		changes := domain.Changes{"leaked_token": {nil, deleted.Prefix}}
		addPlace(changes, leak)
		return o.recordServiceToken(ctx, tx, "service_token.leaked", deleted, changes)
	})
	if domain.CodeOf(err) == domain.CodeNotFound { // it was deleted in between
		return LeakUnknown, nil
	}
	return LeakRevoked, err
}

func (o *Organization) serviceLeakLetter(owner, account domain.User, leak domain.Leak) mail.Letter {
	return mail.Letter{
		Kind:    mailKeyLeaked,
		To:      owner.Email,
		Subject: "A token of the service account " + mail.Quote(account.Name) + " has leaked",
		Paragraphs: []string{
			fmt.Sprintf("A token of the service account %s of the organization %s at %s was reported as leaked.%s",
				mail.Quote(account.Name), mail.Quote(o.organization.Name), o.app.publicURL, foundOn(leak)),
			"The token has ended. Make another one for the program that used it.",
		},
		Action:  mail.Action{Label: "Look at the organization", Page: o.app.page("organizations/" + string(o.organization.ID))},
		Closing: "The audit log of the organization says where the report came from.",
	}
}
