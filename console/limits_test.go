package console_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The page of a key shows each limit that holds for it, where it comes from and what is
// left of it.
func TestKeyPageShowsLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	rate := func(name string, limit int64) domain.Limit {
		return domain.Limit{Name: name, Type: domain.RateLimit, Limit: domain.Allow(limit), Period: domain.PeriodDay}
	}
	plan, err := p.CreatePlan(t.Context(), domain.PlanSpec{Name: "Pro", Limits: []domain.Limit{rate("requests", 4000)}})
	if err != nil {
		t.Fatal(err)
	}
	bare, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "bare"})
	if err != nil {
		t.Fatal(err)
	}
	limited, token, err := p.CreateKey(t.Context(), domain.KeySpec{
		Name: "limited", PlanID: plan.ID, Limits: []domain.Limit{rate("exports", 2), rate("nothing", 0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := p.VerifyKey(t.Context(), service.Question{Token: token.Reveal(), Cost: domain.Cost{"nothing": 0}}); err != nil {
			t.Fatal(err)
		}
	}
	base := "/console/projects/" + string(project.ID) + "/keys/"
	if page := ann.get(t, base+string(bare.ID)); strings.Contains(page, "<h2>Limits</h2>") {
		t.Error("the page of a key without limits shows limits")
	}
	page := ann.get(t, base+string(limited.ID))
	for _, want := range []string{
		"4,000 a day · of the plan", "requests: 2 of 4,000 used, 3,998 left",
		"2 a day · of this key", "exports: 2 of 2 used, 0 left", "nothing: 0 of 0 used, 0 left",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
