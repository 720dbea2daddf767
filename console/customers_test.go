package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that the pages of customers show what a customer has and uses, and that a
// developer grants credits there and takes them back, after a confirmation and once for
// each form, while a viewer sees them and changes none.
func TestCustomerPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob := s.signUp(t, "ann@example.com"), s.signUp(t, "bob@example.com")
	organization, project, p := ann.project(t, "Acme", "Documents API")
	user, _ := bob.caller.User()
	must(t, s.Store.AddMember(t.Context(), organization.Organization.Scope(), domain.Membership{
		UserID: user.User.ID, Role: domain.Viewer, JoinedAt: s.Now(),
	}))
	base := "/console/projects/" + string(project.ID)
	send := func(who person, path string, f url.Values, status int) string {
		t.Helper()
		got := who.send(t, http.MethodPost, base+path, f, nil)
		if got.Status != status {
			t.Errorf("%s: got %d, want %d: %s", path, got.Status, status, got.Body)
		}
		return got.Body
	}
	shows := func(page string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
	}
	shows(ann.get(t, base+"/customers"), "No customers yet")
	shows(ann.get(t, base+"/credits"), "No credits yet")

	plan, err := p.CreatePlan(t.Context(), domain.PlanSpec{Name: "Pro", Limits: []domain.Limit{
		{Name: "tokens", Type: domain.Credits, Initial: new(int64(1000)), Per: domain.PerExternalID},
		{Name: "monthly", Type: domain.Quota, Limit: domain.Allow(50), Period: domain.PeriodMonth, Per: domain.PerExternalID},
		{Name: "own", Type: domain.Quota, Limit: domain.Allow(50), Period: domain.PeriodMonth},
	}})
	must(t, err)
	_, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "sync", ExternalID: "globex/1", PlanID: plan.ID})
	must(t, err)
	for range 3 {
		_, err := p.VerifyKey(t.Context(), service.Question{Token: token.Reveal()})
		must(t, err)
	}
	must(t, s.App.RecordUses(t.Context()))

	customer := base + "/customers/show?external_id=globex%2F1"
	shows(ann.get(t, base+"/customers"), ">globex/1</a>", "3 requests in 30 days")
	page := ann.get(t, customer)
	shows(page, "3 valid", "The same as a table", "Shared limits", "997 left", "47 left", "of the plan Pro", "sync", "Grant…")
	if strings.Contains(page, "<h3>own ") {
		t.Error("a limit that each key has for itself is shown as shared")
	}
	if page := bob.get(t, customer); strings.Contains(page, "Grant…") || !strings.Contains(page, "997 left") {
		t.Error("a viewer must see the credits, and no form that grants them")
	}

	shows(ann.get(t, base+"/credits/new?external_id=globex%2F1&limit=tokens"), "Grant credits to globex/1")
	f := url.Values{"external_id": {"globex/1"}, "limit": {"tokens"}, "amount": {"0"}, "reason": {"invoice 7"}}
	shows(send(ann, "/credits/confirm", f, http.StatusUnprocessableEntity), `id="amount-fault"`)
	f.Set("amount", "1,500")
	shows(send(ann, "/credits/confirm", f, http.StatusOK), "Grant 1,500 credits to globex/1?", "invoice 7", `value="1500"`)
	f.Set("nonce", "a-nonce-that-is-hard-to-guess")
	send(bob, "/credits/confirm", f, http.StatusForbidden)
	send(bob, "/credits", f, http.StatusForbidden)
	send(ann, "/credits", f, http.StatusSeeOther)
	send(ann, "/credits", f, http.StatusSeeOther) // sent twice, granted once
	shows(ann.get(t, customer+"&notice=granted"), "The credits are granted", "2,497 left", "&#43;1,500", "invoice 7")
	f.Set("amount", "-9,999")
	shows(send(ann, "/credits/confirm", f, http.StatusOK), "Take 9,999 credits back from globex/1?")
	f.Set("nonce", "another-nonce-hard-to-guess")
	send(ann, "/credits", f, http.StatusSeeOther)
	shows(ann.get(t, base+"/credits?external_id=globex%2F1"), "&#43;1,500", "grant", "initial", "Export as CSV")
	shows(ann.get(t, base+"/credits/export?external_id=globex%2F1"), "id,created_at,limit", "invoice 7")
	f.Set("limit", "nothing")
	f.Set("nonce", "a-third-nonce-hard-to-guess")
	shows(send(ann, "/credits", f, http.StatusUnprocessableEntity), "Limit: Must be the name of credits")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
