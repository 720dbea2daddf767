package service_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// rates are n limits with names of their own.
func rates(name string, n int) (limits []domain.Limit) {
	for i := range n {
		limits = append(limits, domain.Limit{
			Name: fmt.Sprint(name, i), Type: domain.RateLimit, Limit: domain.Allow(1), Period: domain.PeriodDay,
		})
	}
	return limits
}

// Guarantees that limits of a project and a plan are never too many together when
// they are written, whatever the project was like when the request began.
func TestLimitsOfProjectAndPlan(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		plan, err := project.CreatePlan(w.Context(), domain.PlanSpec{Name: "small", Limits: rates("p", 6)})
		w.check(err)
		id := plan.ProjectID
		other, err := w.App.Project(w.Context(), ann, id)
		w.check(err)
		set := func(n int) error {
			w.Helper()
			limits := rates("q", n)
			_, err := other.Update(w.Context(), domain.ProjectPatch{Limits: &limits})
			return err
		}
		w.code(set(11), domain.CodeValidationFailed)
		w.check(set(10))

		_, err = project.CreatePlan(w.Context(), domain.PlanSpec{Name: "large", Limits: rates("p", 7)})
		w.code(err, domain.CodeValidationFailed)
		limits := rates("p", 7)
		_, err = project.UpdatePlan(w.Context(), plan.ID, domain.PlanPatch{Limits: &limits})
		w.code(err, domain.CodeValidationFailed)
		w.check(set(9))
		_, err = project.UpdatePlan(w.Context(), plan.ID, domain.PlanPatch{Limits: &limits})
		w.check(err)
	})
}

// Guarantees the same of a plan that is made while the project is changed.
func TestLimitsOfProjectAndPlanTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Postgres(t)) // SQLite has one transaction at a time
	ann := w.signUp("ann@example.com")
	_, project := w.tenant(ann)
	before, err := project.Get()
	w.check(err)
	there, err := w.Another(service.Options{Store: storetest.NewBreakable(t, w.DSN)}).Project(w.Context(), ann, before.ID)
	w.check(err)
	statements, changed := &storetest.Fault{}, make(chan error)
	w.check(w.Store.InTx(w.Context(), func(ctx context.Context, tx *repository.Store) error {
		if _, err := tx.LockProject(ctx, before.Scope()); err != nil {
			return err
		}
		go func() {
			limits := rates("q", 10)
			_, err := there.Update(statements.Context(w.Context()), domain.ProjectPatch{Limits: &limits})
			changed <- err
		}()
		servicetest.Eventually(t, "the change of the project to begin", func() bool { return len(statements.Seen()) > 1 })
		return tx.CreatePlan(ctx, before.Scope(), domain.Plan{
			ID: domain.NewID[domain.PlanID](w.Now()), ProjectID: before.ID, Name: "large", Limits: rates("p", 7),
			CreatedAt: w.Now(), UpdatedAt: w.Now(), Revision: 1,
		})
	}))
	w.code(<-changed, domain.CodeValidationFailed)
}
