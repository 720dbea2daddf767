package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

// forwardedLife is how long an access token lives at most that a proxy hands to an API.
// It is for one hop.
const forwardedLife = time.Minute

// Forwarding is what a proxy asks about a request that it has received.
type Forwarding struct {
	Question // Token is the key, or an access token of the project if Signed is set; Cost and Tag are empty

	Project domain.ProjectID // to which the key must belong
	Route   string           // what the route needs, as the proxy writes it: names what may be kept
	Signed  bool
}

// Forwarded is a request that may pass.
type Forwarded struct {
	Key      domain.ProvenKey
	Identity *Identity       // nil: the request may not pass
	Limits   domain.Decision // what the key's limits say
}

// Identity is what the API behind a proxy gets instead of the key. Its texts are visible
// ASCII: every other byte, and '%', is percent-encoded.
type Identity struct {
	Authorization string // the scheme Bearer, and an access token of the key
	Key           string
	ExternalID    string // empty: it has none
	Scope         string // separated by spaces
}

// Forward judges a request that a proxy has received. It proves the key first: what is not
// proved costs no look-up of the project. It takes what the request costs from the limits of
// the key. Errors: those of ProveKey, all of which are about a key of the project alone;
// invalid_token, wrong_environment, insufficient_scope; misconfigured for what no key
// of that name can satisfy; those of limits.
func (a *App) Forward(ctx context.Context, f Forwarding, from Sender) (Forwarded, error) {
	asks := asker{project: f.Project, from: from, now: a.now()}
	v, limit, err := a.forwarded(ctx, f, asks)
	if err != nil {
		a.forwards.refused(err)
		return Forwarded{}, err
	}
	var id *Identity
	if v.Valid() {
		if id, err = a.identity(v.Key, f, limit, asks.now); err == nil {
			err = v.spend(ctx, a, nil)
		}
		if err != nil {
			a.forwards.refused(err)
			return Forwarded{Key: v.Key}, err
		}
	}
	a.forwards.count(domain.Outcome(v.Code))
	switch {
	case v.Valid():
		a.usage.meter.CountValid(v.Key)
		return Forwarded{Key: v.Key, Identity: id, Limits: v.Limits}, nil
	case !v.Key.IsZero():
		a.usage.meter.Count(v.Key, domain.Outcome(v.Code))
	}
	return Forwarded{Key: v.Key, Limits: v.Limits}, v.refusal()
}

// forwarded judges the key of a request, except for its limits.
func (a *App) forwarded(ctx context.Context, f Forwarding, asks asker) (Verification, *jwt.KeyClaims, error) {
	if f.Signed {
		return a.forwardedSigned(ctx, f, asks)
	}
	key, err := a.prove(ctx, f.Token, asks)
	switch {
	case domain.CodeOf(err) == domain.CodeInvalidAPIKey:
		return Verification{Code: VerifiedNotFound}, nil, nil
	case err != nil:
		return Verification{}, nil, err
	case key.Tenant().Project.ID != f.Project:
		if _, err := a.Issuer(ctx, f.Project, asks.from); err != nil {
			return Verification{}, nil, noSuchProject(err)
		}
		return Verification{Code: VerifiedNotFound}, nil, nil
	}
	return a.judge(ctx, key, f.Question, asks.now), nil, nil
}

// forwardedSigned is forwarded for an access token of the project. The signature proves
// the token, and the key is what it is now: a revoked one is refused. The scopes of the
// token are a limit to those of the key.
func (a *App) forwardedSigned(ctx context.Context, f Forwarding, asks asker) (Verification, *jwt.KeyClaims, error) {
	issuer, err := a.Issuer(ctx, f.Project, asks.from)
	if err != nil {
		return Verification{}, nil, noSuchProject(err)
	}
	keys, err := issuer.Keys()
	if err != nil {
		return Verification{}, nil, err
	}
	claims, err := jwt.VerifyProject(keys, issuer.URL(), issuer.Audience(), f.Token, asks.now)
	if err != nil {
		return Verification{}, nil, err
	}
	key, err := a.keyOf(ctx, claims.Token, asks)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound || err == nil && key.ID() != claims.Key:
		return Verification{Code: VerifiedNotFound}, nil, nil
	case err != nil:
		return Verification{}, nil, err
	}
	q := f.Question
	q.Token = ""
	v := a.judge(ctx, key, q, asks.now)
	for _, s := range f.Scopes {
		if v.Valid() && !says(claims.Scope, s) {
			v.Code = VerifiedInsufficientScope
		}
	}
	return v, &claims, nil
}

// says reports whether a scope is among those of an access token.
func says(scopes string, s domain.Scope) bool {
	for each := range strings.FieldsSeq(scopes) {
		if each == string(s) {
			return true
		}
	}
	return false
}

// noSuchProject is the error of a proxy that asks about a project that does not exist.
func noSuchProject(err error) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return Misconfigured("The project does not exist.")
	}
	return err
}

// Misconfigured is the error for a proxy that asks in a way that no key can satisfy.
func Misconfigured(detail string) error {
	return domain.Errorf(domain.CodeMisconfigured, "The proxy in front of this API asks for what no key can have. %s", detail)
}

// identity returns what the API gets about a key that may pass, within the limits of the
// access token that proved it, if one did.
func (a *App) identity(key domain.ProvenKey, f Forwarding, limit *jwt.KeyClaims, now time.Time) (*Identity, error) {
	if limit != nil {
		return a.makeIdentity(key, f, limit, now)
	}
	kept := identityName{key.TokenID(), f.Route}
	if id := a.identities.get(kept, key, now); id != nil {
		return id, nil
	}
	id, err := a.makeIdentity(key, f, nil, now)
	if err == nil {
		a.identities.put(kept, key, id, now)
	}
	return id, err
}

func (a *App) makeIdentity(key domain.ProvenKey, f Forwarding, limit *jwt.KeyClaims, now time.Time) (*Identity, error) {
	fields := key.Fields()
	external := headerText(fields.ExternalID)
	if len(external) > maxTokenExternalID {
		return nil, Misconfigured(fmt.Sprintf("A header holds an external_id of at most %d bytes.", maxTokenExternalID))
	}
	life := forwardedLife
	if limit != nil {
		life = min(life, limit.ExpiresAt.Sub(now))
	}
	issuer := Issuer{a, key.Tenant().Project}
	scope, fits := forwardedScope(key, &fields, f.Scopes, limit)
	token, err := issuer.sign(key, scope, life)
	if !fits || errors.Is(err, ErrInvalidScope) {
		if len(f.Scopes) > 0 {
			return nil, Misconfigured("The scopes of a route must be the project's own, and few enough for an access token.")
		}
		token, err = issuer.sign(key, "", life) // too many for a header: routes name those that they need
	}
	return &Identity{
		Authorization: "Bearer " + token.Text,
		Key:           string(fields.ID),
		ExternalID:    external,
		Scope:         token.Scope,
	}, err
}

// forwardedScope returns the scopes that the API gets: those of the route, or all that
// the key may use.
func forwardedScope(key domain.ProvenKey, fields *domain.Fields, asked []domain.Scope, limit *jwt.KeyClaims) (string, bool) {
	if limit != nil && len(asked) == 0 {
		return heldOf(key, limit.Scope), true
	}
	scope, ok := tokenScope(fields, asked)
	if !ok {
		scope = ""
	}
	return scope, ok
}

// heldOf returns those of the scopes of an access token that the key still holds.
func heldOf(key domain.ProvenKey, scopes string) string {
	var held []string
	for s := range strings.FieldsSeq(scopes) {
		if key.Holds(domain.Scope(s)) {
			held = append(held, s)
		}
	}
	return strings.Join(held, " ")
}

// headerText percent-encodes every byte that is not visible ASCII, and '%'.
func headerText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
