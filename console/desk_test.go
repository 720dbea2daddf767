package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that the leak desk finds a key by what people paste, in whichever of their
// organizations it is, and that the secret of the token is in no address, page or request
// line; with JavaScript it does not even leave the page.
func TestDeskFindsWhatIsPasted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, _, first := ann.project(t, "Acme", "Documents API")
	_, _, second := ann.project(t, "Globex", "Billing API")
	key, token, err := second.CreateKey(t.Context(), domain.KeySpec{Name: "billing", ExternalID: "customer-4711"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := first.CreateKey(t.Context(), domain.KeySpec{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	for name, scripts := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTab(t, s).signedIn(ann)
			if !scripts {
				b.withoutScripts()
			}
			for what, pasted := range map[string]string{
				"token": token.Reveal(), "cut token": token.Reveal()[:40], "id": string(key.ID), "external id": "customer-4711",
				"public part": token.Prefix(), "spaces": "  " + token.Reveal() + " ",
			} {
				b.open("/console/desk")
				b.fill("leaked", pasted)
				b.follow("Find the key")
				b.shows("Billing API")
				b.shows("Globex")
				b.secretless(what, token)
				if shown := b.evaluated(`document.documentElement.outerHTML`); strings.Contains(shown, token.Reveal()[30:50]) {
					t.Errorf("%s: the page shows the secret", what)
				}
			}
			b.open("/console/desk")
			b.fill("leaked", "lk_live_"+strings.Repeat("A", 61))
			b.follow("Find the key")
			b.shows("No key of your organizations")
			if !scripts {
				return
			}
			b.open("/console/desk")
			b.fill("leaked", token.Reveal())
			sent := b.evaluated(`(() => { const form = document.querySelector("[data-public-only]"); ` +
				`form.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true })); return form.elements.leaked.value; })()`)
			if sent != token.Prefix() {
				t.Errorf("the page would send %.12s…, want the public part", sent)
			}
		})
	}
}

// Guarantees that the desk shows a person nothing of organizations that they are not in,
// and offers to end a key only to those who may.
func TestDeskShowsOnlyOwnKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, eve := s.signUp(t, "ann@example.com"), s.signUp(t, "eve@example.com")
	org, _, p := ann.project(t, "Acme", "Documents API")
	key, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing", ExternalID: "customer-4711"})
	if err != nil {
		t.Fatal(err)
	}
	desk := func(of person, text string) string {
		t.Helper()
		res := of.send(t, http.MethodPost, "/console/desk", url.Values{"leaked": {text}}, nil)
		if res.Status != http.StatusOK {
			t.Errorf("got %d: %s", res.Status, res.Body)
		}
		return res.Body
	}
	for _, text := range []string{token.Reveal(), string(key.ID), "customer-4711"} {
		if shown := desk(ann, text); !strings.Contains(shown, "Revoke now") || !strings.Contains(shown, "Rotate now") {
			t.Errorf("the owner gets %s", shown)
		}
		if shown := desk(eve, text); strings.Contains(shown, "billing") || !strings.Contains(shown, "No key of your organizations") ||
			strings.Contains(shown, "customer-4711") {
			t.Errorf("a stranger gets %s", shown)
		}
	}
	user, _ := eve.caller.User()
	err = s.Store.AddMember(t.Context(), org.Organization.Scope(), domain.Membership{
		UserID: user.User.ID, Role: domain.Viewer, JoinedAt: s.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if shown := desk(eve, token.Reveal()); !strings.Contains(shown, "billing") || strings.Contains(shown, "Revoke now") {
		t.Errorf("a viewer gets %s", shown)
	}
	res := ann.send(t, http.MethodPost, "/console/projects/"+string(key.ProjectID)+"/keys/"+string(key.ID)+"/revoke",
		url.Values{"reason": {"leaked"}}, nil)
	if res.Status != http.StatusSeeOther {
		t.Errorf("revoking: got %d", res.Status)
	}
	if shown := desk(ann, token.Reveal()); !strings.Contains(shown, "Nothing is left to do") {
		t.Errorf("after the revocation: got %s", shown)
	}
}
