package console_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/console"
)

// A form that another site, another subdomain or an unknown origin made the browser
// send changes nothing, whatever the cookie. Links from anywhere still work.
func TestRequestForgery(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	form := url.Values{"name": {"Mallory"}}
	for name, test := range map[string]struct {
		headers map[string]string
		want    int
	}{
		"our own form":                         {nil, http.StatusSeeOther},
		"a browser that sends Origin only":     {map[string]string{"Sec-Fetch-Site": ""}, http.StatusSeeOther},
		"a browser that sends no Origin":       {map[string]string{"Origin": ""}, http.StatusSeeOther},
		"cross-site form":                      {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, http.StatusForbidden},
		"cross-site form, old browser":         {map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, http.StatusForbidden},
		"same-site subdomain":                  {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://blog.example.com"}, http.StatusForbidden},
		"sandboxed page":                       {map[string]string{"Sec-Fetch-Site": "", "Origin": "null"}, http.StatusForbidden},
		"neither Origin nor Sec-Fetch-Site":    {map[string]string{"Sec-Fetch-Site": "", "Origin": ""}, http.StatusForbidden},
		"same origin by Origin, cross by site": {map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
	} {
		for _, path := range []string{"/console/account", "/console/sign-in"} {
			want := test.want
			if path == "/console/sign-in" && want == http.StatusSeeOther {
				want = http.StatusUnauthorized // let through, and the password is wrong
			}
			res := ann.send(t, http.MethodPost, path, form, test.headers)
			if got := res.Status; got != want {
				t.Errorf("%s to %s: got %d, want %d", name, path, got, want)
			}
		}
	}
	res := ann.send(t, http.MethodGet, "/console/account", nil, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": ""})
	if got, want := res.Status, http.StatusOK; got != want {
		t.Errorf("a link on another site: got %d, want %d", got, want)
	}
}

// A page that came over http changes nothing on a site that is reached by https,
// even under the same host name: anyone on the way could have written that page. A
// browser on this machine may open the console directly. Without Sec-Fetch-Site,
// which http pages of many browsers lack, Origin decides.
func TestRequestForgeryAcrossSchemes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i, test := range []struct {
		publicURL, host, origin string
		want                    int
	}{
		{"https://keys.example.com", "keys.example.com", "https://keys.example.com", http.StatusUnauthorized}, // let through
		{"https://keys.example.com", "KEYS.example.com", "https://KEYS.example.com", http.StatusUnauthorized},
		{"https://keys.example.com", "keys.example.com", "http://keys.example.com", http.StatusForbidden},
		{"https://keys.example.com", "keys.example.com", "HTTP://keys.example.com", http.StatusForbidden},
		{"https://keys.example.com", "keys.example.com", "ftp://keys.example.com", http.StatusForbidden},
		{"https://keys.example.com", "keys.example.com", "https://keys.example.com:8443", http.StatusForbidden},
		{"https://keys.example.com:8443", "keys.example.com:8443", "https://keys.example.com:8443", http.StatusUnauthorized},
		{"https://keys.example.com:8443", "keys.example.com:8443", "http://keys.example.com:8443", http.StatusForbidden},
		{"https://keys.example.com", "10.0.0.7", "https://10.0.0.7", http.StatusUnauthorized},
		{"https://keys.example.com", "10.0.0.7", "http://10.0.0.7", http.StatusForbidden},
		{"https://keys.example.com", "127.0.0.1:8080", "http://127.0.0.1:8080", http.StatusUnauthorized},
		{"https://keys.example.com", "[::1]:8080", "http://[::1]:8080", http.StatusUnauthorized},
		{"https://keys.example.com", "localhost:8080", "http://localhost:8080", http.StatusUnauthorized},
		{"http://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:8080", http.StatusUnauthorized},
		{"http://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:9090", http.StatusForbidden},
	} {
		pages, err := console.Handler(s.App, console.Config{PublicURL: test.publicURL, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{"email": {fmt.Sprintf("ann-%d@example.com", i)}, "password": {"a wrong passphrase"}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/console/sign-in", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", test.origin)
		r.Host, r.RemoteAddr = test.host, fmt.Sprintf("10.%d.1.1:1234", i) // nothing has been counted for it
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s, served as %s, from %s: got %d, want %d", test.publicURL, test.host, test.origin, w.Code, test.want)
		}
	}
}
