package service_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// admits returns how many requests of a key a node admits, of n.
func (w *world) admits(node *service.App, token string, n int) (admitted int) {
	w.Helper()
	key, err := node.ProveKey(w.Context(), token, nil)
	w.check(err)
	for range n {
		if d := node.Spend(w.Context(), key, nil); d.Admitted() {
			admitted++
		}
	}
	return admitted
}

// knowsNodes waits until a node knows how many there are.
func (w *world) knowsNodes(node *service.App, token string, n int) {
	w.Helper()
	for {
		key, err := node.ProveKey(w.Context(), token, nil)
		w.check(err)
		look := node.Spend(w.Context(), key, domain.Cost{"requests": 0})
		if look.Share.Nodes == n {
			return
		}
		runtime.Gosched()
	}
}

// Guarantees that two nodes together admit what a limit allows, and that a reset and
// a change of a plan reach both.
func TestNodesShareALimit(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		limit := func(n int64) []domain.Limit {
			return []domain.Limit{{Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(n), Period: domain.PeriodDay}}
		}
		plan, err := project.CreatePlan(w.Context(), domain.PlanSpec{Name: "Pro", Limits: limit(11)})
		w.check(err)
		key, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", PlanID: plan.ID})
		w.check(err)
		other := w.Another(service.Options{})
		servicetest.Follow(w.T, other)
		w.knowsNodes(w.App, token.Reveal(), 2)
		w.knowsNodes(other, token.Reveal(), 2)
		here, there := w.admits(w.App, token.Reveal(), 20), w.admits(other, token.Reveal(), 20)
		if here+there != 11 || min(here, there) != 5 {
			t.Errorf("got %d and %d requests admitted, want 11 together", here, there)
		}
		_, err = project.ResetLimit(w.Context(), key.ID, "requests", "a test")
		w.check(err)
		for there = 0; there == 0; { // until it has heard of it
			there = w.admits(other, token.Reveal(), 20)
		}
		if here := w.admits(w.App, token.Reveal(), 20); here+there != 11 {
			t.Errorf("got %d and %d requests admitted after a reset, want 11 together", here, there)
		}
		if got := w.countEvents("limit.reset"); got != 1 {
			t.Errorf("got %d events of a reset, want 1", got)
		}
	})
}

// Guarantees that limits hold at a node that does not follow changes, too, and that a
// change to a plan holds for the next request there.
func TestLimitsOfANodeThatDoesNotFollow(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		limits := []domain.Limit{{Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(2), Period: domain.PeriodDay}}
		plan, err := project.CreatePlan(w.Context(), domain.PlanSpec{Name: "Pro", Limits: limits})
		w.check(err)
		_, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", PlanID: plan.ID})
		w.check(err)
		lone := w.Another(service.Options{})
		if got := w.admits(lone, token.Reveal(), 5); got != 2 {
			t.Errorf("got %d requests admitted, want 2", got)
		}
		_, err = project.UpdatePlan(w.Context(), plan.ID, domain.PlanPatch{Limits: new([]domain.Limit{})})
		w.check(err)
		if got := w.admits(lone, token.Reveal(), 5); got != 5 {
			t.Errorf("got %d requests admitted by a plan without limits, want 5", got)
		}
	})
}

// Guarantees that a request that learns late what it costs, such as one that streams
// for minutes, is charged to its own key, although the meter has given the line of
// that key to another key of the project.
func TestLateCostsAreOfTheKeyThatCalls(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		limited := func(units int64) domain.KeySpec {
			return domain.KeySpec{Name: "k", Limits: []domain.Limit{
				{Name: "tokens", Type: domain.RateLimit, Limit: domain.Allow(units), Period: domain.PeriodDay}}}
		}
		created, token, err := project.CreateKey(w.Context(), limited(100))
		w.check(err)
		_, otherToken, err := project.CreateKey(w.Context(), limited(3))
		w.check(err)
		w.key(project) // a third key, so that the cache keeps the project
		calling, err := w.App.ProveKey(w.Context(), token.Reveal(), nil)
		w.check(err)
		_, err = project.UpdateKey(w.Context(), created.ID, domain.KeyPatch{Name: new("changed")})
		w.check(err)
		for range 10 { // the line rests for some intervals
			w.check(w.App.RecordUses(w.Context()))
		}
		other, err := w.App.ProveKey(w.Context(), otherToken.Reveal(), nil)
		w.check(err)
		if other.Line() != calling.Line() {
			t.Fatal("the line has not been given to another key")
		}
		if d := w.App.SpendMore(w.Context(), calling, domain.Cost{"tokens": 5}); !d.Admitted() {
			t.Errorf("got %s for 5 of 100 units", d.Code)
		}
		if d := w.App.Spend(w.Context(), other, domain.Cost{"tokens": 4}); d.Admitted() {
			t.Error("4 of 3 units were admitted")
		}
		if d := w.App.SpendMore(w.Context(), calling, domain.Cost{"tokens": 90}); !d.Admitted() {
			t.Errorf("got %s for 90 of 95 units", d.Code)
		}
	})
}

// Guarantees that a reset gives one burst: the node that resets a limit hears of it a
// second time when it reads what has changed.
func TestResetIsAppliedOnce(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", Limits: []domain.Limit{
			{Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(3), Period: domain.PeriodDay}}})
		w.check(err)
		_, err = project.ResetLimit(w.Context(), key.ID, "requests", "a test")
		w.check(err)
		done := time.Now()
		admitted := w.admits(w.App, token.Reveal(), 5)
		for w.App.SyncLag() >= time.Since(done) { // until the node has read all changes up to the reset
			runtime.Gosched()
		}
		if admitted += w.admits(w.App, token.Reveal(), 5); admitted != 3 {
			t.Errorf("got %d requests admitted after a reset, want 3", admitted)
		}
	})
}
