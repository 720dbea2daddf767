package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// A person sets up an empty instance, creates a key and uses it until the end of its
// life, with JavaScript and without. Only the answer that issued the token shows it.
func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			b := newTab(t, s)
			if !scripts {
				b.withoutScripts()
			}
			b.open("/")
			b.shows("Set up Latchkey")
			b.fill("name", "Ann").fill("email", "ann@example.com").fill("password", password).follow("Create account")
			b.fill("name", "Acme").fill("project", "Documents API").follow("Continue")
			b.shows("Quick start")
			b.fill("name", "billing-service").follow("Create a key")
			b.fill("more_scopes", "documents:read").follow("Create key")
			b.shows("Your key is ready")
			token := b.text("#token")
			if got, want := s.call(t.Context(), t, token), http.StatusOK; got != want {
				t.Fatalf("the new key: got %d, want %d", got, want)
			}

			s.Pass(time.Second)
			b.reload()
			b.shows("billing-service")
			b.hides("Your key is ready")
			if strings.Contains(b.source(), token) {
				t.Fatal("the token is still in the page after a reload")
			}

			b.press("Change").fill("name", "billing").follow("Save changes")
			b.shows("Saved.")
			if got, want := b.text("h1"), "billing"; !strings.HasPrefix(got, want) {
				t.Errorf("after the change of name: got %q, want %q", got, want)
			}

			b.press("Rotate").follow("Rotate the key")
			b.shows("Your new token")
			rotated := b.text("#token")
			for name, token := range map[string]string{"old": token, "new": rotated} {
				if got, want := s.call(t.Context(), t, token), http.StatusOK; got != want {
					t.Errorf("the %s token within the grace: got %d, want %d", name, got, want)
				}
			}
			s.Pass(time.Second)
			b.reload()
			b.shows("still works for")
			if source := b.source(); strings.Contains(source, rotated) || strings.Contains(source, token) {
				t.Fatal("a token is in the page after the reload")
			}
			s.Pass(25 * time.Hour)
			b.reload()
			b.hides("still works for")
			for token, want := range map[string]int{token: http.StatusUnauthorized, rotated: http.StatusOK} {
				if got := s.call(t.Context(), t, token); got != want {
					t.Errorf("after the grace: got %d, want %d", got, want)
				}
			}

			b.press("Revoke").fill("reason", "Found in a log").follow("Revoke the key")
			b.shows("Found in a log")
			if got, want := s.call(t.Context(), t, rotated), http.StatusUnauthorized; got != want {
				t.Errorf("after the revocation: got %d, want %d", got, want)
			}
			b.hides("Change…")
			b.hides("Rotate…")
			b.press("Delete").follow("Delete the key")
			b.shows("The key is deleted")
			b.shows("No keys yet")
		})
	}
}

// Typing narrows the list without a page load, the address says what is shown,
// and going back from a key's page finds the list as it was.
func TestSearchAsYouType(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	for _, name := range []string{"billing-service", "mobile-backend", "nightly-export"} {
		if _, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	b := newTab(t, s).signedIn(ann)
	b.open("/console/projects/" + string(project.ID) + "/keys")
	b.eval(`window.same = true`)
	b.fill("search", "BILL")
	b.waits(`!document.body.innerText.includes("nightly-export")`)
	b.shows("billing-service")
	b.waits(`location.search.includes("search=BILL")`)
	b.waits(`window.same`)

	b.follow("billing-service")
	b.shows("History")
	b.eval(`history.back()`)
	b.shows("billing-service")
	b.waits(`document.querySelector("#search")?.value === "BILL"`)
	b.hides("nightly-export")

	b.choose("status", "revoked")
	b.shows("No key matches")
}

// Ticked keys are revoked together, with a reason, after a look at which.
func TestBulkRevoke(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	tokens := map[string]string{}
	for _, name := range []string{"one", "two", "three"} {
		_, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = token.Reveal()
	}
	b := newTab(t, s).signedIn(ann)
	b.open("/console/projects/" + string(project.ID) + "/keys")
	b.eval(`for (const name of ["one", "two"]) document.querySelector('[aria-label="Select ' + name + '"]').click()`)
	b.follow("Revoke 2 keys")
	b.shows("Revoke 2 keys?")
	b.hides("three")
	b.fill("reason", "The partner left").follow("Revoke 2 keys")
	b.shows("The keys are revoked")
	for name, want := range map[string]int{"one": 401, "two": 401, "three": 200} {
		if got := s.call(t.Context(), t, tokens[name]); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}

// The download holds the token and comes from the page itself, not from the
// server, and copying copies the whole token.
func TestTakingTheTokenAlong(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, _ := ann.project(t, "Acme", "Documents API")
	b := newTab(t, s).signedIn(ann)
	b.open("/console/projects/" + string(project.ID) + "/keys/new")
	b.fill("name", "billing-service").follow("Create key")
	token := b.text("#token")
	b.waits(fmt.Sprintf(`decodeURIComponent(document.querySelector("a[download]").href) ===
		"data:text/plain;charset=utf-8,LATCHKEY_API_KEY=" + %q + "\n"`, token))
	b.eval(`window.copied = []; navigator.clipboard.writeText = async (text) => { copied.push(text) }`)
	b.press("Copy").waits(fmt.Sprintf(`copied[0] === %q`, token))

	// With JavaScript even a reload does not send the form again.
	b.reload()
	b.hides("Your key is ready")
}

// Sending the form of a new key twice makes one key, and the second answer has
// no token.
func TestFormSentTwice(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	path := "/console/projects/" + string(project.ID) + "/keys"
	form := url.Values{"name": {"billing-service"}, "environment": {"live"}, "expires": {"30"}, "nonce": {"a-nonce-that-is-hard-to-guess"}}
	first := ann.send(t, http.MethodPost, path, form, nil)
	if first.Status != http.StatusOK || !strings.Contains(first.Body, "Your key is ready") {
		t.Fatalf("the first time: got %d", first.Status)
	}
	s.Pass(-time.Second) // as where another node answers, whose clock is behind
	second := ann.send(t, http.MethodPost, path, form, nil)
	if second.Status != http.StatusSeeOther || strings.Contains(second.Body, "lk_live_") {
		t.Errorf("the second time: got %d, want a redirect without a token", second.Status)
	}
	keys, err := p.ListKeys(t.Context(), domain.KeyFilter{}, domain.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(keys.Items), 1; got != want {
		t.Errorf("got %d keys, want %d", got, want)
	}
	form.Set("name", "another")
	third := ann.send(t, http.MethodPost, path, form, nil)
	if third.Status != http.StatusUnprocessableEntity || strings.Contains(third.Body, `value="a-nonce`) {
		t.Errorf("another key from the same form: got %d, want 422 and a fresh nonce", third.Status)
	}

	for name, test := range map[string]struct {
		path, shows string
		form        url.Values
	}{
		"a rotation":    {path + "/" + string(keys.Items[0].ID) + "/rotate", "Your new token", url.Values{"grace": {"1h0m0s"}}},
		"an invitation": {"/console/organizations/" + string(project.OrganizationID) + "/invitations", "#token=", url.Values{"email": {"bob@example.com"}, "role": {"viewer"}}},
	} {
		test.form.Set("nonce", "another-nonce-for-"+strings.ReplaceAll(name, " ", "-"))
		first := ann.send(t, http.MethodPost, test.path, test.form, nil)
		if first.Status != http.StatusOK || !strings.Contains(first.Body, test.shows) {
			t.Fatalf("%s: got %d, want it to show %s", name, first.Status, test.shows)
		}
		s.Pass(-time.Second)
		second := ann.send(t, http.MethodPost, test.path, test.form, nil)
		if second.Status != http.StatusSeeOther || strings.Contains(second.Body, test.shows) {
			t.Errorf("%s, sent twice: got %d, want a redirect without a token", name, second.Status)
		}
	}
}

// A form does not overwrite a change that someone else made while it was open: the
// first attempt shows that, the second replaces the change.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, _, p := ann.project(t, "Acme", "Documents API")
	key, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing-service"})
	if err != nil {
		t.Fatal(err)
	}
	path := "/console/projects/" + string(key.ProjectID) + "/keys/" + string(key.ID)
	form := url.Values{"name": {"mine"}, "expires": {"never"}, "revision": {"1"}}
	theirs := "theirs"
	if _, err := p.UpdateKey(t.Context(), key.ID, domain.KeyPatch{Name: &theirs}); err != nil {
		t.Fatal(err)
	}
	first := ann.send(t, http.MethodPost, path, form, nil)
	if first.Status != http.StatusPreconditionFailed || !strings.Contains(first.Body, `name="revision" value="2"`) ||
		!strings.Contains(first.Body, `value="mine"`) {
		t.Errorf("the first time: got %d, want 412 and the form with the new revision", first.Status)
	}
	form.Set("revision", "2")
	if got, want := ann.send(t, http.MethodPost, path, form, nil).Status, http.StatusSeeOther; got != want {
		t.Errorf("the second time: got %d, want %d", got, want)
	}
	form.Del("revision")
	if got, want := ann.send(t, http.MethodPost, path, form, nil).Status, http.StatusPreconditionFailed; got != want {
		t.Errorf("without a revision: got %d, want %d", got, want)
	}
}

// A key's page says whether the token before a rotation is still sent, and the list
// finds keys that no one uses.
func TestRetiringTokenShowsItsLastUse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	key, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.RotateKey(t.Context(), key.ID, domain.Rotation{}); err != nil {
		t.Fatal(err)
	}
	path := "/console/projects/" + string(project.ID) + "/keys/" + string(key.ID)
	shows := func(want string) {
		t.Helper()
		if got := ann.send(t, http.MethodGet, path, nil, nil).Body; !strings.Contains(got, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	shows("It has not been used.")
	if got := s.call(t.Context(), t, token.Reveal()); got != http.StatusOK {
		t.Fatalf("got %d, want 200", got)
	}
	if err := s.App.RecordUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	shows("It was last used <time")
	list := "/console/projects/" + string(project.ID) + "/keys?used="
	lists := func(used string, want bool) {
		t.Helper()
		page := ann.get(t, list+used)
		if got := strings.Contains(page, string(key.ID)); got != want || !strings.Contains(page, `value="`+used+`" selected`) {
			t.Errorf("%s: lists the key: %t, want %t, and the choice is kept", used, got, want)
		}
	}
	lists("never", false)
	lists("idle", false)
	s.Pass(90*24*time.Hour + time.Second)
	again, err := s.App.LogIn(t.Context(), domain.Origin{}, "ann@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	ann.cookie = again.Cookie
	lists("idle", true)
}

// The form's fields become the key's: a last day counts whole, scopes come from
// boxes and from the line beside them, metadata from lines.
func TestNewKeyFields(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	path := "/console/projects/" + string(project.ID) + "/keys"
	form := url.Values{
		"name": {" billing-service "}, "environment": {"test"},
		"scopes": {"keys:verify"}, "more_scopes": {"documents:read, documents:write keys:verify"},
		"expires": {"date"}, "expires_on": {"2031-12-31"}, "external_id": {"customer-7"},
		"metadata": {"plan = pro\r\n\r\nnote=a=b\r\nflag"}, "nonce": {"a-nonce-that-is-hard-to-guess"},
	}
	if got, want := ann.send(t, http.MethodPost, path, form, nil).Status, http.StatusOK; got != want {
		t.Fatalf("got %d, want %d", got, want)
	}
	keys, err := p.ListKeys(t.Context(), domain.KeyFilter{}, domain.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	key := keys.Items[0]
	got := domain.KeySpec{
		Name: key.Name, Environment: key.Environment, Scopes: key.Scopes, ExternalID: key.ExternalID,
		Metadata: key.Metadata, ExpiresAt: key.ExpiresAt,
	}
	want := domain.KeySpec{
		Name: "billing-service", Environment: domain.Test, Scopes: []domain.Scope{"keys:verify", "documents:read", "documents:write"},
		ExternalID: "customer-7", Metadata: map[string]string{"plan": "pro", "note": "a=b", "flag": ""},
		ExpiresAt: time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	form.Set("expires_on", "tomorrow")
	refused := ann.send(t, http.MethodPost, path, form, nil)
	if refused.Status != http.StatusUnprocessableEntity || !strings.Contains(refused.Body, "Must be a date") {
		t.Errorf("a date that is none: got %d, want 422 and what is wrong", refused.Status)
	}
}
