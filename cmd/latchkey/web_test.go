package main

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
)

// web is the program at a public URL, as browsers and clients see it.
type web struct {
	address, admin, host string
	prefix               string // the path of the public URL
	cookie               string // of the person who is signed in
	key, bearer          string
	pages                []string // of what that person has
}

// page is an answer.
type page struct {
	status int
	header http.Header
	body   string
}

func (w *web) send(t *testing.T, method, address, path, host, body string, headers ...string) page {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{a.StatusCode, a.Header, string(text)}
}

func (w *web) get(t *testing.T, path string, headers ...string) page {
	t.Helper()
	return w.send(t, http.MethodGet, w.address, path, w.host, "", headers...)
}

// post sends JSON and returns a field of the answer.
func (w *web) post(t *testing.T, path, body, field string) string {
	t.Helper()
	a := w.send(t, http.MethodPost, w.address, w.prefix+path, w.host, body,
		"Content-Type", "application/json", "Authorization", w.bearer)
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil || a.status >= http.StatusBadRequest {
		t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	text, _ := fields[field].(string)
	return text
}

// form sends a form as a browser does.
func (w *web) form(t *testing.T, path string, values url.Values) page {
	t.Helper()
	return w.send(t, http.MethodPost, w.address, w.prefix+path, w.host, values.Encode(),
		"Content-Type", "application/x-www-form-urlencoded",
		"Sec-Fetch-Site", "same-origin", "Cookie", w.cookie)
}

const webPassword = "four quiet otters paddle"

// newWeb starts the program at a public URL, with a person who has a project with
// a key.
func newWeb(t *testing.T, publicURL string) *web {
	t.Helper()
	u, err := url.Parse(publicURL)
	if err != nil {
		t.Fatal(err)
	}
	c := startChild(t, "exec latchkey serve", []string{"LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_PUBLIC_URL=" + publicURL})
	line := c.says(t, "serving")
	w := &web{address: line["address"].(string), admin: line["admin"].(string), host: u.Host, prefix: u.Path}
	w.bearer = "Bearer " + w.post(t, "/v1/auth/signup", `{"email":"ada@example.com","password":"`+webPassword+`","name":"Ada"}`,
		"access_token")
	organization := w.post(t, "/v1/organizations", `{"name":"Acme"}`, "id")
	project := w.post(t, "/v1/organizations/"+organization+"/projects", `{"name":"Payments"}`, "id")
	w.key = w.post(t, "/v1/projects/"+project+"/keys", `{"name":"backend","scopes":["keys:verify"]}`, "token")
	w.pages = []string{"", "/account", "/instance", "/organizations/new"}
	for _, below := range []string{"", "/members", "/settings", "/audit", "/projects/new"} {
		w.pages = append(w.pages, "/organizations/"+organization+below)
	}
	for _, below := range []string{"", "/keys", "/keys/new", "/settings"} {
		w.pages = append(w.pages, "/projects/"+project+below)
	}
	in := w.form(t, "/console/sign-in", url.Values{"email": {"ada@example.com"}, "password": {webPassword}})
	w.cookie, _, _ = strings.Cut(in.header.Get("Set-Cookie"), ";")
	if in.status != http.StatusSeeOther || w.cookie == "" {
		t.Fatalf("the sign-in got %d %v", in.status, in.header)
	}
	return w
}

var (
	staticFile = regexp.MustCompile(`(?:href|src)="([^"]*/static/[^"]*)"`)
	parameter  = regexp.MustCompile(`:\w+`)
)

// TestHeadersOfEveryAnswer guarantees what browsers are asked to hold every answer
// to: every operation by both edges, every page, every file, every refusal.
func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	w := newWeb(t, "https://keys.example.com")
	const closed = "default-src 'none'; frame-ancestors 'none'"
	check := func(what string, a page, want map[string]string) {
		all := map[string]string{
			"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=31536000", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": closed,
		}
		maps.Copy(all, want)
		for name, value := range all {
			if got := a.header.Get(name); got != value && (name != "Content-Security-Policy" || value == closed) {
				t.Errorf("%s (%d): %s is %q, want %q", what, a.status, name, got, value)
			}
		}
		policy := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s (%d): the policy is %q", what, a.status, policy)
		}
	}
	operations, err := api.Routes()
	if err != nil {
		t.Fatal(err)
	}
	ofPages := map[string]string{"Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": "of its own"}
	for _, op := range operations {
		want := map[string]string{}
		if strings.HasPrefix(op.Path, "/docs") {
			want = ofPages
		}
		check(op.Operation, w.send(t, op.Method, w.address, parameter.ReplaceAllString(op.Path, "x"), w.host, ""), want)
	}
	check("the lean edge", w.get(t, "/v1/project", "X-Api-Key", w.key), nil)
	check("the lean edge refusing", w.get(t, "/v1/project", "X-Api-Key", w.key+"!"), nil)
	check("the lean edge verifying", w.send(t, http.MethodPost, w.address, "/v1/keys/verify", w.host, `{"key":"x"}`,
		"Content-Type", "application/json", "X-Api-Key", w.key), nil)
	check("the ordinary edge", w.get(t, "/v1/me", "Authorization", w.bearer), nil)
	for _, path := range []string{"/nothing", "/v1/nothing", "/", "/docs/reference.js", "/docs/scalar.js",
		"/docs/errors.css", "/docs/nothing"} {
		check(path, w.get(t, path), nil)
	}
	check("a wrong method", w.send(t, http.MethodPut, w.address, "/v1/me", w.host, ""), nil)
	check("OPTIONS", w.send(t, http.MethodOptions, w.address, "/v1/me", w.host, ""), nil)

	ofConsole := map[string]string{
		"Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": "of its own",
		"Referrer-Policy": "same-origin", // with no-referrer, browsers would send "Origin: null" with the console's own forms
	}
	for _, path := range append(w.pages, "/sign-in", "/sign-up", "/forgot-password", "/nothing", staticOf(t, w)) {
		check("/console"+path, w.get(t, "/console"+path, "Cookie", w.cookie), ofConsole)
		check("/console"+path+" without a session", w.get(t, "/console"+path), ofConsole)
	}
	out := w.form(t, "/console/sign-out", url.Values{})
	if got := out.header.Get("Clear-Site-Data"); got != `"cache", "storage"` || out.status != http.StatusSeeOther {
		t.Errorf("signing out got %d, Clear-Site-Data %q", out.status, got)
	}
	for _, path := range []string{"/metrics", "/nodes", "/nothing"} {
		check(path, w.send(t, http.MethodGet, w.admin, path, w.admin, ""), map[string]string{"Strict-Transport-Security": ""})
	}
}

// staticOf returns the path of a file of the console.
func staticOf(t *testing.T, w *web) string {
	t.Helper()
	found := staticFile.FindStringSubmatch(w.get(t, w.prefix+"/console/sign-in").body)
	if found == nil {
		t.Fatal("the console has no files")
	}
	return strings.TrimPrefix(found[1], w.prefix+"/console")
}

// TestForeignHostsAreRefused guarantees that a page whose name was made to lead
// here by DNS reaches neither the console nor, as a browser calls it, the API.
func TestForeignHostsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWeb(t, "http://keys.localhost:8080")
	signUp := `{"email":"eve@example.com","password":"` + webPassword + `"}`
	for host, ours := range map[string]bool{
		"keys.localhost:8080": true, "KEYS.localhost": true, "localhost": true, "localhost:1234": true,
		"127.0.0.1": true, "127.0.0.1:80": true, "[::1]:8080": true, "192.0.2.7": true, "[2001:db8::1]": true, "any.localhost.": true,
		"evil.example": false, "evil.example:8080": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"keys.localhost.evil.example": false,
	} {
		for _, path := range []string{"/console", "/console/sign-in", "/console/sign-up", "/console/nothing"} {
			a := w.send(t, http.MethodGet, w.address, path, host, "")
			if refused := a.status == http.StatusMisdirectedRequest; refused == ours {
				t.Errorf("%s of %s: got %d", path, host, a.status)
			}
			if !ours && strings.Contains(a.body, "<form") {
				t.Errorf("%s of %s shows a form", path, host)
			}
		}
		a := w.send(t, http.MethodPost, w.address, "/v1/auth/signup", host, signUp, "Content-Type", "application/json",
			"Origin", "http://"+host)
		if refused := a.status == http.StatusBadRequest; refused == ours {
			t.Errorf("signing up at %s from a page got %d %s", host, a.status, a.body)
		}
		if got := w.send(t, http.MethodGet, w.address, "/v1/project", host, "", "X-Api-Key", w.key).status; got != http.StatusOK {
			t.Errorf("a program at %s got %d", host, got)
		}
	}
}
