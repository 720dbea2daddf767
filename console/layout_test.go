package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/latchkey-dev/latchkey/domain"
)

// A phone can reach everything in the bar of a desktop. On a desktop the bar stays in
// the same place on every page.
func TestFrame(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com") // the first account is the operator
	organization, project, _ := ann.project(t, "Acme", "Documents API")
	b := newTab(t, s).signedIn(ann)
	b.do(chromedp.Do(b.ctx, chromedp.EmulateViewport(390, 844)))
	b.open("/console?all=1")
	b.click(`//summary[@aria-label="Your account"]`)
	b.click(`//details//a[.="Instance"]`)
	b.shows("Migrations")
	b.click(`//summary[@aria-label="Your account"]`)
	b.click(`//details//a[.="API reference"]`)
	b.click(`//nav/a[.="Console"]`)
	b.shows("New project")

	b.do(chromedp.Do(b.ctx, chromedp.EmulateViewport(1280, 860)))
	first := ""
	for _, page := range pagesOf(organization, project) {
		b.open(page)
		bar := b.evaluated(`["logo", "face"].map(c => Math.round(document.querySelector("." + c).getBoundingClientRect().left)).join()`)
		if first == "" {
			first = bar
		}
		if bar != first {
			t.Errorf("%s: the bar is at %s, elsewhere at %s", page, bar, first)
		}
	}
}

func pagesOf(organization domain.MemberOf, project domain.Project) []string {
	inside, keys := "/console/organizations/"+string(organization.ID), "/console/projects/"+string(project.ID)
	return []string{
		"/console?all=1", "/console/account", "/console/instance", inside, inside + "/members",
		inside + "/service-accounts", inside + "/audit", inside + "/settings",
		keys, keys + "/keys", keys + "/keys/new", keys + "/settings",
	}
}

// Every button and link measures at least 24 by 24 pixels, as WCAG 2.2 requires
// (2.5.8). Links within a sentence are exempt, as there. Client addresses stay on one
// line.
func TestTargets(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	organization, project, p := ann.project(t, "Acme", "Documents API")
	key, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing-service"})
	if err != nil {
		t.Fatal(err)
	}
	b := newTab(t, s).signedIn(ann)
	for device, width := range map[string]int64{"desktop": 1280, "phone": 390} {
		b.do(chromedp.Do(b.ctx, chromedp.EmulateViewport(width, 860)))
		for _, page := range append(pagesOf(organization, project), "/console/projects/"+string(project.ID)+"/keys/"+string(key.ID)) {
			b.open(page)
			if small := b.evaluated(smallTargets); small != "" {
				t.Errorf("%s, %s: these are below 24 pixels:\n%s", page, device, small)
			}
			if wide := b.evaluated(`document.documentElement.scrollWidth > innerWidth ? "wide" : ""`); wide != "" {
				t.Errorf("%s, %s: the page scrolls sideways", page, device)
			}
		}
	}
}

// smallTargets lists what is pressed and too small: a label is part of its field.
const smallTargets = `[...document.querySelectorAll("a, button, summary, select, input:not([type=hidden])")].filter(e => {
	const target = e.closest("label") ?? e, box = target.getBoundingClientRect();
	const sentence = e.matches("p a, dd a, .hint a") && e.parentElement.textContent.trim() !== e.textContent.trim();
	return e.checkVisibility() && !e.matches(".skip") && !sentence && box.width > 0 && (box.width < 24 || box.height < 24);
}).map(e => e.outerHTML.slice(0, 120) + JSON.stringify(e.getBoundingClientRect())).join("\n")`

// After a refusal the focus is on the first field that is wrong, with JavaScript
// and without.
func TestFocusAfterRefusal(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, _ := ann.project(t, "Acme", "Documents API")
	for name, scripts := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTab(t, s).signedIn(ann)
			if !scripts {
				b.withoutScripts()
			}
			b.open("/console/projects/" + string(project.ID) + "/keys/new")
			b.waits(`document.activeElement.id === "name"`)
			b.fill("name", "billing").fill("more_scopes", "NotAScope").follow("Create key")
			b.waits(`document.activeElement.id === "more_scopes"`)
		})
	}
}

// The last owner is not offered to leave or to be demoted, and another owner is.
func TestLastOwnerStays(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob := s.signUp(t, "ann@example.com"), s.signUp(t, "bob@example.com")
	organization, _, _ := ann.project(t, "Acme", "Documents API")
	page := "/console/organizations/" + string(organization.ID) + "/members"
	if body := ann.send(t, http.MethodGet, page, nil, nil).Body; strings.Contains(body, ">Leave…<") ||
		!strings.Contains(body, "the only owner") {
		t.Error("the last owner is offered to leave")
	}
	o, err := s.App.Organization(t.Context(), ann.caller, organization.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := o.CreateInvitation(t.Context(), domain.InvitationSpec{Email: "bob@example.com", Role: domain.Owner})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.App.AcceptInvitation(t.Context(), bob.caller, token); err != nil {
		t.Fatal(err)
	}
	if body := ann.send(t, http.MethodGet, page, nil, nil).Body; !strings.Contains(body, ">Leave…<") ||
		strings.Contains(body, "the only owner") {
		t.Error("one of two owners is not offered to leave")
	}
}
