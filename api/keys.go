package api

import (
	"context"
	"maps"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// CreateKey creates a key and answers its token, only this once.
func (h *handlers) CreateKey(ctx context.Context, r CreateKeyRequestObject) (CreateKeyResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	created, token, err := project.CreateKey(ctx, domain.KeySpec{
		Name:           r.Body.Name,
		Environment:    value(r.Body.Environment),
		Scopes:         value(r.Body.Scopes),
		Metadata:       value(r.Body.Metadata),
		ExternalID:     value(given(r.Body.ExternalID)),
		ExpiresAt:      value(given(r.Body.ExpiresAt)),
		PlanID:         domain.PlanID(value(given(r.Body.PlanID))),
		Limits:         value(r.Body.Limits),
		AllowedIPs:     value(r.Body.AllowedIPs),
		IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	if err != nil {
		return nil, err
	}
	return CreateKey201JSONResponse{
		Body: CreatedKey{Key: h.key(created), Token: token.Reveal()}, Headers: CreateKey201ResponseHeaders{ETag: etag(created.Revision)},
	}, nil
}

// ListKeys answers a project's keys.
func (h *handlers) ListKeys(ctx context.Context, r ListKeysRequestObject) (ListKeysResponseObject, error) {
	page, err := page(r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	list, err := project.ListKeys(ctx, keyFilter(r.Params), page)
	next, link := nextPage(ctx, list.Next)
	body := KeyList{Items: each(list.Items, h.key), NextCursor: next}
	return ListKeys200JSONResponse{Body: body, Headers: ListKeys200ResponseHeaders{Link: link}}, err
}

// GetKey answers a key of the project.
func (h *handlers) GetKey(ctx context.Context, r GetKeyRequestObject) (GetKeyResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	found, err := project.GetKey(ctx, r.KeyID)
	return GetKey200JSONResponse{Body: h.key(found), Headers: GetKey200ResponseHeaders{ETag: etag(found.Revision)}}, err
}

// UpdateKey changes a key's fields.
func (h *handlers) UpdateKey(ctx context.Context, r UpdateKeyRequestObject) (UpdateKeyResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	updated, err := project.UpdateKey(ctx, r.KeyID, domain.KeyPatch{
		Name:       r.Body.Name,
		Scopes:     r.Body.Scopes,
		Metadata:   (*map[string]string)(r.Body.Metadata),
		ExternalID: given(r.Body.ExternalID),
		ExpiresAt:  given(r.Body.ExpiresAt),
		PlanID:     (*domain.PlanID)(given(r.Body.PlanID)),
		Limits:     r.Body.Limits,
		AllowedIPs: r.Body.AllowedIPs,
	})
	return UpdateKey200JSONResponse{Body: h.key(updated), Headers: UpdateKey200ResponseHeaders{ETag: etag(updated.Revision)}}, err
}

// RevokeKey revokes a key permanently.
func (h *handlers) RevokeKey(ctx context.Context, r RevokeKeyRequestObject) (RevokeKeyResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	revoked, err := project.RevokeKey(ctx, r.KeyID, value(given(value(r.Body).Reason)))
	return RevokeKey200JSONResponse{Body: h.key(revoked), Headers: RevokeKey200ResponseHeaders{ETag: etag(revoked.Revision)}}, err
}

// RevokeKeys revokes all keys that fit.
func (h *handlers) RevokeKeys(ctx context.Context, r RevokeKeysRequestObject) (RevokeKeysResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	selection := domain.KeySelection{ExternalID: value(r.Body.ExternalID), CreatedBy: value(r.Body.CreatedBy), Scope: value(r.Body.Scope)}
	done, err := project.RevokeKeys(ctx, selection, value(r.Body.Reason), value(r.Body.DryRun))
	return RevokeKeys200JSONResponse{
		DryRun: value(r.Body.DryRun), Kept: done.Kept, More: done.More,
		Keys: each(done.Keys, func(k domain.Key) RevokedKey { return RevokedKey{ID: k.ID, Name: k.Name, Prefix: k.Prefix} }),
	}, err
}

// RotateKey gives a key a new token and answers it, only this once.
func (h *handlers) RotateKey(ctx context.Context, r RotateKeyRequestObject) (RotateKeyResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	rotated, token, err := project.RotateKey(ctx, r.KeyID, domain.Rotation{
		Grace: seconds(value(r.Body).GraceSeconds), IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	})
	if err != nil {
		return nil, err
	}
	return RotateKey200JSONResponse{
		Body: CreatedKey{Key: h.key(rotated), Token: token.Reveal()}, Headers: RotateKey200ResponseHeaders{ETag: etag(rotated.Revision)},
	}, nil
}

// DeleteKey deletes a key.
func (h *handlers) DeleteKey(ctx context.Context, r DeleteKeyRequestObject) (DeleteKeyResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	project.Expect(expected(r.Params.IfMatch))
	return DeleteKey204Response{}, project.DeleteKey(ctx, r.KeyID)
}

// VerifyKey answers whether a token belongs to a valid key of the project.
func (h *handlers) VerifyKey(ctx context.Context, r VerifyKeyRequestObject) (VerifyKeyResponseObject, error) {
	question := service.Question{
		Token:       r.Body.Key,
		Scopes:      value(r.Body.Scopes),
		Cost:        value(r.Body.Cost),
		Tag:         value(r.Body.Tag),
		Environment: value(r.Body.Environment),
		IP:          value(r.Body.IP),
	}
	project, err := h.askedAbout(ctx, r.Body.ProjectID, question.Validate())
	if err != nil {
		return nil, err
	}
	answer, err := project.VerifyKey(ctx, question)
	if err != nil {
		return nil, err
	}
	return VerifyKey200JSONResponse(VerificationFrom(answer, h.app.Now())), nil
}

// SpendKey takes from the limits of a key what a request has cost, or gives back.
func (h *handlers) SpendKey(ctx context.Context, r SpendKeyRequestObject) (SpendKeyResponseObject, error) {
	s := domain.Spending{
		Token:          domain.Hidden(value(r.Body.Key)),
		KeyID:          value(r.Body.KeyID),
		Cost:           r.Body.Cost,
		SpendID:        value(r.Body.SpendID),
		IdempotencyKey: domain.Hidden(value(r.Params.IdempotencyKey)),
	}
	project, err := h.askedAbout(ctx, r.Body.ProjectID, s.Validate())
	if err != nil {
		return nil, err
	}
	done, err := project.SpendKey(ctx, s)
	return SpendKey200JSONResponse{Spent: done.Spent, Short: done.Short}, err
}

// askedAbout returns the project whose keys the caller asks about: a key's own, or the
// one that a user names. wrong is what else is wrong with the request.
func (h *handlers) askedAbout(ctx context.Context, id *domain.ProjectID, wrong error) (*service.Project, error) {
	if _, isKey := caller(ctx).Key(); !isKey && id == nil {
		v := domain.Invalid(domain.FieldErrors(wrong))
		v.Add("/project_id", "is required of users: it names the project whose keys are asked about")
		return nil, v.Err()
	}
	return h.app.Project(ctx, caller(ctx), value(id))
}

func keyFilter(p ListKeysParams) domain.KeyFilter {
	return domain.KeyFilter{
		Status:      value(p.Status),
		Search:      value(p.Search),
		Environment: value(p.Environment),
		ExternalID:  value(p.ExternalID),
		CreatedBy:   value(p.CreatedBy),
		PlanID:      value(p.PlanID),
		Used:        domain.KeyUse(value(p.Used)),

		LastUsedBefore: value(p.LastUsedBefore),
	}
}

func (h *handlers) key(k domain.Key) Key { return KeyFrom(k, h.app.Now()) }

// keyWithUse is the schema Key: what a verification shows of a key, and its last
// use and that of its retiring token, which are not kept in memory.
type keyWithUse struct {
	VerifiedKey
	LastUsedAt nullable.Nullable[time.Time] `json:"last_used_at"`
}

// creatorKind is the kind of who created something. Clients of 0.1 know three kinds, of
// which a service account is a user.
func creatorKind(k domain.ActorKind) domain.ActorKind {
	if k == domain.ActorServiceAccount {
		return domain.ActorUser
	}
	return k
}

// KeyFrom returns a key as clients see it at the time now.
func KeyFrom(k domain.Key, now time.Time) Key {
	v := verifiedKey(k, now)
	if v.Retiring != nil {
		v.Retiring.LastUsedAt = timeOrNull(k.Retiring.LastUsedAt)
	}
	return Key{v, timeOrNull(k.LastUsedAt)}
}

func verifiedKey(k domain.Key, now time.Time) VerifiedKey {
	v := VerifiedKey{
		ID:            k.ID,
		ProjectID:     k.ProjectID,
		Name:          k.Name,
		Prefix:        k.Prefix,
		Environment:   k.Environment,
		Scopes:        append([]Scope{}, k.Scopes...),
		ExternalID:    orNull(k.ExternalID),
		Metadata:      Metadata{},
		Status:        k.Status(now),
		CreatedAt:     k.CreatedAt.UTC(),
		CreatedBy:     Creator{Kind: creatorKind(k.CreatedBy.Kind), ID: k.CreatedBy.ID},
		ExpiresAt:     timeOrNull(k.ExpiresAt),
		RevokedAt:     timeOrNull(k.RevokedAt),
		RevokedReason: orNull(k.RevokedReason),
		RotatedAt:     timeOrNull(k.RotatedAt),
		Plan:          planOrNull(k.Plan),
		Limits:        append([]Limit{}, k.Limits...),
		AllowedIPs:    append([]Network{}, k.AllowedIPs...),
	}
	maps.Copy(v.Metadata, k.Metadata)
	if !k.LeakedAt.IsZero() {
		v.LeakedAt = new(k.LeakedAt.UTC())
	}
	if k.Retiring.Live(now) {
		v.Retiring = &RetiringToken{Prefix: k.Retiring.Prefix, ValidUntil: k.Retiring.ValidUntil.UTC()}
	}
	return v
}

// VerificationFrom returns a verification as clients see it at the time now.
func VerificationFrom(a service.Verification, now time.Time) Verification {
	v := Verification{Valid: a.Valid(), Code: VerificationCode(a.Code), MaxAge: a.Keep.MaxAge}
	if a.Keep.Ends {
		v.Deadline = &a.Keep.Deadline
	}
	if a.Key.IsZero() {
		return v
	}
	key := verifiedKey(a.Key.Key(), now)
	v.Key, v.TokenID = &key, new(string(a.Key.TokenID()))
	if a.Valid() {
		p := a.Key.Tenant().Project
		v.Project = &ProjectSummary{ID: p.ID, Name: p.Name, Slug: p.Slug}
	}
	if a.Limits.Limits.Len() > 0 {
		v.Limits = new(limitStates(&a.Limits, a.Key, now))
	}
	if violated := a.Limits.Violated(); len(violated) > 0 {
		v.Violated = &violated
	}
	if a.SpendID != "" {
		v.SpendID = &a.SpendID
	}
	if a.Limits.RetryAfter > 0 {
		v.RetryAfter = new(domain.Seconds(a.Limits.RetryAfter))
	}
	return v
}
