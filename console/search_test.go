package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that people find a key by any part that they know, with JavaScript and
// without, and that the secret of a pasted token is in no URL, page or request line
// afterwards.
func TestSearchFindsWhatIsPasted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	if _, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	key, old, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing", ExternalID: "customer-4711"})
	if err != nil {
		t.Fatal(err)
	}
	s.Pass(time.Second)
	_, token, err := p.RotateKey(t.Context(), key.ID, domain.Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	stranger := "lk_live_" + strings.Repeat("A", 12) + "_" + token.Reveal()[len(token.Prefix())+1:]
	for name, scripts := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTab(t, s).signedIn(ann)
			if !scripts {
				b.withoutScripts()
			}
			for what, pasted := range map[string]string{
				"token": token.Reveal(), "token before the rotation": old.Reveal(), "cut token": token.Reveal()[:40],
				"id": string(key.ID), "external id": "customer-4711", "spaces": "  " + token.Reveal() + " ",
			} {
				b.search(project, pasted, scripts)
				b.shows("billing")
				b.waits(`!document.body.innerText.includes("other")`)
				b.secretless(what, token, old)
			}
			b.search(project, stranger, scripts)
			b.shows("No key matches")
			b.secretless("unknown token", token, old)
		})
	}
}

// search types into the field above the list of keys and sends it.
func (b *tab) search(project domain.Project, text string, scripts bool) {
	b.t.Helper()
	b.open("/console/projects/" + string(project.ID) + "/keys")
	b.fill("search", text)
	if !scripts {
		b.follow("Search")
	}
}

// secretless fails when the browser's address, or where it came from, has a secret.
func (b *tab) secretless(what string, tokens ...domain.Token) {
	b.t.Helper()
	b.waits(`!document.querySelector(".htmx-request")`)
	seen := b.evaluated(`[location.href, document.referrer, ...performance.getEntries().map(e => e.name), ` +
		`...Object.values(localStorage), ...Object.values(sessionStorage)].join(" ")`)
	for _, token := range tokens {
		if secret := token.Reveal()[len(token.Prefix())+1:]; strings.Contains(seen, secret[:16]) {
			b.t.Errorf("%s: the secret is in an address: %s", what, seen)
		}
	}
}
