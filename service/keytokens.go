package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

// Bounds of what an access token of a key says.
const (
	maxTokenScope      = 1024 // bytes
	maxTokenExternalID = 256  // bytes; a longer one is left out
)

// Why a key gets no access token. The API has OAuth's words for them.
var (
	ErrAskEachTime   = errors.New("a key with limits or allowed_ips gets no access token: each of its requests has to be asked about")
	ErrInvalidScope  = errors.New("the key does not hold a scope that was asked for, or they are too long for an access token")
	ErrInvalidTarget = errors.New("the resource is not the audience of the project")
)

// Prove is ProveKey for the keys of this issuer's project: a key of another project is
// invalid_api_key, like one that does not exist.
func (i Issuer) Prove(ctx context.Context, token string, from Sender) (domain.ProvenKey, error) {
	now := i.app.now()
	key, err := i.app.prove(ctx, token, asker{project: i.project.ID, from: from, now: now})
	if err == nil && key.Tenant().Project.ID != i.project.ID {
		err = invalidKey()
	}
	if err != nil {
		return domain.ProvenKey{}, err
	}
	return i.app.usable(ctx, key, token, from, now)
}

// Subject is Prove for a token that a service was sent: what a verification finds,
// before scopes and limits. A key that is bound to networks may come from anywhere:
// it gets no access token.
func (i Issuer) Subject(ctx context.Context, token string) (domain.ProvenKey, error) {
	v, err := i.app.verify(ctx, Question{Token: token}, asker{project: i.project.ID, now: i.app.now()})
	switch {
	case err != nil:
		return domain.ProvenKey{}, err
	case v.Code == VerifiedAddressNotAllowed:
		return domain.ProvenKey{}, ErrAskEachTime
	case !v.Valid():
		return domain.ProvenKey{}, invalidKey()
	}
	return v.Key, nil
}

// KeyToken is an access token of a key.
type KeyToken struct {
	Text  string
	Life  time.Duration
	Scope string // separated by spaces
}

// Issue returns an access token of a proven key of the project, and counts that as a
// use of the key. It says the project's own scopes that the key holds, or those of them
// that are asked for. resource is empty or the audience. Errors: those of this file.
func (i Issuer) Issue(key domain.ProvenKey, scopes []domain.Scope, resource string) (KeyToken, error) {
	switch {
	case key.Bound() || key.Limited():
		return KeyToken{}, ErrAskEachTime
	case resource != "" && resource != i.Audience():
		return KeyToken{}, ErrInvalidTarget
	}
	fields := key.Fields()
	scope, ok := tokenScope(&fields, scopes)
	if !ok {
		return KeyToken{}, ErrInvalidScope
	}
	token, err := i.sign(key, scope, time.Duration(i.project.TokenTTL)*time.Second)
	if err == nil {
		i.app.CountUse(key)
	}
	return token, err
}

// tokenScope returns the scopes that a token says: those that are asked for, or all
// that are the project's own. It reports false for a scope that the key does not hold
// or that is Latchkey's, and for too many.
func tokenScope(key *domain.Fields, asked []domain.Scope) (string, bool) {
	var own []string
	for s := range key.Scopes() {
		if !slices.Contains(domain.KeyScopes, s) && (len(asked) == 0 || slices.Contains(asked, s)) {
			own = append(own, string(s))
		}
	}
	for _, s := range asked {
		if !slices.Contains(own, string(s)) {
			return "", false
		}
	}
	scope := strings.Join(own, " ")
	return scope, len(scope) <= maxTokenScope
}

// sign signs a token that lives no longer than life, the key and its secret.
func (i Issuer) sign(key domain.ProvenKey, scope string, life time.Duration) (KeyToken, error) {
	signing, err := i.app.issuing.key(i.app.keyring, i.project, quarterOf(i.app.now()))
	if err != nil {
		return KeyToken{}, err
	}
	now := i.app.now().Truncate(time.Second)
	secret, fields := key.Secret(), key.Fields()
	end := now.Add(life)
	for _, at := range []time.Time{fields.ExpiresAt, secret.ValidUntil} {
		if !at.IsZero() && at.Before(end) {
			end = at.Truncate(time.Second)
		}
	}
	claims := jwt.KeyClaims{
		Issuer:      i.URL(),
		Audience:    i.Audience(),
		Key:         fields.ID,
		Token:       fields.TokenID,
		Scope:       scope,
		ExternalID:  fields.ExternalID,
		Environment: fields.Environment,
		IssuedAt:    now,
		ExpiresAt:   end,
	}
	if len(claims.ExternalID) > maxTokenExternalID {
		claims.ExternalID = ""
	}
	text, err := signing.Sign(claims)
	if err == nil && len(text) > jwt.MaxProjectToken {
		err = ErrInvalidScope
	}
	return KeyToken{Text: text, Life: end.Sub(now), Scope: scope}, err
}

// Introspection is what is known about a token of a key.
type Introspection struct {
	Key      domain.Key // the zero value: the token is not active
	Scope    string
	Audience string
	IssuedAt time.Time
	Until    time.Time // zero: it does not end by itself
}

// Active reports whether the token is good.
func (t Introspection) Active() bool { return t.Key.ID != "" }

// Introspect says what is known about a token of a key of the project: about the key's
// own token what VerifyKey says, and for an access token what the key is now. Anything
// else is not active. It needs keys:verify; its errors are about the question.
func (i Issuer) Introspect(ctx context.Context, caller domain.Principal, token, ip string) (Introspection, error) {
	project, err := i.app.Project(ctx, caller, i.project.ID)
	if err != nil {
		return Introspection{}, err
	}
	if strings.Count(token, ".") == 2 {
		t, err := i.introspectSigned(ctx, project, token)
		if err != nil || t.Active() {
			return t, err
		}
	}
	v, err := project.VerifyKey(ctx, Question{Token: token, IP: ip})
	if err != nil || !v.Valid() {
		return Introspection{}, err
	}
	fields := v.Key.Fields()
	scope, _ := tokenScope(&fields, nil) // whatever its length: it is in no header
	t := Introspection{
		Key:      v.Key.Key(),
		Scope:    scope,
		Audience: i.Audience(),
		IssuedAt: fields.CreatedAt,
		Until:    fields.ExpiresAt,
	}
	if end := v.Key.Secret().ValidUntil; !end.IsZero() && (t.Until.IsZero() || end.Before(t.Until)) {
		t.Until = end
	}
	return t, nil
}

// introspectSigned is Introspect for an access token.
func (i Issuer) introspectSigned(ctx context.Context, project *Project, token string) (Introspection, error) {
	if err := project.Authorize(domain.KeysVerify); err != nil {
		return Introspection{}, err
	}
	keys, err := i.Keys()
	if err != nil {
		return Introspection{}, err
	}
	now := i.app.now()
	claims, err := jwt.VerifyProject(keys, i.URL(), i.Audience(), token, now)
	if err != nil {
		return Introspection{}, nil //nolint:nilerr // a token that is not good is an answer
	}
	key, err := i.app.store.GetKey(ctx, i.project.Scope(), claims.Key)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound || err == nil && key.Status(now) != domain.KeyActive:
		return Introspection{}, nil
	case err != nil:
		return Introspection{}, err
	}
	var held []string
	for s := range strings.FieldsSeq(claims.Scope) {
		if key.Holds(domain.Scope(s)) {
			held = append(held, s)
		}
	}
	return Introspection{
		Key:      key,
		Scope:    strings.Join(held, " "),
		Audience: claims.Audience,
		IssuedAt: claims.IssuedAt,
		Until:    claims.ExpiresAt,
	}, nil
}
