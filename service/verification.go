package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// Verification is the answer to whether a token is good.
type Verification struct {
	Valid   bool
	Code    VerificationCode
	Key     *domain.Key    // once the secret has been proved
	Project domain.Project // when valid
}

// VerificationCode says why a token is good or not.
type VerificationCode string

// The answers of VerifyKey.
const (
	VerifiedValid             VerificationCode = "valid"
	VerifiedNotFound          VerificationCode = "not_found" // also a key of another project
	VerifiedRevoked           VerificationCode = "revoked"
	VerifiedExpired           VerificationCode = "expired"
	VerifiedInsufficientScope VerificationCode = "insufficient_scope"
	VerifiedProjectDisabled   VerificationCode = "project_disabled"
)

// VerifyKey tells whether a token is of a usable key of this project that holds
// all of scopes. A token of another project is not_found, like one that does
// not exist. It needs keys:verify; its error is about the question, never about
// the token.
func (p *Project) VerifyKey(ctx context.Context, token string, scopes []domain.Scope) (Verification, error) {
	if err := p.Require(domain.KeysVerify); err != nil {
		return Verification{}, err
	}
	return p.app.verify(ctx, token, scopes, p.project.ID)
}

// VerifyKey is Project.VerifyKey for the keys of all projects. Only the command
// line may ask.
func (a *App) VerifyKey(ctx context.Context, caller domain.Principal, token string, scopes []domain.Scope) (Verification, error) {
	if err := requireSystem(caller); err != nil {
		return Verification{}, err
	}
	return a.verify(ctx, token, scopes, "")
}

// verify answers for keys of the project, or of all if it is empty.
func (a *App) verify(ctx context.Context, token string, scopes []domain.Scope, project domain.ProjectID) (Verification, error) {
	proven, code, err := a.examine(ctx, token, scopes, project)
	if err != nil || proven.IsZero() {
		return Verification{Code: code}, err
	}
	key := proven.Key()
	return Verification{Valid: code == VerifiedValid, Code: code, Key: &key, Project: proven.Tenant().Project}, nil
}

// ExamineKey is VerifyKey whose answer is not unpacked: the key is zero when it
// has not been proved.
func (p *Project) ExamineKey(ctx context.Context, token string, scopes []domain.Scope) (domain.ProvenKey, VerificationCode, error) {
	if err := p.Require(domain.KeysVerify); err != nil {
		return domain.ProvenKey{}, "", err
	}
	return p.app.examine(ctx, token, scopes, p.project.ID)
}

func (a *App) examine(
	ctx context.Context, token string, scopes []domain.Scope, project domain.ProjectID,
) (domain.ProvenKey, VerificationCode, error) {
	now := a.now()
	key, err := a.prove(ctx, token, asker{project: project, now: now})
	if domain.CodeOf(err) == domain.CodeInvalidAPIKey || err == nil && project != "" && key.Tenant().Project.ID != project {
		return domain.ProvenKey{}, VerifiedNotFound, nil
	}
	if err != nil {
		return domain.ProvenKey{}, "", err
	}
	switch key.Unusable(now) {
	case domain.CodeKeyRevoked:
		return key, VerifiedRevoked, nil
	case domain.CodeKeyExpired:
		return key, VerifiedExpired, nil
	case domain.CodeProjectDisabled:
		return key, VerifiedProjectDisabled, nil
	}
	a.used(ctx, key, token, now)
	for _, s := range scopes {
		if !key.Holds(s) {
			return key, VerifiedInsufficientScope, nil
		}
	}
	return key, VerifiedValid, nil
}
