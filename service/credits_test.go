package service_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// Guarantees that all nodes hear of a grant: a node that has refused a request for want
// of credits admits it then, and all nodes together admit what was granted and no more.
func TestNodesHearOfGrants(t *testing.T) {
	onEach(t, func(w *world) {
		project, key, token := w.limitedProject(domain.Limit{Name: "credits", Type: domain.Credits, Initial: new(int64(10))})
		other := w.Another(service.Options{})
		end := servicetest.Follow(w.T, other)
		defer end()
		admitted := w.admits(w.App, token, 12) + w.admits(other, token, 2)
		_, err := project.GrantCredits(w.Context(), domain.CreditGrant{Limit: "credits", KeyID: key.ID, Amount: 20})
		w.check(err)
		before := admitted
		for deadline := time.Now().Add(10 * time.Second); admitted == before && time.Now().Before(deadline); runtime.Gosched() {
			admitted += w.admits(other, token, 1)
		}
		if admitted == before {
			t.Error("the other node still refuses after a grant")
		}
		for deadline := time.Now().Add(10 * time.Second); admitted < 30 && time.Now().Before(deadline); runtime.Gosched() {
			admitted += w.admits(w.App, token, 1) + w.admits(other, token, 1)
		}
		if admitted += w.admits(w.App, token, 5) + w.admits(other, token, 5); admitted != 30 {
			t.Errorf("got %d requests admitted of 10 and 20", admitted)
		}
	})
}

// Guarantees in both databases that an external id names the credits of the plan of its
// keys that can be used, or without such keys those of the project, and that it names
// none where these differ.
func TestCreditsOfAnExternalID(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		shared := domain.Limit{Name: "credits", Type: domain.Credits, Per: domain.PerExternalID}
		home, err := project.Get()
		w.check(err)
		grant := func() (string, error) {
			handle, err := w.Project(w.Context(), project.Caller(), home.ID)
			w.check(err)
			done, err := handle.GrantCredits(w.Context(), domain.CreditGrant{Limit: "credits", ExternalID: "c/1", Amount: 5})
			return done.Entry.Counter.Owner, err
		}
		_, err = grant()
		w.code(err, domain.CodeValidationFailed)
		limited, err := project.Update(w.Context(), domain.ProjectPatch{Limits: &[]domain.Limit{shared}})
		w.check(err)
		if owner, err := grant(); err != nil || owner != string(limited.ID) {
			t.Errorf("got the credits of %q, %v; want those of the project", owner, err)
		}
		var plans []domain.Plan
		var keys []domain.Key
		for _, name := range []string{"Pro", "Basic"} {
			plan, err := project.CreatePlan(w.Context(), domain.PlanSpec{Name: name, Limits: []domain.Limit{shared}})
			w.check(err)
			key, _, err := project.CreateKey(w.Context(), domain.KeySpec{Name: name, PlanID: plan.ID, ExternalID: "c/1"})
			w.check(err)
			plans, keys = append(plans, plan), append(keys, key)
		}
		_, err = grant()
		w.code(err, domain.CodeValidationFailed)
		_, err = project.RevokeKey(w.Context(), keys[0].ID, "")
		w.check(err)
		owner, err := grant()
		if w.check(err); owner != string(plans[1].ID) {
			t.Errorf("got the credits of %s, want those of the plan of the key that is left", owner)
		}
		f := domain.CreditFilter{KeyID: keys[1].ID, ExternalID: "c/1"}
		list, err := project.ListCreditEntries(w.Context(), f, domain.Page{Limit: 9})
		if w.check(err); len(list.Items) != 2 || list.Items[0].Amount != 5 {
			t.Errorf("got %+v, want both grants", list.Items)
		}
	})
}
