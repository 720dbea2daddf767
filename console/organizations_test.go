package console_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Deleting asks for the name, and for the password when the sign-in is no
// longer fresh; then the keys are dead.
func TestDeleteProject(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	_, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing-service"})
	if err != nil {
		t.Fatal(err)
	}
	s.Pass(time.Hour)
	b := newTab(t, s).signedIn(ann)
	settings := "/console/projects/" + string(project.ID) + "/settings"
	b.open(settings)
	b.press("Delete this project").fill("confirm", "Documents").follow("Delete the project")
	b.shows("Nothing was changed")
	b.fill("confirm", "Documents API").follow("Delete the project")
	b.shows("Confirm it is you")
	b.fill("password", password).follow("Confirm")
	b.waits(`location.pathname === "` + settings + `"`)
	b.press("Delete this project").fill("confirm", "Documents API").follow("Delete the project")
	b.shows("No project yet")
	if got, want := s.call(t.Context(), t, token.Reveal()), http.StatusUnauthorized; got != want {
		t.Errorf("a key of the deleted project: got %d, want %d", got, want)
	}
}

// A disabled project's keys stop working, and work again when it is enabled.
func TestDisableProject(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	_, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing-service"})
	if err != nil {
		t.Fatal(err)
	}
	path := "/console/projects/" + string(project.ID) + "/status"
	for _, step := range []struct {
		status domain.Status
		want   int
	}{{domain.Disabled, http.StatusUnauthorized}, {domain.Active, http.StatusOK}} {
		if step.status == domain.Disabled {
			got := ann.send(t, http.MethodPost, path, url.Values{"status": {"disabled"}}, nil).Status
			if got != http.StatusUnprocessableEntity {
				t.Errorf("disabling by one click: got %d, want 422", got)
			}
			if got := s.call(t.Context(), t, token.Reveal()); got != http.StatusOK {
				t.Errorf("a key of a project that was not disabled: got %d, want 200", got)
			}
		}
		ann.send(t, http.MethodPost, path, url.Values{"status": {string(step.status)}, "confirm": {project.Name}}, nil)
		if got := s.call(t.Context(), t, token.Reveal()); got != step.want {
			t.Errorf("a key of the %s project: got %d, want %d", step.status, got, step.want)
		}
	}
}

// The export holds every event that the filter lets through, also those beyond
// the page that is shown.
func TestExportAudit(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	org, _, p := ann.project(t, "Acme", "Documents API")
	const keys = domain.MaxPageSize + 1
	for range keys {
		if _, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "=1+1"}); err != nil {
			t.Fatal(err)
		}
	}
	res := ann.send(t, http.MethodGet, "/console/organizations/"+string(org.ID)+"/audit/export?action=key.created", nil, nil)
	if got, want := res.Header.Get("Content-Type"), "text/csv; charset=utf-8"; got != want {
		t.Fatalf("got %d with %q, want %q", res.Status, got, want)
	}
	rows, err := csv.NewReader(strings.NewReader(res.Body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(rows), 1+keys; got != want {
		t.Errorf("got %d rows, want %d", got, want)
	}
	if got, want := rows[1][8], "'=1+1"; got != want {
		t.Errorf("a name that looks like a formula: got %q, want %q", got, want)
	}
}

// Only operators see the instance page; for everyone else it does not exist.
func TestInstancePage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	operator, other := s.signUp(t, "ann@example.com"), s.signUp(t, "bob@example.com")
	res := operator.send(t, http.MethodGet, "/console/instance", nil, nil)
	if res.Status != http.StatusOK || !strings.Contains(res.Body, "SQLite") || !strings.Contains(res.Body, "2 accounts") {
		t.Errorf("the operator: got %d and\n%s", res.Status, res.Body)
	}
	if res := other.send(t, http.MethodGet, "/console/instance", nil, nil); res.Status != http.StatusNotFound {
		t.Errorf("another person: got %d, want 404", res.Status)
	}
}

// Only operators see what happened to accounts, refused sign-ins among them; for
// everyone else the page does not exist. It shows nothing of a tenant's own trail.
func TestAccountsPage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	operator, other := s.signUp(t, "ann@example.com"), s.signUp(t, "bob@example.com")
	other.project(t, "Bobs Tenant", "Bobs API")
	err := s.Store.AddEvent(t.Context(), domain.Event{
		ID: domain.NewID[domain.EventID](s.Now()), At: s.Now(), Action: "session.refused", Origin: domain.Origin{IP: "192.0.2.77"},
		Target:  domain.Target{Kind: "user", ID: "usr_1", Name: "bob@example.com"},
		Actor:   domain.Actor{Kind: domain.ActorSystem, ID: "system", Name: "sign-in"},
		Changes: domain.Changes{"reason": {nil, "rate_limited"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"/console/instance/accounts":                        {"session.refused", "192.0.2.77", "rate_limited", "user.created", "bob@example.com"},
		"/console/instance/accounts?action=session.refused": {"192.0.2.77"},
		"/console/instance":                                 {`href="/console/instance/accounts"`},
	} {
		res := operator.send(t, http.MethodGet, path, nil, nil)
		for _, text := range want {
			if res.Status != http.StatusOK || !strings.Contains(res.Body, text) {
				t.Errorf("%s: got %d without %q\n%s", path, res.Status, text, res.Body)
			}
		}
		if strings.Contains(res.Body, "Bobs") || strings.Contains(res.Body, "project.created") {
			t.Errorf("%s shows a tenant's trail\n%s", path, res.Body)
		}
		if strings.Contains(path, "?") && strings.Contains(res.Body, "<code>user.created") {
			t.Errorf("%s does not filter", path)
		}
		if res := other.send(t, http.MethodGet, path, nil, nil); res.Status != http.StatusNotFound {
			t.Errorf("%s for another person: got %d, want 404", path, res.Status)
		}
	}
}

// Ending a session from another browser signs its browser out.
func TestEndSession(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.signUp(t, "ann@example.com")
	signIn := func() person {
		in, err := s.App.LogIn(t.Context(), domain.Origin{}, "ann@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		return person{server: s, cookie: in.Cookie}
	}
	here, there := signIn(), signIn()
	if res := here.send(t, http.MethodPost, "/console/account/sessions", url.Values{}, nil); res.Status != http.StatusSeeOther {
		t.Fatalf("got %d, want a redirect", res.Status)
	}
	for name, test := range map[string]struct {
		p    person
		want int
	}{"here": {here, http.StatusOK}, "there": {there, http.StatusSeeOther}} {
		if res := test.p.send(t, http.MethodGet, "/console/account", nil, nil); res.Status != test.want {
			t.Errorf("%s: got %d, want %d", name, res.Status, test.want)
		}
	}
}
