package service

import (
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// requireWidening returns scope_not_held when a change makes a key do more or last
// longer than the caller may give. Every change to a key goes through it. A key
// that changes itself gets nothing that the database did not give it: neither a
// later end nor another scope, though an older copy of it still holds that, nor
// another address.
func (p *Project) requireWidening(before, after domain.Key) error {
	if !after.Widens(before) {
		return nil
	}
	if caller, ok := p.caller.ProvenKey(); ok && caller.ID() == before.ID {
		if after.Outlasts(before) {
			return errOutlasts(before.ExpiresAt)
		}
		if added := after.Exceeds(before); len(added) > 0 {
			return errNotHeld(added)
		}
		if after.Outreaches(before) {
			return errOutreaches()
		}
	}
	return p.requireToGive(after)
}

// requireToGive returns scope_not_held unless the caller may hand out the key:
// the caller holds all its scopes and, if the key can make and prolong keys
// itself, the calling key lasts as long and may be used from wherever the key may
// be. Otherwise a key that ends, or that is bound to some networks, could pass its
// power over keys on to another key that is not. It checks every new key and every
// new token, and tokens that are handed out again.
func (p *Project) requireToGive(k domain.Key) error {
	if err := p.requireScopes(k.Scopes); err != nil {
		return err
	}
	caller, ok := p.caller.ProvenKey()
	if !ok || !k.Holds(domain.KeysWrite) {
		return nil
	}
	switch own := caller.Key(); {
	case k.Outlasts(own):
		return errOutlasts(own.ExpiresAt)
	case k.Outreaches(own):
		return errOutreaches()
	}
	return nil
}

func errOutlasts(end time.Time) error {
	return domain.Errorf(domain.CodeScopeNotHeld,
		"This API key ends at %s and cannot give itself, or a key that holds %s, a later end. A member can.",
		end.UTC().Format(time.RFC3339), domain.KeysWrite)
}

func errOutreaches() error {
	return domain.Errorf(domain.CodeScopeNotHeld,
		"This API key is bound to its allowed_ips, and cannot give itself, or a key that holds %s, other ones. A member can.",
		domain.KeysWrite)
}
