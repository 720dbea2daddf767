package console_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// An invitation made in one browser is accepted in another, by somebody who had
// no account before; as a viewer they see no button that would be refused.
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
