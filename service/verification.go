package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Verification is the answer to whether a token is good.
type Verification struct {
	Code VerificationCode
	Key  domain.ProvenKey // zero until the secret has been proved
	Keep domain.Keeping   // how long the answer may be kept

	Limits  domain.Decision // for valid and what limits refuse: what the key's limits say
	SpendID string          // names what a question with a cost has taken from them; empty: nothing
}

// Valid reports whether the token is good.
func (v Verification) Valid() bool { return v.Code == VerifiedValid }

// VerificationCode says why a token is good or not.
type VerificationCode string

// The answers of VerifyKey.
const (
	VerifiedValid             VerificationCode = "valid"
	VerifiedNotFound          VerificationCode = "not_found" // also a key of another project
	VerifiedRevoked           VerificationCode = "revoked"
	VerifiedExpired           VerificationCode = "expired"
	VerifiedInsufficientScope VerificationCode = "insufficient_scope"
	VerifiedWrongEnvironment  VerificationCode = "wrong_environment"
	VerifiedAddressNotAllowed VerificationCode = "address_not_allowed"
	VerifiedProjectDisabled   VerificationCode = "project_disabled"
	VerifiedRateLimited       VerificationCode = "rate_limited"
	VerifiedQuotaExceeded     VerificationCode = "quota_exceeded"
	VerifiedCreditsExhausted  VerificationCode = "credits_exhausted"
)

// refusal returns the error that a client gets that sends a key with this answer; nil
// for one that is good.
func (v *Verification) refusal() error {
	switch v.Code {
	case VerifiedValid:
		return nil
	case VerifiedNotFound:
		return invalidKey()
	case VerifiedRevoked:
		return unusable(domain.CodeKeyRevoked)
	case VerifiedExpired:
		return unusable(domain.CodeKeyExpired)
	case VerifiedProjectDisabled:
		return unusable(domain.CodeProjectDisabled)
	case VerifiedAddressNotAllowed:
		return unusable(domain.CodeAddressNotAllowed)
	case VerifiedWrongEnvironment:
		return domain.Errorf(domain.CodeWrongEnvironment, "The API key is of the other environment.")
	case VerifiedInsufficientScope:
		return domain.Errorf(domain.CodeInsufficientScope, "The API key lacks a scope that this needs.")
	}
	return v.Limits.Err()
}

// Question is what VerifyKey is asked.
type Question struct {
	Token  string
	Scopes []domain.Scope // that the key must hold, all of them
	Cost   domain.Cost    // of the request that the client has made
	Tag    string         // that the question is counted under, too; empty: none
	IP     string         // the address of the client; empty: it is not known

	Environment domain.Environment // that the key must be of; empty: any
}

// Validate returns validation_failed, naming every field that is wrong.
func (q Question) Validate() error {
	wrong := domain.Invalid(domain.FieldErrors(q.Cost.Validate()))
	if q.Tag != "" {
		wrong.Tag("/tag", q.Tag)
	}
	if _, ok := domain.ParseAddress(q.IP); !ok && q.IP != "" {
		wrong.Add("/ip", "must be an IP address, such as 203.0.113.7 or 2001:db8::7")
	}
	return wrong.Err()
}

// VerifyKey answers whether a token is of a usable key of this project that may be
// used from the client's address, holds all scopes and whose limits admit the cost, which is then taken from them.
// A question that is refused earlier costs nothing. A token of another project is not_found, like one that does
// not exist. It needs keys:verify; its error is about the question, never about
// the token.
func (p *Project) VerifyKey(ctx context.Context, q Question) (Verification, error) {
	if err := p.Authorize(domain.KeysVerify); err != nil {
		return Verification{}, err
	}
	if err := q.Validate(); err != nil {
		return Verification{}, err
	}
	v, err := p.app.verify(ctx, q, asker{project: p.project.ID, now: p.app.now()})
	if err == nil && v.Valid() {
		err = v.spend(ctx, p.app, q.Cost)
	}
	v.keep(p.app)
	if err != nil {
		p.app.questions.refused(err)
		return v, err
	}
	p.app.questions.count(domain.Outcome(v.Code))
	p.count(v, q.Tag)
	return v, nil
}

// keep says how long the answer may be kept. While a node does not know of every
// change, it gives no answer to keep.
func (v *Verification) keep(a *App) {
	switch {
	case v.Valid():
		v.Keep = v.Key.Keeping(a.now())
	case v.Code == VerifiedNotFound:
		v.Keep.MaxAge = domain.UnknownAnswer
	}
	if !a.hearsOfChanges() {
		v.Keep.MaxAge = 0
	}
}

// spend takes the cost from the limits of a key that is valid otherwise.
func (v *Verification) spend(ctx context.Context, a *App, cost domain.Cost) error {
	switch v.Limits = a.spend(ctx, v.Key, cost); v.Limits.Code {
	case "":
	case domain.CodeUnavailable:
		return v.Limits.Err()
	default:
		v.Code = VerificationCode(v.Limits.Code)
	}
	if len(cost) > 0 && v.Valid() {
		v.SpendID = a.spendID(v.Key, cost, &v.Limits)
	}
	return nil
}

// count counts an answer: for the key, or for the project if the token is of none
// of its keys; and for the tag, if there is one.
func (p *Project) count(v Verification, tag string) {
	if tag != "" {
		p.app.usage.meter.CountTag(*p.project, tag, domain.Outcome(v.Code))
	}
	switch meter := p.app.usage.meter; {
	case v.Key.IsZero():
		meter.CountUnknown(*p.project)
	case v.Code == VerifiedValid:
		meter.CountValid(v.Key)
	default:
		meter.Count(v.Key, domain.Outcome(v.Code))
	}
}

// VerifyKey is Project.VerifyKey for the keys of all projects. Only the command
// line may ask. It counts as no use and costs nothing.
func (a *App) VerifyKey(ctx context.Context, caller domain.Principal, q Question) (Verification, error) {
	if err := requireSystem(caller); err != nil {
		return Verification{}, err
	}
	if err := q.Validate(); err != nil {
		return Verification{}, err
	}
	return a.verify(ctx, q, asker{now: a.now()})
}

// verify answers for keys of the project that asks, or of all if none does. It leaves
// out the cost.
func (a *App) verify(ctx context.Context, q Question, asks asker) (Verification, error) {
	key, err := a.prove(ctx, q.Token, asks)
	if domain.CodeOf(err) == domain.CodeInvalidAPIKey || err == nil && asks.project != "" && key.Tenant().Project.ID != asks.project {
		return Verification{Code: VerifiedNotFound}, nil
	}
	if err != nil {
		return Verification{}, err
	}
	return a.judge(ctx, key, q, asks.now), nil
}

// judge is verify for a key that has been proved: by the token of the question, or by an
// access token if that is empty.
func (a *App) judge(ctx context.Context, key domain.ProvenKey, q Question, now time.Time) Verification {
	switch key.Unusable(now) {
	case domain.CodeKeyRevoked:
		return Verification{Code: VerifiedRevoked, Key: key}
	case domain.CodeKeyExpired:
		return Verification{Code: VerifiedExpired, Key: key}
	case domain.CodeProjectDisabled:
		return Verification{Code: VerifiedProjectDisabled, Key: key}
	}
	address, _ := domain.ParseAddress(q.IP) // otherwise it is not known
	if !key.Allows(address) {
		return Verification{Code: VerifiedAddressNotAllowed, Key: key}
	}
	a.used(ctx, key, q.Token, now)
	if q.Environment != "" && key.Environment() != q.Environment {
		return Verification{Code: VerifiedWrongEnvironment, Key: key}
	}
	for _, s := range q.Scopes {
		if !key.Holds(s) {
			return Verification{Code: VerifiedInsufficientScope, Key: key}
		}
	}
	return Verification{Code: VerifiedValid, Key: key}
}
