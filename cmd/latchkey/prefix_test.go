package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// links are the attributes of a page that lead somewhere.
var links = regexp.MustCompile(`\s(?:href|src|action|formaction|hx-get|hx-post|hx-push-url)="([^"]*)"`)

// TestPublicURLWithAPath guarantees that an instance whose public URL has a path
// works below it as a whole, whether the proxy in front keeps the path or removes
// it, and that no link, redirect or cookie leaves it.
func TestPublicURLWithAPath(t *testing.T) {
	t.Parallel()
	w := newWeb(t, "https://example.com/auth")
	set := w.form(t, "/console/sign-in", url.Values{"email": {"ada@example.com"}, "password": {webPassword}}).header.Get("Set-Cookie")
	if !strings.Contains(set, "Path=/auth;") || !strings.HasPrefix(set, "__Secure-latchkey_session=") {
		t.Errorf("the cookie is %q", set)
	}
	w.cookie, _, _ = strings.Cut(set, ";")
	for _, base := range []string{"/auth", ""} { // what the proxy leaves of the path
		queue := []string{"/auth/console", "/auth/docs", "/auth/docs/errors", "/auth", "/auth/"}
		seen := map[string]bool{}
		pages := 0
		for len(queue) > 0 {
			link := queue[0]
			queue = queue[1:]
			path, _, _ := strings.Cut(link, "#")
			if seen[path] || strings.Contains(path, "/sign-out") {
				continue
			}
			seen[path] = true
			a := w.get(t, base+strings.TrimPrefix(path, "/auth"), "Cookie", w.cookie)
			switch location := a.header.Get("Location"); {
			case a.status == http.StatusSeeOther:
				if !strings.HasPrefix(location, "/auth/") {
					t.Errorf("%s leads to %s", path, location)
				}
				queue = append(queue, location)
				continue
			case a.status != http.StatusOK:
				t.Errorf("%s got %d", path, a.status)
			}
			if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				continue
			}
			pages++
			from, err := url.Parse("https://example.com" + path)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range links.FindAllStringSubmatch(a.body, -1) {
				to, err := from.Parse(strings.ReplaceAll(found[1], "&amp;", "&"))
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case to.Host != "example.com" || !strings.Contains(found[1], "/") && !strings.Contains(found[1], "."):
				case to.Path != "/auth" && !strings.HasPrefix(to.Path, "/auth/"):
					t.Errorf("%s has a link to %s", path, found[0])
				case strings.Contains(found[0], "href") || strings.Contains(found[0], "src"):
					queue = append(queue, to.RequestURI())
				}
			}
		}
		if pages < 15 {
			t.Errorf("only %d pages were found from %q: %v", pages, base, seen)
		}
	}
	a := w.get(t, "/auth/v1/me")
	if !strings.Contains(a.body, `"type":"/auth/docs/errors#unauthenticated"`) {
		t.Errorf("the problem is %s", a.body)
	}
	w.post(t, "/v1/organizations", `{"name":"Second"}`, "id")
	link := w.get(t, "/auth/v1/organizations?limit=1", "Authorization", w.bearer).header.Get("Link")
	if !strings.HasPrefix(link, "</auth/v1/organizations?") {
		t.Errorf("the link to the next page is %q", link)
	}
	for path, want := range map[string]string{
		"/auth/openapi.json":          `"servers":[{"description":"This instance","url":"https://example.com/auth"`,
		"/auth/.well-known/jwks.json": `"keys":[`,
		"/auth/healthz":               `"ok"`, "/healthz": `"ok"`, "/auth/v1/project": `"code":"unauthenticated"`,
	} {
		if got := w.get(t, path).body; !strings.Contains(got, want) {
			t.Errorf("%s: got %.300s, want %s", path, got, want)
		}
	}
	if got := w.get(t, "/authority/v1/me").status; got != http.StatusNotFound {
		t.Errorf("a path that only begins alike got %d", got)
	}
}
