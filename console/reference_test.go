package console_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/latchkey-dev/latchkey/domain"
)

// The reference at /docs renders the contract from this instance alone: nothing
// is fetched from anywhere else, and nothing breaks its content policy.
func TestReference(t *testing.T) {
	t.Parallel()
	b := newTab(t, newServer(t))
	if got := b.open("/docs"); got != 200 {
		t.Fatalf("got %d", got)
	}
	b.shows("/v1/keys/verify")
	b.shows("Authentication")
	b.waits(`document.querySelector('[placeholder="Paste a key or an access token"]') !== null`)
	b.waits(`!document.body.outerHTML.includes("QUxMIFlPVVIgQkFTRSBBUkUgQkVMT05HIFRPIFVT")`)
	b.waits(`document.querySelector('nav a[href="console"]') !== null`)
	b.waits(`performance.getEntriesByType("resource").every(e => /^(data|blob):/.test(e.name) || e.name.startsWith(location.origin + "/"))`)
	if got := b.open("/docs/errors#key_revoked"); got != 200 {
		t.Fatalf("got %d", got)
	}
	b.shows("a revoked key can only be read and deleted")
}

// Guarantees that both kinds of credentials can be tried out from the reference,
// under a content policy that lets it talk to this instance only, and that what
// is typed there is kept nowhere.
func TestReferenceTriesOut(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ada := s.signUp(t, "ada@example.com")
	_, _, project := ada.project(t, "Acme", "Payments")
	_, token, err := project.CreateKey(t.Context(), domain.KeySpec{Name: "backend"})
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.App.LogIn(t.Context(), domain.Origin{}, "ada@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]struct {
		scheme, credential, operation, status, answer string
	}{
		"a key":           {"ApiKeyHeader", token.Reveal(), "tag/projects/GET/v1/project", "200 OK", `"name": "Payments"`},
		"a bad key":       {"ApiKeyHeader", token.Reveal() + "x", "tag/projects/GET/v1/project", "401 Unauthorized", `"code": "invalid_api_key"`},
		"a user":          {"BearerJWT", in.AccessToken, "tag/account/GET/v1/me", "200 OK", `"email": "ada@example.com"`},
		"a key as a user": {"BearerJWT", token.Reveal(), "tag/account/GET/v1/me", "401 Unauthorized", `"code": "invalid_token"`},
		"any of the two": {
			"ApiKeyAuthorization", "Api-Key " + token.Reveal(), "tag/caller/GET/v1/whoami", "200 OK", `"kind": "key"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t, s)
			b.do(chromedp.Do(b.ctx, chromedp.EmulateViewport(1280, 860)))
			b.open("/docs")
			if try.scheme != "ApiKeyHeader" { // which the page begins with
				b.press("Selected Auth Type")
				b.click(`//*[@role="option"][contains(., "` + try.scheme + `")]`)
				b.click(`//*[@role="option"][contains(., "ApiKeyHeader")]`)
				b.press("Selected Auth Type")
			}
			b.click(`//input[contains(@class, "scalar-password-input")]`)
			_, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: try.credential}) // pasted
			b.do(err)
			b.tryOut(try.operation)
			b.press("Send")
			b.shows(try.status)
			b.shows(try.answer)
			const stored = `[location.href, ...Object.values(localStorage), ...Object.values(sessionStorage)].join()`
			b.waits(fmt.Sprintf(`!%s.includes(%q)`, stored, try.credential))
		})
	}
}

// Optional headers are not filled with their examples: otherwise all readers would
// share the printed idempotency key, and the printed revision would refuse changes.
func TestReferenceSendsNoExamples(t *testing.T) {
	t.Parallel()
	b := newTab(t, newServer(t))
	b.do(chromedp.Do(b.ctx, chromedp.EmulateViewport(1280, 860)))
	b.open("/docs")
	for operation, header := range map[string]string{
		"tag/keys/POST/v1/projects/{project_id}/keys":           "Idempotency-Key",
		"tag/keys/PATCH/v1/projects/{project_id}/keys/{key_id}": "If-Match",
	} {
		b.tryOut(operation)
		b.waits(fmt.Sprintf(`document.querySelector('[aria-label="Include %s in request"]')?.checked === false`, header))
		b.press("Close Client")
	}
}

// tryOut opens the form from which an operation is sent.
func (b *tab) tryOut(operation string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("location.hash = %q", operation))
	b.click(`//*[@id="api-1/` + operation + `"]//button[contains(., "Test Request")]`)
}
