package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that a developer makes, changes and deletes plans and gives them to keys
// with forms alone, and that a viewer sees plans but changes none.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob := s.signUp(t, "ann@example.com"), s.signUp(t, "bob@example.com")
	organization, project, p := ann.project(t, "Acme", "Documents API")
	user, _ := bob.caller.User()
	err := s.Store.AddMember(t.Context(), organization.Organization.Scope(), domain.Membership{
		UserID: user.User.ID, Role: domain.Viewer, JoinedAt: s.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	base := "/console/projects/" + string(project.ID)
	send := func(who person, path string, f url.Values, status int) string {
		t.Helper()
		got := who.send(t, http.MethodPost, base+path, f, nil)
		if got.Status != status {
			t.Errorf("%s: got %d, want %d: %s", path, got.Status, status, got.Body)
		}
		return got.Body
	}
	shows := func(who person, path string, want ...string) {
		t.Helper()
		page := who.get(t, base+path)
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("%s does not show %q", path, text)
			}
		}
	}
	limits := `[{"name": "requests", "type": "rate", "limit": null}]`
	plan := func() domain.Plan {
		t.Helper()
		plans, err := p.ListPlans(t.Context(), domain.Page{Limit: 10})
		if err != nil || len(plans.Items) != 1 {
			t.Fatalf("got %v, %v, want one plan", plans.Items, err)
		}
		return plans.Items[0]
	}

	shows(ann, "/plans", "No plans yet", "Create the first plan")
	made := url.Values{"name": {"Pro"}, "limits": {limits}, "nonce": {"a-nonce-that-is-hard-to-guess"}}
	send(bob, "/plans", made, http.StatusForbidden)
	send(ann, "/plans", made, http.StatusSeeOther)
	send(ann, "/plans", made, http.StatusSeeOther) // sent twice, made once
	id := string(plan().ID)
	shows(bob, "/plans", ">Pro</a>", "requests", "no limit")
	shows(ann, "/plans/"+id, "<h1>Pro</h1>", "Save changes", "&#34;requests&#34;")
	if page := bob.get(t, base+"/plans/"+id); strings.Contains(page, "Save changes") {
		t.Error("a viewer sees the form of a plan")
	}

	// Limits that are not JSON, have another field or a wrong one are refused at their field.
	for _, bad := range []string{
		"", "requests", `[{"nme": "x"}]`, `[{"name": "r", "type": "quota", "limit": 5, "period": "minute"}]`, limits + limits, "[]]garbage",
	} {
		body := send(ann, "/plans/"+id, url.Values{"name": {"Pro"}, "limits": {bad}, "revision": {"1"}}, http.StatusUnprocessableEntity)
		if !strings.Contains(body, `id="limits-fault"`) {
			t.Errorf("%q: the page does not say what is wrong with the limits", bad)
		}
	}
	send(bob, "/plans/"+id, url.Values{"name": {"Free"}, "limits": {"[]"}, "revision": {"1"}}, http.StatusForbidden)
	send(ann, "/plans/"+id, url.Values{"name": {"Gold"}, "limits": {"[]"}, "revision": {"1"}}, http.StatusSeeOther)
	body := send(ann, "/plans/"+id, url.Values{"name": {"Silver"}, "limits": {"[]"}, "revision": {"1"}}, http.StatusPreconditionFailed)
	if got := plan(); got.Name != "Gold" || len(got.Limits) != 0 || !strings.Contains(body, "Someone else changed this first") {
		t.Errorf("got %+v, want Gold, and the second change refused", got)
	}

	key := url.Values{"name": {"backend"}, "environment": {"live"}, "plan_id": {id}, "nonce": {"another-nonce-hard-to-guess"}}
	shows(ann, "/keys/new", `<option value="`+id+`"`)
	send(ann, "/keys", key, http.StatusOK)
	keys, err := p.ListKeys(t.Context(), domain.KeyFilter{PlanID: plan().ID}, domain.Page{Limit: 10})
	if err != nil || len(keys.Items) != 1 {
		t.Fatalf("got %v, %v, want one key of the plan", keys.Items, err)
	}
	at := "/keys/" + string(keys.Items[0].ID)
	shows(ann, at, "Gold", `<option value="`+id+`" selected`)
	shows(ann, "/keys?plan="+id, "Only keys of the plan", "Gold", "backend")
	shows(ann, "/plans/"+id+"/delete", "cannot be deleted")
	send(ann, "/plans/"+id+"/delete", nil, http.StatusConflict)

	send(ann, at, url.Values{"name": {"backend"}, "plan_id": {""}, "revision": {"1"}}, http.StatusSeeOther)
	shows(ann, "/plans/"+id+"/delete", "No key refers to it")
	send(bob, "/plans/"+id+"/delete", nil, http.StatusForbidden)
	send(ann, "/plans/"+id+"/delete", nil, http.StatusSeeOther)
	shows(ann, "/plans", "No plans yet")
}

// The form of a plan shows what its limits would have done to the requests of its keys,
// or of all keys, and changes nothing.
func TestPlanFormRehearses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	plan, err := p.CreatePlan(t.Context(), domain.PlanSpec{Name: "Pro"})
	must(t, err)
	for _, spec := range []domain.KeySpec{{Name: "busy", PlanID: plan.ID, ExternalID: "globex"}, {Name: "other"}} {
		_, token, err := p.CreateKey(t.Context(), spec)
		must(t, err)
		for range 4 {
			_, err = p.VerifyKey(t.Context(), service.Question{Token: token.Reveal()})
			must(t, err)
		}
	}
	must(t, s.App.RecordUses(t.Context()))
	base := "/console/projects/" + string(project.ID)
	for _, c := range []struct {
		planID, limits string
		want           []string
	}{
		{string(plan.ID), `[{"name":"yearly","type":"quota","limit":3,"period":"year"}]`, []string{
			"1 of 1 key of this plan would have been limited: 1 of 4 requests, 25.00 %", ">busy</a>", ">globex</a>", "<h1>Pro</h1>",
		}},
		{"", `[{"name":"yearly","type":"quota","limit":3,"period":"year"}]`, []string{
			"2 of 2 keys of this project would have been limited: 2 of 8 requests, 25.00 %", "<h1>New plan</h1>",
		}},
		{"", `[{"name":"daily","type":"rate","limit":3,"period":"day"}]`, []string{"at least 2"}},
		{"", `[]`, []string{"0 of 2 keys of this project would have been limited"}},
		{"", `nonsense`, []string{`id="limits-fault"`}},
	} {
		got := ann.send(t, http.MethodPost, base+"/plans/rehearse", url.Values{"plan_id": {c.planID}, "limits": {c.limits}}, nil)
		for _, want := range c.want {
			if !strings.Contains(got.Body, want) {
				t.Errorf("%s %s: got %d, the page lacks %q", c.planID, c.limits, got.Status, want)
			}
		}
	}
	if after, err := p.GetPlan(t.Context(), plan.ID); err != nil || after.Revision != 1 || len(after.Limits) > 0 {
		t.Errorf("got %+v, %v, want the plan as it was", after, err)
	}
}
