package service

import (
	"context"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// preparePassword returns the form in which a password is hashed: NFC with spaces
// of any kind as the ASCII space, as RFC 8265's OpaqueString has it, so that it
// is the same from every keyboard. Control characters are kept; 0.1 took them.
func preparePassword(s string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, s))
}

// passwordForms are the passwords that a stored hash may be of: the prepared form
// and, for hashes of 0.1 and only where it differs, the password as it was sent.
func passwordForms(sent string) []string {
	if prepared := preparePassword(sent); prepared != sent {
		return []string{prepared, sent}
	}
	return []string{sent}
}

// canonicalEmail is domain.NormalizeEmail with an international domain in
// Unicode, so that it and its punycode are one address. A domain that is neither
// is left as it is.
func canonicalEmail(s string) string {
	s = domain.NormalizeEmail(s)
	local, host, _ := strings.Cut(s, "@")
	if name, err := idna.Lookup.ToUnicode(host); err == nil {
		s = domain.NormalizeEmail(local + "@" + name)
	}
	return s
}

// emailForms are the forms under which an address may be stored: the canonical
// one and, from 0.1, the one in punycode.
func emailForms(s string) []string {
	s = canonicalEmail(s)
	local, host, _ := strings.Cut(s, "@")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil || ascii == host {
		return []string{s}
	}
	return []string{s, local + "@" + ascii}
}

// userByEmail returns the account with an address and the hash of its password.
// Where 0.1 made one account for each form of a domain, the confirmed one is
// meant, and then the one with the canonical form.
func (a *App) userByEmail(ctx context.Context, store *repository.Store, email string) (user domain.User, hash string, err error) {
	found := false
	for _, form := range emailForms(email) {
		u, h, err := store.GetUserByEmail(ctx, form)
		if domain.CodeOf(err) == domain.CodeNotFound {
			continue
		}
		if err != nil {
			return domain.User{}, "", err
		}
		if !found || u.EmailVerified && !user.EmailVerified {
			user, hash, found = u, h, true
		}
	}
	if !found {
		return domain.User{}, "", domain.NotFound()
	}
	return user, hash, nil
}

// EmailTwins returns pairs of accounts that 0.1 made for two forms of one address,
// the one that sign-in means first. It is for doctor.
func EmailTwins(ctx context.Context, store *repository.Store) (pairs [][2]domain.UserID, err error) {
	stored, err := store.PunycodeEmails(ctx)
	if err != nil {
		return nil, err
	}
	for _, email := range stored {
		var twins []domain.User
		for _, form := range emailForms(email) {
			u, _, err := store.GetUserByEmail(ctx, form)
			if domain.CodeOf(err) == domain.CodeNotFound {
				continue
			}
			if err != nil {
				return nil, err
			}
			twins = append(twins, u)
		}
		if len(twins) < 2 {
			continue
		}
		if !twins[0].EmailVerified && twins[1].EmailVerified {
			twins[0], twins[1] = twins[1], twins[0]
		}
		pairs = append(pairs, [2]domain.UserID{twins[0].ID, twins[1].ID})
	}
	return pairs, nil
}
