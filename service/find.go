package service

import (
	"context"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// maxFound is how many keys FindKeys returns at most.
const maxFound = 20

// FoundKey is a key with where it belongs.
type FoundKey struct {
	Key          domain.Key
	Organization domain.Organization
	Project      *Project // the handle of who asked
}

// FindKeys returns the keys that a text names, newest first, of all organizations that
// the caller is a member of: by a token or its public part, by the id of the key, or by
// an external id. It proves nothing, so a token that was cut off finds its key, too, and
// its secret is not looked at. It needs keys:read where the key is.
func (a *App) FindKeys(ctx context.Context, caller domain.Principal, text string) ([]FoundKey, error) {
	user, ok := caller.UserID()
	if !ok {
		return nil, errAnonymous()
	}
	name := domain.KeyName{Tokens: a.near.imported.Find(a.keyring.locators(text))}
	switch public := domain.PublicPart(text); {
	case public != text || strings.Count(text, "_") == 2:
		name.Tokens = append(name.Tokens, domain.TokenIDOf(public))
	default:
		name.Text = text
	}
	places, err := a.store.FindKeys(ctx, user, name, maxFound)
	if err != nil {
		return nil, err
	}
	var found []FoundKey
	for _, place := range places {
		f, err := a.foundKey(ctx, caller, place)
		switch {
		case err == nil:
			found = append(found, f)
		case domain.CodeOf(err) != domain.CodeNotFound && domain.CodeOf(err) != domain.CodeForbidden:
			return nil, err
		}
	}
	return found, nil
}

// foundKey reads a key through the handles of the caller, as any other page does.
func (a *App) foundKey(ctx context.Context, caller domain.Principal, at domain.KeyPlace) (FoundKey, error) {
	p, err := a.Project(ctx, caller, at.Project)
	if err != nil {
		return FoundKey{}, err
	}
	key, err := p.GetKey(ctx, at.Key)
	if err != nil {
		return FoundKey{}, err
	}
	o, err := a.Organization(ctx, caller, p.project.OrganizationID)
	if err != nil {
		return FoundKey{}, err
	}
	organization, err := o.Get()
	return FoundKey{Key: key, Organization: organization.Organization, Project: p}, err
}
