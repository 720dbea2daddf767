package service

import (
	"context"
	"crypto/hmac"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// CreateKey makes a key of the project and returns it with its token, which is
// stored nowhere and cannot be had again but by the same Idempotency-Key; the
// zero token says that the key was made before (see TokenOnce). It needs
// keys:write and every scope that the key is to hold, else scope_not_held.
func (p *Project) CreateKey(ctx context.Context, spec domain.KeySpec) (domain.Key, domain.Token, error) {
	if err := p.Require(domain.KeysWrite); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	if spec.Environment == "" {
		spec.Environment = domain.Live
	}
	if err := spec.Validate(); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	if err := p.requireScopes(spec.Scopes); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	spec.Scopes = domain.DistinctScopes(spec.Scopes)
	now := p.app.now()
	key := domain.Key{
		ID: domain.NewID[domain.KeyID](now), ProjectID: p.project.ID, Name: spec.Name, Environment: spec.Environment,
		Scopes: append([]domain.Scope{}, spec.Scopes...), ExternalID: spec.ExternalID, Metadata: maps.Collect(maps.All(spec.Metadata)),
		CreatedAt: now, CreatedBy: p.caller.Actor(), ExpiresAt: spec.ExpiresAt.Truncate(time.Microsecond), Revision: 1,
	}
	r, err := p.app.newRequest(p.caller, spec.IdempotencyKey.Reveal(), "createKey", p.project.ID, spec)
	if err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	return p.issue(ctx, r, spec.TokenOnce, func(ctx context.Context, tx *repository.Store, random io.Reader) (issued, error) {
		token, err := domain.NewToken(p.project.KeyPrefix, spec.Environment, random)
		if err != nil {
			return issued{}, err
		}
		key.Prefix = token.Prefix()
		if err := tx.CreateKey(ctx, p.project.Scope(), key); err != nil {
			return issued{}, err
		}
		if err := p.addSecret(ctx, tx, key, token, now); err != nil {
			return issued{}, err
		}
		return issued{key, token, true}, p.record(ctx, tx, "key.created", key, domain.Diff(nil, keyFields(key)))
	})
}

// RotateKey gives a key a new token, which is stored nowhere and cannot be had
// again; id, scopes, use and history of the key go on. The present token works
// for the grace, so that callers can be moved over.
//
// At most two tokens work at a time. While one is on its way out, a further
// rotation replaces the newest one if that has never been used, so that
// repeating a rotation whose answer was lost never ends the token that callers
// still send; otherwise the older one ends at once.
//
// It needs keys:write and every scope of the key, else scope_not_held. Errors:
// key_revoked, key_expired.
func (p *Project) RotateKey(ctx context.Context, id domain.KeyID, r domain.Rotation) (domain.Key, domain.Token, error) {
	if err := p.Require(domain.KeysWrite); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	if err := r.Validate(); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	grace := domain.DefaultGrace
	if r.Grace != nil {
		grace = *r.Grace
	}
	// A use that this node has not written yet decides which token may end.
	if err := p.app.recordFirstUses(ctx); err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	request, err := p.app.newRequest(p.caller, r.IdempotencyKey.Reveal(), "rotateKey", id, grace)
	if err != nil {
		return domain.Key{}, domain.Token{}, err
	}
	return p.issue(ctx, request, r.TokenOnce, func(ctx context.Context, tx *repository.Store, random io.Reader) (issued, error) {
		before, err := p.lockKey(ctx, tx, id)
		if err != nil {
			return issued{}, err
		}
		if err := p.precondition.Check(before.Revision); err != nil {
			return issued{}, err
		}
		now := p.app.now()
		if err := p.rotatable(before, now); err != nil {
			return issued{}, err
		}
		after := before
		if after.Retiring, err = p.retire(ctx, tx, id, now, grace); err != nil {
			return issued{}, err
		}
		token, err := domain.NewToken(p.project.KeyPrefix, before.Environment, random)
		if err != nil {
			return issued{}, err
		}
		after.Prefix, after.RotatedAt, after.Revision = token.Prefix(), now, before.Revision+1
		if err := tx.UpdateKey(ctx, p.project.Scope(), after); err != nil {
			return issued{}, err
		}
		if err := p.addSecret(ctx, tx, after, token, now); err != nil {
			return issued{}, err
		}
		was, is := keyFields(before), keyFields(after)
		if before.Retiring.Live(now) {
			was["retiring_until"] = moment(before.Retiring.ValidUntil)
		}
		is["retiring_until"] = moment(after.Retiring.ValidUntil)
		changes := domain.Diff(was, is)
		return issued{after, token, true}, p.record(ctx, tx, "key.rotated", after, changes)
	})
}

// rotatable says why a key can get no new token: it has ended, or it may do
// what the caller may not.
func (p *Project) rotatable(k domain.Key, now time.Time) error {
	switch k.Status(now) {
	case domain.KeyRevoked:
		return domain.Errorf(domain.CodeKeyRevoked, "The key has been revoked and can get no new token.")
	case domain.KeyExpired:
		return domain.Errorf(domain.CodeKeyExpired, "The key has expired. Move its expiry before you rotate it.")
	}
	return p.requireScopes(k.Scopes)
}

// retire makes room for a new current secret and returns the one that goes on
// working beside it.
func (p *Project) retire(ctx context.Context, tx *repository.Store, id domain.KeyID, now time.Time, grace time.Duration) (domain.Retiring, error) {
	secrets, err := tx.LiveSecrets(ctx, p.project.Scope(), id, now)
	if err != nil {
		return domain.Retiring{}, err
	}
	current, older := secrets[0], secrets[1:]
	if len(older) > 0 && current.FirstUsedAt.IsZero() {
		err := tx.EndSecret(ctx, p.project.Scope(), current.TokenID, now)
		return domain.Retiring{Prefix: older[0].Prefix, ValidUntil: older[0].ValidUntil}, err
	}
	for _, s := range older {
		if err := tx.EndSecret(ctx, p.project.Scope(), s.TokenID, now); err != nil {
			return domain.Retiring{}, err
		}
	}
	if err := tx.EndSecret(ctx, p.project.Scope(), current.TokenID, now.Add(grace)); err != nil || grace == 0 {
		return domain.Retiring{}, err
	}
	return domain.Retiring{Prefix: current.Prefix, ValidUntil: now.Add(grace)}, nil
}

// issued is a key with the token just made for it. Of the two, only the key is
// ever stored.
type issued struct {
	Key   domain.Key
	token domain.Token
	made  bool // now, and not by the request that this one repeats
}

// issue hands out a token, once or, to whoever names the request by an
// Idempotency-Key and did not ask for it once, the same one again while it works.
func (p *Project) issue(ctx context.Context, r request, tokenOnce bool, create attempt[issued]) (domain.Key, domain.Token, error) {
	answer, err := once(ctx, p.app, r, create, p.reissue)
	if tokenOnce && !answer.made {
		return answer.Key, domain.Token{}, err
	}
	return answer.Key, answer.token, err
}

// reissue derives the token of an answer that was lost. What has ended since is
// not brought again.
func (p *Project) reissue(ctx context.Context, tx *repository.Store, answer *issued, random io.Reader) error {
	key, err := p.lockKey(ctx, tx, answer.Key.ID)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return errEnded()
	}
	if err != nil {
		return err
	}
	if err := p.requireScopes(key.Scopes); err != nil {
		return err
	}
	if !key.RevokedAt.IsZero() {
		return domain.Errorf(domain.CodeKeyRevoked, "The key has been revoked since this was answered.")
	}
	prefix, _, _ := strings.Cut(answer.Key.Prefix, "_")
	token, err := domain.NewToken(prefix, answer.Key.Environment, random)
	if err != nil {
		return err
	}
	live, err := tx.LiveSecrets(ctx, p.project.Scope(), key.ID, p.app.now())
	if err != nil {
		return err
	}
	digest := p.app.keyring.tokenDigest(key.ID, key.ProjectID, token.Reveal())
	if !slices.ContainsFunc(live, func(s domain.Secret) bool { return hmac.Equal(s.Digest, digest[:]) }) {
		return errEnded()
	}
	answer.token = token
	return nil
}

// addSecret stores what recognises a key's new token.
func (p *Project) addSecret(ctx context.Context, tx *repository.Store, k domain.Key, t domain.Token, now time.Time) error {
	err := tx.AddSecret(ctx, p.project.Scope(), p.app.newSecret(k, t, now))
	if domain.CodeOf(err) == domain.CodeConflict {
		return errTaken
	}
	return err
}

// newSecret returns what is stored of a key's token.
func (a *App) newSecret(k domain.Key, t domain.Token, now time.Time) domain.Secret {
	digest := a.keyring.tokenDigest(k.ID, k.ProjectID, t.Reveal())
	return domain.Secret{
		TokenID: t.ID(), ProjectID: k.ProjectID, KeyID: k.ID, Prefix: t.Prefix(), Algorithm: domain.HMACSHA256,
		PepperVersion: pepperVersion, Digest: digest[:], CreatedAt: now,
	}
}

// ListKeys returns the project's keys that pass the filter, newest first. It
// needs keys:read.
func (p *Project) ListKeys(ctx context.Context, f domain.KeyFilter, page domain.Page) (domain.List[domain.Key], error) {
	if err := p.Require(domain.KeysRead); err != nil {
		return domain.List[domain.Key]{}, err
	}
	if err := f.Validate(); err != nil {
		return domain.List[domain.Key]{}, err
	}
	return p.app.store.ListKeys(ctx, p.project.Scope(), f, page, p.app.now())
}

// CountKeys returns how many keys the project has, of any status. It needs
// keys:read.
func (p *Project) CountKeys(ctx context.Context) (int, error) {
	if err := p.Require(domain.KeysRead); err != nil {
		return 0, err
	}
	return p.app.store.CountKeys(ctx, p.project.Scope())
}

// CountKeys returns how many keys the instance has, of any status. Only the
// command line may.
func (a *App) CountKeys(ctx context.Context, caller domain.Principal) (int, error) {
	if err := requireSystem(caller); err != nil {
		return 0, err
	}
	return a.store.CountAllKeys(ctx)
}

// KeyStatistics returns the project's keys in numbers: how many there are, and
// the days from since on that changed or will change that. It needs keys:read.
func (p *Project) KeyStatistics(ctx context.Context, since time.Time) (domain.KeyStatistics, error) {
	if err := p.Require(domain.KeysRead); err != nil {
		return domain.KeyStatistics{}, err
	}
	return p.app.store.KeyStatistics(ctx, p.project.Scope(), since, p.app.now())
}

// GetKey returns a key of the project. It needs keys:read.
func (p *Project) GetKey(ctx context.Context, id domain.KeyID) (domain.Key, error) {
	if err := p.Require(domain.KeysRead); err != nil {
		return domain.Key{}, err
	}
	return p.app.store.GetKey(ctx, p.project.Scope(), id)
}

// UpdateKey changes what a key is called and may do. A revoked key is read-only
// (key_revoked). It needs keys:write and every scope that is added, else
// scope_not_held; a key needs all scopes that the other one has, too.
func (p *Project) UpdateKey(ctx context.Context, id domain.KeyID, patch domain.KeyPatch) (domain.Key, error) {
	return p.changeKey(ctx, id, "key.updated", func(before domain.Key) (domain.Key, error) {
		if !before.RevokedAt.IsZero() {
			return before, domain.Errorf(domain.CodeKeyRevoked, "The key has been revoked and can no longer be changed.")
		}
		after, err := patch.Apply(before)
		if err != nil {
			return before, err
		}
		after.ExpiresAt = after.ExpiresAt.Truncate(time.Microsecond)
		added := slices.DeleteFunc(slices.Clone(after.Scopes), func(s domain.Scope) bool { return slices.Contains(before.Scopes, s) })
		return after, p.requireScopes(added)
	})
}

// RevokeKey ends a key for good; nothing brings it back. Revoking it again
// changes nothing. It needs keys:write; a key needs all scopes that the other
// one has, too.
func (p *Project) RevokeKey(ctx context.Context, id domain.KeyID, reason string) (domain.Key, error) {
	var v domain.Invalid
	if v.Text("/reason", reason, 0, domain.MaxReasonLength); len(v) > 0 {
		return domain.Key{}, v.Err()
	}
	return p.changeKey(ctx, id, "key.revoked", func(k domain.Key) (domain.Key, error) {
		if k.RevokedAt.IsZero() {
			k.RevokedAt, k.RevokedReason = p.app.now(), reason
		}
		return k, nil
	})
}

// changeKey is how every change to a key is made: under a lock, one revision
// on, with what changed in the audit trail. A change that changes nothing is
// neither stored nor recorded.
func (p *Project) changeKey(
	ctx context.Context, id domain.KeyID, action string, change func(domain.Key) (domain.Key, error),
) (domain.Key, error) {
	if err := p.Require(domain.KeysWrite); err != nil {
		return domain.Key{}, err
	}
	var key domain.Key
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		before, err := p.lockKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.precondition.Check(before.Revision); err != nil {
			return err
		}
		after, err := change(before)
		if err != nil {
			return err
		}
		key = before
		changes := domain.Diff(keyFields(before), keyFields(after))
		if len(changes) == 0 {
			return nil
		}
		after.Revision = before.Revision + 1
		if err := tx.UpdateKey(ctx, p.project.Scope(), after); err != nil {
			return err
		}
		key = after
		return p.record(ctx, tx, action, after, changes)
	})
	return key, err
}

// lockKey returns the key for a change. A key may act only on keys whose scopes
// it holds itself.
func (p *Project) lockKey(ctx context.Context, tx *repository.Store, id domain.KeyID) (domain.Key, error) {
	key, err := tx.LockKey(ctx, p.project.Scope(), id)
	if err != nil {
		return domain.Key{}, err
	}
	if _, isKey := p.caller.Key(); isKey {
		err = p.requireScopes(key.Scopes)
	}
	return key, err
}

// DeleteKey removes a key and its secrets; what it did stays in the audit
// trail. It needs keys:write; a key needs all scopes that the other one has,
// too.
func (p *Project) DeleteKey(ctx context.Context, id domain.KeyID) error {
	if err := p.Require(domain.KeysWrite); err != nil {
		return err
	}
	return p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		key, err := p.lockKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := p.precondition.Check(key.Revision); err != nil {
			return err
		}
		if err := tx.DeleteKey(ctx, p.project.Scope(), id); err != nil {
			return err
		}
		return p.record(ctx, tx, "key.deleted", key, nil)
	})
}

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
	key, err := a.prove(ctx, token, project, now)
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

func (p *Project) record(ctx context.Context, tx *repository.Store, action string, k domain.Key, changes domain.Changes) error {
	return p.app.record(ctx, tx, p.caller, domain.Event{
		Action: action, Target: domain.Target{Kind: "key", ID: string(k.ID), Name: k.Name},
		OrganizationID: p.project.OrganizationID, ProjectID: p.project.ID, Changes: changes,
	})
}

// keyFields are what the audit trail tells about changes to a key.
func keyFields(k domain.Key) map[string]any {
	return map[string]any{
		"name": k.Name, "environment": k.Environment, "scopes": k.Scopes,
		"external_id": k.ExternalID, "metadata": k.Metadata, "expires_at": moment(k.ExpiresAt),
		"revoked_at": moment(k.RevokedAt), "revoked_reason": k.RevokedReason, "prefix": k.Prefix,
	}
}

// moment is a time as the audit trail shows it: null for never.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
