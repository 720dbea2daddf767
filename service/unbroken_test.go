package service_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that what is used of a quota stays used when the key is rotated, changed or
// moved to a plan and back in the middle of it, and that both tokens of a key that was
// rotated spend one quota: no unit is there twice, and none is lost.
func TestAQuotaIsUnbroken(t *testing.T) {
	onEach(t, func(w *world) {
		project, key, token := w.limitedProject(daily(100))
		admitted := w.admits(w.App, token, 10)
		_, rotated := w.rotate(project, key.ID, domain.Rotation{})
		for range 5 { // both tokens are in use
			admitted += w.admits(w.App, token, 2) + w.admits(w.App, rotated, 3)
		}
		_, err := project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{Name: new("renamed")})
		w.check(err)
		admitted += w.admits(w.App, rotated, 10)
		other, err := project.CreatePlan(w.Context(), domain.PlanSpec{Name: "Other", Limits: []domain.Limit{daily(7)}})
		w.check(err)
		former := key.Plan.ID
		_, err = project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{PlanID: &other.ID})
		w.check(err)
		if got := w.admits(w.App, rotated, 20); got != 7 { // the counter of the other plan
			t.Errorf("got %d of 7 admitted by the other plan", got)
		}
		_, err = project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{PlanID: &former})
		w.check(err)
		second := w.Another(service.Options{})
		admitted += w.admits(w.App, rotated, 200) + w.admits(second, rotated, 200)
		if admitted != 100 {
			t.Errorf("got %d of 100 admitted in all", admitted)
		}
	})
}
