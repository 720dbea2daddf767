package service_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// as returns the project in the hands of a new key of it with the scopes, which spec
// may change.
func (w *world) as(p *service.Project, spec domain.KeySpec, scopes ...domain.Scope) (*service.Project, domain.Key) {
	w.Helper()
	spec.Name, spec.Scopes = "caller", scopes
	key, token, err := p.CreateKey(w.Context(), spec)
	w.check(err)
	proven, err := w.ProveKey(w.Context(), token.Reveal(), nil)
	w.check(err)
	return w.project(domain.ProvenPrincipal(proven, nil, domain.Origin{}), w.projectID(p)), key
}

// Guarantees that a plan is refused for what is wrong with it, changes only at the
// revision that is expected, and is not deleted while a key refers to it.
func TestWhatPlansRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx, ann := w.Context(), w.signUp("ann@example.com")
	_, p := w.tenant(ann)
	pro, err := p.CreatePlan(ctx, domain.PlanSpec{Name: "Pro", Limits: rates("a", 16)})
	w.check(err)
	free, err := p.CreatePlan(ctx, domain.PlanSpec{Name: "Free"})
	w.check(err)
	_, err = p.CreatePlan(ctx, domain.PlanSpec{Name: "Pro"})
	w.code(err, domain.CodeConflict)
	_, err = p.UpdatePlan(ctx, free.ID, domain.PlanPatch{Name: new("Pro")})
	w.code(err, domain.CodeConflict)
	_, err = p.CreatePlan(ctx, domain.PlanSpec{Name: "Large", Limits: rates("a", 17)})
	w.code(err, domain.CodeValidationFailed)

	// With the limits of the project there are too many for one key.
	_, err = p.Update(ctx, domain.ProjectPatch{Limits: new(rates("p", 1))})
	w.code(err, domain.CodeValidationFailed)
	_, err = p.UpdatePlan(ctx, pro.ID, domain.PlanPatch{Limits: new(rates("a", 15))})
	w.check(err)
	_, err = p.Update(ctx, domain.ProjectPatch{Limits: new(rates("p", 1))})
	w.check(err)
	p = w.project(ann, w.projectID(p))
	_, err = p.UpdatePlan(ctx, pro.ID, domain.PlanPatch{Limits: new(rates("a", 16))})
	w.code(err, domain.CodeValidationFailed)
	_, err = p.CreatePlan(ctx, domain.PlanSpec{Name: "Large", Limits: rates("a", 16)})
	w.code(err, domain.CodeValidationFailed)
	_, _, err = p.CreateKey(ctx, domain.KeySpec{Name: "k", PlanID: pro.ID, Limits: rates("k", 1)})
	w.code(err, domain.CodeValidationFailed)
	_, _, err = p.CreateKey(ctx, domain.KeySpec{Name: "k", PlanID: domain.NewID[domain.PlanID](w.Now())})
	w.code(err, domain.CodeValidationFailed)

	// A change that changes nothing is no event and no revision.
	before := w.countEvents("plan.updated")
	same, err := p.UpdatePlan(ctx, free.ID, domain.PlanPatch{Name: new("Free")})
	if err != nil || same.Revision != 1 || w.countEvents("plan.updated") != before {
		t.Errorf("got revision %d, %v, want no change", same.Revision, err)
	}
	w.Pass(time.Second)
	changed, err := p.UpdatePlan(ctx, free.ID, domain.PlanPatch{Name: new("Basic")})
	if err != nil || changed.Revision != 2 || !changed.UpdatedAt.Equal(w.Now()) || w.countEvents("plan.updated") != before+1 {
		t.Errorf("got %+v, %v, want a change", changed, err)
	}
	stale := w.project(ann, w.projectID(p))
	stale.Expect(domain.AtRevision(1))
	_, err = stale.UpdatePlan(ctx, free.ID, domain.PlanPatch{Name: new("Other")})
	w.code(err, domain.CodePreconditionFailed)
	w.code(stale.DeletePlan(ctx, free.ID), domain.CodePreconditionFailed)

	key, _, err := p.CreateKey(ctx, domain.KeySpec{Name: "k", PlanID: pro.ID})
	w.check(err)
	w.code(p.DeletePlan(ctx, pro.ID), domain.CodePlanInUse)
	_, err = p.UpdateKey(ctx, key.ID, domain.KeyPatch{PlanID: &free.ID})
	w.check(err)
	w.check(p.DeletePlan(ctx, pro.ID))
	w.code(p.DeletePlan(ctx, pro.ID), domain.CodeNotFound)
	for action, want := range map[string]int{"plan.created": 2, "plan.deleted": 1} {
		if got := w.countEvents(action); got != want {
			t.Errorf("%s: got %d events, want %d", action, got, want)
		}
	}
}

// Guarantees that a project has at most 200 plans, and that a repeated request makes
// no second one.
func TestMostPlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	_, p := w.tenant(w.signUp("ann@example.com"))
	first, err := p.CreatePlan(w.Context(), domain.PlanSpec{Name: "once", IdempotencyKey: "create-once-please"})
	w.check(err)
	again, err := p.CreatePlan(w.Context(), domain.PlanSpec{Name: "once", IdempotencyKey: "create-once-please"})
	if err != nil || again.ID != first.ID {
		t.Errorf("got %s, %v, want %s again", again.ID, err, first.ID)
	}
	for i := range 199 {
		_, err := p.CreatePlan(w.Context(), domain.PlanSpec{Name: fmt.Sprint(i)})
		w.check(err)
	}
	_, err = p.CreatePlan(w.Context(), domain.PlanSpec{Name: "one more"})
	w.code(err, domain.CodeConflict)
}

// Guarantees that a key without limits:write gives no key more than its own limits
// allow: not to a new one, not by a change, and not by a new token.
func TestLimitedKeysPassOnTheirLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx := w.Context()
	_, p := w.tenant(w.signUp("ann@example.com"))
	plan, err := p.CreatePlan(ctx, domain.PlanSpec{Name: "Pro", Limits: rates("a", 1)})
	w.check(err)
	free, _, err := p.CreateKey(ctx, domain.KeySpec{Name: "free"})
	w.check(err)
	limited, own := w.as(p, domain.KeySpec{PlanID: plan.ID, Limits: rates("k", 1), ExternalID: "c1"}, domain.KeysRead, domain.KeysWrite)
	unlimited, _ := w.as(p, domain.KeySpec{}, domain.KeysRead, domain.KeysWrite)
	may, _ := w.as(p, domain.KeySpec{PlanID: plan.ID}, domain.KeysRead, domain.KeysWrite, domain.LimitsWrite)

	key, _, err := limited.CreateKey(ctx, domain.KeySpec{Name: "k"})
	if err != nil || key.Plan != own.Plan || len(key.Limits) != 1 || key.ExternalID != "c1" {
		t.Errorf("got %+v, %v, want the limits of the caller", key, err)
	}
	for name, c := range map[string]struct {
		by   *service.Project
		want domain.Code
		act  func(p *service.Project) error
	}{
		"a key with a plan, by a limited key": {limited, domain.CodeForbidden, func(p *service.Project) error {
			return created(p.CreateKey(ctx, domain.KeySpec{Name: "k", PlanID: plan.ID}))
		}},
		"a key with limits, by an unlimited key": {unlimited, domain.CodeForbidden, func(p *service.Project) error {
			return created(p.CreateKey(ctx, domain.KeySpec{Name: "k", Limits: rates("k", 1)}))
		}},
		"a key with limits, by one that may": {may, "", func(p *service.Project) error {
			return created(p.CreateKey(ctx, domain.KeySpec{Name: "k", Limits: rates("k", 1), ExternalID: "c9"}))
		}},
		"a key of another customer, by a limited key": {limited, domain.CodeForbidden, func(p *service.Project) error {
			return created(p.CreateKey(ctx, domain.KeySpec{Name: "k", ExternalID: "c2"}))
		}},
		"a key of the same customer, by a limited key": {limited, "", func(p *service.Project) error {
			return created(p.CreateKey(ctx, domain.KeySpec{Name: "k", ExternalID: "c1"}))
		}},
		"a key of any customer, by an unlimited key": {unlimited, "", func(p *service.Project) error {
			return created(p.CreateKey(ctx, domain.KeySpec{Name: "k", ExternalID: "c2"}))
		}},
		"another plan, by a limited key": {limited, domain.CodeForbidden, func(p *service.Project) error {
			return ignoring(p.UpdateKey(ctx, key.ID, domain.KeyPatch{PlanID: new(domain.PlanID(""))}))
		}},
		"the same limits, by a limited key": {limited, "", func(p *service.Project) error {
			return ignoring(p.UpdateKey(ctx, key.ID, domain.KeyPatch{Limits: new(rates("k", 1)), Name: new("other")}))
		}},
		"other limits, by an unlimited key": {unlimited, domain.CodeForbidden, func(p *service.Project) error {
			return ignoring(p.UpdateKey(ctx, free.ID, domain.KeyPatch{Limits: new(rates("k", 1))}))
		}},
		"another customer, by a limited key": {limited, domain.CodeForbidden, func(p *service.Project) error {
			return ignoring(p.UpdateKey(ctx, key.ID, domain.KeyPatch{ExternalID: new("c2")}))
		}},
		"another customer, by an unlimited key": {unlimited, "", func(p *service.Project) error {
			return ignoring(p.UpdateKey(ctx, free.ID, domain.KeyPatch{ExternalID: new("c2")}))
		}},
		"a token of a free key, by a limited key": {limited, domain.CodeForbidden, func(p *service.Project) error {
			return created(p.RotateKey(ctx, free.ID, domain.Rotation{}))
		}},
		"a token of a like key, by a limited key": {limited, "", func(p *service.Project) error {
			return created(p.RotateKey(ctx, key.ID, domain.Rotation{}))
		}},
		"a token of a free key, by one that may": {may, "", func(p *service.Project) error {
			return created(p.RotateKey(ctx, free.ID, domain.Rotation{}))
		}},
	} {
		if err := c.act(c.by); domain.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// created drops what is made.
func created[A, B any](_ A, _ B, err error) error { return err }

// Guarantees that a key with an end gives no key that makes keys a later one, and itself
// neither a later end nor another scope.
func TestKeysEndWithTheirMaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx := w.Context()
	_, p := w.tenant(w.signUp("ann@example.com"))
	end := w.Now().Add(time.Hour)
	mine, own := w.as(p, domain.KeySpec{ExpiresAt: end}, domain.KeysRead, domain.KeysWrite)
	for _, c := range []struct {
		end    time.Time
		scopes []domain.Scope
		want   domain.Code
	}{
		{end.Add(time.Microsecond), []domain.Scope{domain.KeysWrite}, domain.CodeScopeNotHeld},
		{time.Time{}, []domain.Scope{domain.KeysWrite}, domain.CodeScopeNotHeld},
		{end, []domain.Scope{domain.KeysWrite}, ""},
		{time.Time{}, []domain.Scope{domain.KeysRead}, ""}, // it can prolong no key
	} {
		err := created(mine.CreateKey(ctx, domain.KeySpec{Name: "k", ExpiresAt: c.end, Scopes: c.scopes}))
		if domain.CodeOf(err) != c.want {
			t.Errorf("a key with %v until %v: got %v, want %q", c.scopes, c.end, err, c.want)
		}
	}
	w.code(ignoring(mine.UpdateKey(ctx, own.ID, domain.KeyPatch{ExpiresAt: new(end.Add(time.Microsecond))})), domain.CodeScopeNotHeld)
	w.code(ignoring(mine.UpdateKey(ctx, own.ID, domain.KeyPatch{Scopes: &[]domain.Scope{"a:b"}})), domain.CodeScopeNotHeld)
	w.check(ignoring(mine.UpdateKey(ctx, own.ID, domain.KeyPatch{ExpiresAt: new(end.Add(-time.Minute))})))

	// What the caller holds is an older copy, with a later end and another scope.
	w.check(ignoring(p.UpdateKey(ctx, own.ID, domain.KeyPatch{Scopes: &[]domain.Scope{domain.KeysWrite}})))
	w.code(ignoring(mine.UpdateKey(ctx, own.ID, domain.KeyPatch{ExpiresAt: &end})), domain.CodeScopeNotHeld)
	w.code(ignoring(mine.UpdateKey(ctx, own.ID, domain.KeyPatch{Scopes: &[]domain.Scope{domain.KeysRead}})), domain.CodeScopeNotHeld)
}

// What is asked about limits, and reset, is of the key that is named, and needs a limit
// of that name.
func TestStateOfLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx := w.Context()
	_, p := w.tenant(w.signUp("ann@example.com"))
	plan, err := p.CreatePlan(ctx, domain.PlanSpec{Name: "Pro", Limits: rates("a", 1)})
	w.check(err)
	key, token, err := p.CreateKey(ctx, domain.KeySpec{Name: "k", PlanID: plan.ID, Limits: rates("k", 2)})
	w.check(err)
	ask := func(want int) {
		t.Helper()
		limits, err := p.KeyLimits(ctx, key.ID)
		if err != nil || limits.Limits.Limits.Len() != want || limits.Key.ID() != key.ID {
			t.Errorf("got %d limits of %s, %v, want %d", limits.Limits.Limits.Len(), limits.Key.ID(), err, want)
		}
	}
	ask(3)
	verify := func(want service.VerificationCode) {
		t.Helper()
		v, err := p.VerifyKey(ctx, service.Question{Token: token.Reveal(), Cost: domain.Cost{"k1": 1, "k0": 0, "a0": 0}})
		if err != nil || v.Code != want {
			t.Errorf("got %s, %v, want %s", v.Code, err, want)
		}
	}
	verify(service.VerifiedValid)
	verify(service.VerifiedRateLimited)
	_, err = p.ResetLimit(ctx, key.ID, "k9", "")
	w.code(err, domain.CodeNotFound)
	_, err = p.ResetLimit(ctx, key.ID, "k1", string(make([]byte, 501)))
	w.code(err, domain.CodeValidationFailed)
	_, err = p.ResetLimit(ctx, "key_none", "k1", "")
	w.code(err, domain.CodeNotFound)
	limits, err := p.ResetLimit(ctx, key.ID, "k1", "paid")
	if err != nil || limits.Limits.Limits.Len() != 3 || w.countEvents("limit.reset") != 1 {
		t.Errorf("got %d limits, %v, %d events", limits.Limits.Limits.Len(), err, w.countEvents("limit.reset"))
	}
	verify(service.VerifiedValid)

	proven, err := w.ProveKey(ctx, token.Reveal(), nil)
	w.check(err)
	mine, err := w.OwnLimits(ctx, domain.ProvenPrincipal(proven, nil, domain.Origin{}))
	if err != nil || mine.Limits.Limits.Len() != 3 {
		t.Errorf("got %d limits, %v, want the key's own", mine.Limits.Limits.Len(), err)
	}
	if none, err := w.OwnLimits(ctx, domain.System()); err != nil || none.Limits.Limits.Len() != 0 {
		t.Error("the command line has limits")
	}
	_, err = p.VerifyKey(ctx, service.Question{Token: token.Reveal(), Cost: domain.Cost{"k1": -1}})
	w.code(err, domain.CodeValidationFailed)
}
