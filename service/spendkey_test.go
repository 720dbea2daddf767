package service_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// Guarantees in both databases that what one node has taken is given back by another one,
// also before the first one has reported it: nothing is lost, and all nodes together
// admit what there is and no more.
func TestGivingBackAtAnotherNode(t *testing.T) {
	onEach(t, func(w *world) {
		project, key, token := w.limitedProject(
			domain.Limit{Name: "tokens", Type: domain.Quota, Limit: domain.Allow(1000), Period: domain.PeriodMonth, Cost: new(int64(0))},
			domain.Limit{Name: "credits", Type: domain.Credits, Initial: new(int64(1000)), Cost: new(int64(0))})
		other := w.Another(service.Options{})
		end := servicetest.Follow(w.T, other)
		home, err := project.Get()
		w.check(err)
		there, err := other.Project(w.Context(), project.Caller(), home.ID)
		w.check(err)
		for range 5 {
			v, err := project.VerifyKey(w.Context(), service.Question{Token: token, Cost: domain.Cost{"tokens": 100, "credits": 10}})
			w.check(err)
			less := domain.Spending{KeyID: key.ID, Cost: map[string]int64{"tokens": -90, "credits": -9}, SpendID: v.SpendID}
			for range 2 {
				done, err := there.SpendKey(w.Context(), less)
				if w.check(err); done.Spent["tokens"] != -90 || done.Spent["credits"] != -9 {
					t.Errorf("got %v given back", done)
				}
			}
		}
		if got := w.countEvents("limit.given_back"); got != 0 {
			t.Errorf("got %d events of what verifications had taken", got)
		}
		_, err = project.SpendKey(w.Context(), domain.Spending{Token: domain.Hidden(token), Cost: map[string]int64{"tokens": -1}})
		if w.check(err); w.countEvents("limit.given_back") != 1 {
			t.Error("got no event of what a member has given back")
		}
		end() // it returns what it has
		for want, name := range map[int64]string{951: "tokens", 995: "credits"} {
			done, err := project.SpendKey(w.Context(), domain.Spending{
				KeyID: key.ID, Cost: map[string]int64{name: 2000}, IdempotencyKey: "once-and-no-more-" + domain.Hidden(name),
			})
			if w.check(err); done.Spent[name] != want || done.Short[name] != 2000-want {
				t.Errorf("got %v of %s, want %d spent", done, name, want)
			}
		}
		health, err := w.Store.CheckHealth(w.Context())
		if w.check(err); len(health.Faults) > 0 {
			t.Errorf("the books do not balance: %v", health.Faults)
		}
	})
}
