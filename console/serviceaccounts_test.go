package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that an owner makes a service account and its tokens with forms alone, that
// a token is shown once, and that a viewer sees none of it.
func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob := s.signUp(t, "ann@example.com"), s.signUp(t, "bob@example.com")
	organization, _, _ := ann.project(t, "Acme", "Documents API")
	user, _ := bob.caller.User()
	err := s.Store.AddMember(t.Context(), organization.Scope(), domain.Membership{
		UserID: user.User.ID, Role: domain.Viewer, JoinedAt: s.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	base := "/console/organizations/" + string(organization.ID) + "/service-accounts"
	send := func(p person, path string, form url.Values, want int) string {
		t.Helper()
		got := p.send(t, http.MethodPost, path, form, nil)
		if got.Status != want {
			t.Fatalf("%s %v: got %d, want %d\n%s", path, form, got.Status, want, got.Body)
		}
		return got.Body
	}
	shows := func(path string, texts ...string) {
		t.Helper()
		page := ann.get(t, path)
		for _, text := range texts {
			if !strings.Contains(page, text) {
				t.Errorf("%s does not show %q", path, text)
			}
		}
	}

	shows(base, "No service accounts yet")
	made := url.Values{"name": {"terraform"}, "role": {"admin"}, "nonce": {"a-nonce-of-the-first-form"}, "may_delete_projects": {"yes"}}
	send(bob, base, made, http.StatusForbidden)
	send(ann, base, url.Values{"name": {""}, "role": {"owner"}}, http.StatusUnprocessableEntity)
	send(ann, base, made, http.StatusSeeOther)
	send(ann, base, made, http.StatusSeeOther) // sent twice, made once
	shows(base, ">terraform</a>", "may delete projects")
	o, err := s.App.Organization(t.Context(), ann.caller, organization.ID)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := o.ListServiceAccounts(t.Context(), domain.Page{Limit: 10})
	if err != nil || len(accounts.Items) != 1 {
		t.Fatalf("got %v, %v, want one account", accounts.Items, err)
	}
	account := base + "/" + string(accounts.Items[0].ID)
	if got := bob.send(t, http.MethodGet, account, nil, nil); got.Status != http.StatusForbidden {
		t.Errorf("a viewer got %d", got.Status)
	}

	form := url.Values{"name": {"pipeline"}, "days": {"never"}, "nonce": {"a-nonce-of-another-form"}}
	anyToken := regexp.MustCompile(`lks_live_([0-9A-Za-z]{12})_[0-9A-Za-z]{49}`)
	token := anyToken.FindStringSubmatch(send(ann, account+"/tokens", form, http.StatusOK))
	if token == nil {
		t.Fatal("no token is shown")
	}
	if again := send(ann, account+"/tokens", form, http.StatusSeeOther); strings.Contains(again, token[0]) {
		t.Error("the token is shown twice")
	}
	shows(account, "pipeline", "never expires", "never used")
	if strings.Contains(ann.get(t, account), token[0]) {
		t.Error("the page shows the token again")
	}
	if _, err := s.ProveUser(t.Context(), token[0]); err != nil {
		t.Errorf("the token proves no one: %v", err)
	}
	send(ann, account+"/tokens", url.Values{"name": {""}}, http.StatusUnprocessableEntity)
	send(ann, account, url.Values{"name": {"tf"}, "role": {"viewer"}, "status": {"disabled"}, "revision": {"1"}}, http.StatusSeeOther)
	late := url.Values{"name": {"x"}, "role": {"viewer"}, "status": {"active"}, "revision": {"1"}}
	send(ann, account, late, http.StatusPreconditionFailed)
	shows(base, "disabled", ">tf</a>")
	if _, err := s.ProveUser(t.Context(), token[0]); domain.CodeOf(err) != domain.CodeInvalidToken {
		t.Errorf("the token of a disabled account: got %v", err)
	}
	send(ann, account+"/tokens/"+token[1], nil, http.StatusSeeOther)
	shows(account, "No tokens yet")
	shows(account+"/delete", "Delete the service account tf?")
	send(ann, account+"/delete", nil, http.StatusSeeOther)
	shows(base, "No service accounts yet")
}
