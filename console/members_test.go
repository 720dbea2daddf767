package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// A person without an account accepts, in their own browser, an invitation made in
// another. As a viewer they see no button that the service would refuse.
func TestInvitation(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	org, project, p := ann.project(t, "Acme", "Documents API")
	key, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing-service"})
	if err != nil {
		t.Fatal(err)
	}

	a := newTab(t, s).signedIn(ann)
	a.open("/console/organizations/" + string(org.ID) + "/members")
	a.fill("email", "bob@example.com").choose("role", "viewer").follow("Invite")
	a.shows("The invitation is ready")
	link := a.text("#link")

	b := newTab(t, s)
	b.open(link[len(s.URL):])
	b.follow("Create an account")
	b.fill("name", "Bob").fill("email", "bob@example.com").fill("password", password).follow("Create account")
	b.shows("You are invited")
	b.follow("Accept the invitation")
	b.shows("Documents API")

	base := "/console/projects/" + string(project.ID)
	for path, refused := range map[string][]string{
		"/console/organizations/" + string(org.ID):              {"New project", "Settings", "Audit log"},
		"/console/organizations/" + string(org.ID) + "/members": {"Invite", "Change", "Remove", "Withdraw"},
		base:                             {"New key", "Create a key", "Settings"},
		base + "/keys":                   {"New key", "data-ticked"},
		base + "/keys/" + string(key.ID): {"Change…", "Rotate…", "Revoke…", "Delete…", "History"},
	} {
		if got, want := b.open(path), int64(200); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
		source := b.source()
		for _, text := range refused {
			if strings.Contains(source, text) {
				t.Errorf("%s offers a viewer %q", path, text)
			}
		}
	}
	for _, path := range []string{
		base + "/keys/new", base + "/settings", "/console/organizations/" + string(org.ID) + "/settings",
		"/console/organizations/" + string(org.ID) + "/audit", "/console/organizations/" + string(org.ID) + "/projects/new",
	} {
		if got, want := b.open(path), int64(403); got != want {
			t.Errorf("a viewer at %s: got %d, want %d", path, got, want)
		}
	}
}

// A developer is offered no rotation of a key that may do what they may not,
// and no scope that they could not give.
func TestOffersNoMoreThanHeld(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob := s.signUp(t, "ann@example.com"), s.signUp(t, "bob@example.com")
	org, _, p := ann.project(t, "Acme", "Documents API")
	o, err := s.App.Organization(t.Context(), ann.caller, org.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := o.CreateInvitation(t.Context(), domain.InvitationSpec{Email: "bob@example.com", Role: domain.Developer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.App.AcceptInvitation(t.Context(), bob.caller, token); err != nil {
		t.Fatal(err)
	}
	for scope, offered := range map[domain.Scope]bool{domain.ProjectWrite: false, domain.KeysVerify: true} {
		key, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "service", Scopes: []domain.Scope{scope}})
		if err != nil {
			t.Fatal(err)
		}
		page := bob.send(t, http.MethodGet, "/console/projects/"+string(key.ProjectID)+"/keys/"+string(key.ID), nil, nil)
		if got := strings.Contains(page.Body, "Rotate the key"); got != offered {
			t.Errorf("rotation of a key with %s: offered %t, want %t", scope, got, offered)
		}
		form := bob.send(t, http.MethodGet, "/console/projects/"+string(key.ProjectID)+"/keys/new", nil, nil)
		if got := strings.Contains(form.Body, `value="`+string(scope)+`"`); got != offered {
			t.Errorf("the scope %s: offered %t, want %t", scope, got, offered)
		}
	}
}
