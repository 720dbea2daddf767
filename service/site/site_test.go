package site_test

import (
	"net/url"
	"testing"

	"github.com/latchkey-dev/latchkey/service/site"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for publicURL, want := range map[string][3]string{
		"https://example.com":       {"https://example.com/console", "/console", ""},
		"https://example.com/":      {"https://example.com/console", "/console", ""},
		"https://example.com/auth":  {"https://example.com/auth/console", "/auth/console", "/auth"},
		"https://example.com/a/b/":  {"https://example.com/a/b/console", "/a/b/console", "/a/b"},
		"http://localhost:8080/x%y": {"/console", "/console", ""},
		"":                          {"/console", "/console", ""},
	} {
		s := site.New(publicURL)
		if got := [3]string{s.URL("/console"), s.Path("/console"), s.Prefix()}; got != want {
			t.Errorf("%s: got %q, want %q", publicURL, got, want)
		}
	}
}

// Guarantees that the prefix is taken off whole and once, and that nothing else of
// a path changes.
func TestRelative(t *testing.T) {
	t.Parallel()
	s := site.New("https://example.com/auth")
	for path, want := range map[string]string{
		"/auth": "/", "/auth/": "/", "/auth/v1/me": "/v1/me", "/auth/auth": "/auth", "/v1/me": "/v1/me", "/authority": "/authority",
		"/auth/v1/%2e%2e": "/v1/%2e%2e", "/auth/a%2fb": "/a%2fb", "/AUTH/v1": "/AUTH/v1", "/auth//v1": "//v1", "/a%75th/x": "/a%75th/x",
	} {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		s.Relative(u)
		if got := u.EscapedPath(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// Guarantees that only names which DNS cannot give to others are served.
func TestServes(t *testing.T) {
	t.Parallel()
	s := site.New("https://Keys.example.com:8443/auth")
	for host, want := range map[string]bool{
		"keys.example.com": true, "keys.example.com:8443": true, "KEYS.EXAMPLE.COM": true, "keys.example.com.": true, "localhost": true,
		"a.localhost:80": true, "127.0.0.1:8080": true, "[::1]": true, "[2001:db8::1]:80": true, "10.0.0.1": true,
		"": false, ":80": false, "evil.example": false, "xkeys.example.com": false, "a.keys.example.com": false, "example.com": false,
		"localhost.evil.example": false, "127.0.0.1.evil.example": false, "evil.example/keys.example.com": false, "2130706433": false,
	} {
		if got := s.Serves(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
	if (site.Site{}).Serves("") {
		t.Error("a site without a name serves requests without a host")
	}
}

// The metadata of an issuer is found where RFC 8414 puts it, with the prefix in the
// middle.
func TestRelativeToMetadata(t *testing.T) {
	t.Parallel()
	at := site.New("https://example.com/auth")
	for path, want := range map[string]string{
		"/.well-known/oauth-authorization-server/auth/v1/projects/a": "/.well-known/oauth-authorization-server/v1/projects/a",
		"/.well-known/oauth-authorization-server/v1/projects/a":      "/.well-known/oauth-authorization-server/v1/projects/a",
		"/.well-known/oauth-authorization-server/author/a":           "/.well-known/oauth-authorization-server/author/a",
		"/auth/.well-known/oauth-authorization-server/v1/projects/a": "/.well-known/oauth-authorization-server/v1/projects/a",
	} {
		u := &url.URL{Path: path}
		at.Relative(u)
		if u.Path != want {
			t.Errorf("%s: got %s, want %s", path, u.Path, want)
		}
	}
}
