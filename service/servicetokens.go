package service

import (
	"context"
	"crypto/hmac"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// issuedServiceToken is what CreateServiceToken answers. The text is never stored.
type issuedServiceToken struct {
	Token domain.ServiceToken
	text  domain.Token
	made  bool // now, and not by the request that this one repeats
}

// CreateServiceToken makes a token of a service account, which cannot be had again
// except by the same Idempotency-Key. It needs service_accounts:write and a role no less
// than that of the account; for one that may delete projects, also a fresh sign-in,
// unless the account itself asks. One token too many gives ceiling_reached.
func (o *Organization) CreateServiceToken(
	ctx context.Context, id domain.UserID, spec domain.ServiceTokenSpec,
) (domain.ServiceToken, domain.Token, error) {
	if err := o.Authorize(domain.ServiceAccountsWrite); err != nil {
		return domain.ServiceToken{}, domain.Token{}, err
	}
	if err := spec.Validate(o.app.now()); err != nil {
		return domain.ServiceToken{}, domain.Token{}, err
	}
	r, err := o.app.newRequest(o.caller, spec.IdempotencyKey.Reveal(), "createServiceToken", []any{o.organization.ID, id}, spec)
	if err != nil {
		return domain.ServiceToken{}, domain.Token{}, err
	}
	answer, err := once(ctx, o.app, r, func(ctx context.Context, tx *repository.Store, random source) (issuedServiceToken, error) {
		return o.addServiceToken(ctx, tx, id, spec, random)
	}, func(ctx context.Context, tx *repository.Store, answer *issuedServiceToken, random source) error {
		return o.reissueServiceToken(ctx, tx, id, answer, random)
	})
	if spec.TokenOnce && !answer.made {
		return answer.Token, domain.Token{}, err
	}
	return answer.Token, answer.text, err
}

func (o *Organization) addServiceToken(
	ctx context.Context, tx *repository.Store, id domain.UserID, spec domain.ServiceTokenSpec, random source,
) (issuedServiceToken, error) {
	var none issuedServiceToken
	account, err := o.lockForToken(ctx, tx, id)
	if err != nil {
		return none, err
	}
	now := o.app.now()
	switch n, err := tx.CountServiceTokens(ctx, id, now); {
	case err != nil:
		return none, err
	case n >= domain.MaxServiceTokens:
		return none, domain.Errorf(domain.CodeCeilingReached,
			"A service account can have at most %d tokens. Delete one that no program uses.", domain.MaxServiceTokens)
	}
	text, err := o.app.newServiceToken(random)
	if err != nil {
		return none, err
	}
	token := domain.ServiceToken{
		ID:        text.ID(),
		Name:      spec.Name,
		Prefix:    text.Prefix(),
		CreatedAt: now,
		ExpiresAt: spec.Expiry(now),
	}
	origin := o.caller.Origin()
	session := domain.Session{
		ID:            domain.NewID[domain.SessionID](now),
		UserID:        id,
		CreatedAt:     now,
		LastUsedAt:    domain.Forever, // so that it idles out at no node, of whatever version
		ExpiresAt:     token.ExpiresAt,
		IP:            origin.IP,
		UserAgent:     origin.UserAgent,
		RefreshDigest: randomBytes(32), // of no token: it is not refreshed
	}
	if session.ExpiresAt.IsZero() {
		session.ExpiresAt = domain.Forever
	}
	err = tx.CreateServiceToken(ctx, session, token, o.app.keyring.serviceDigest(session.ID, text))
	if domain.CodeOf(err) == domain.CodeConflict {
		return none, errTaken
	}
	if err != nil {
		return none, err
	}
	return issuedServiceToken{token, text, true}, o.recordServiceToken(ctx, tx, "service_token.created", token,
		domain.Diff(nil, serviceTokenFields(account, token)))
}

// reissueServiceToken derives the token of an answer that was lost, while it works.
func (o *Organization) reissueServiceToken(
	ctx context.Context, tx *repository.Store, id domain.UserID, answer *issuedServiceToken, random source,
) error {
	if _, err := o.lockForToken(ctx, tx, id); err != nil {
		return ended(err)
	}
	text, err := o.app.newServiceToken(random)
	if err != nil {
		return err
	}
	secret, err := tx.ServiceSecret(ctx, text.ID())
	if err != nil {
		return ended(err)
	}
	if !hmac.Equal(secret.Digest, o.app.keyring.serviceDigest(secret.Session, text)) {
		return errEnded()
	}
	answer.text = text
	return nil
}

// lockForToken returns a service account of which the caller may make a token.
func (o *Organization) lockForToken(ctx context.Context, tx *repository.Store, id domain.UserID) (domain.ServiceAccount, error) {
	account, err := o.lockServiceAccount(ctx, tx, id)
	if err != nil {
		return account, err
	}
	caller, _ := o.caller.User()
	if account.MayDeleteProjects && caller.User.ID != id {
		err = o.requireFreshSignIn()
	}
	return account, err
}

func (a *App) newServiceToken(random source) (domain.Token, error) {
	return domain.NewTaggedToken(domain.ServiceTokenPrefix, domain.Live, random, a.keyring.serviceTag)
}

// ListServiceTokens returns the tokens of a service account that have not expired,
// newest first. It needs service_accounts:read.
func (o *Organization) ListServiceTokens(
	ctx context.Context, id domain.UserID, p domain.Page,
) (domain.List[domain.ServiceToken], error) {
	if _, err := o.GetServiceAccount(ctx, id); err != nil {
		return domain.List[domain.ServiceToken]{}, err
	}
	return o.app.store.ListServiceTokens(ctx, id, o.app.now(), p)
}

// DeleteServiceToken ends a token of a service account: here immediately, on other nodes
// within a second. It needs service_accounts:write and a role no less than that of the
// account.
func (o *Organization) DeleteServiceToken(ctx context.Context, id domain.UserID, token domain.TokenID) error {
	if err := o.Authorize(domain.ServiceAccountsWrite); err != nil {
		return err
	}
	return o.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		account, err := o.lockServiceAccount(ctx, tx, id)
		if err != nil {
			return err
		}
		deleted, err := tx.DeleteServiceToken(ctx, id, token)
		if err != nil {
			return err
		}
		return o.recordServiceToken(ctx, tx, "service_token.deleted", deleted, domain.Diff(serviceTokenFields(account, deleted), nil))
	})
}

func (o *Organization) recordServiceToken(
	ctx context.Context, tx *repository.Store, action string, t domain.ServiceToken, changes domain.Changes,
) error {
	return o.app.record(ctx, tx, o.caller, domain.Event{
		Action:         action,
		Target:         domain.Target{Kind: "service_token", ID: string(t.ID), Name: t.Name},
		OrganizationID: o.organization.ID,
		Changes:        changes,
	})
}

// serviceTokenFields are what the audit trail shows of a token of a service account.
func serviceTokenFields(a domain.ServiceAccount, t domain.ServiceToken) map[string]any {
	return map[string]any{
		"name":            t.Name,
		"prefix":          t.Prefix,
		"expires_at":      moment(t.ExpiresAt),
		"service_account": a.ID,
	}
}
