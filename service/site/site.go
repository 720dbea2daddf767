// Package site knows where an instance is on the web: under which names and
// below which path it is served, and what it asks of browsers. Every address
// that the API or the console shows comes from it; emails append theirs to the
// same public URL.
package site

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Site is an instance as the web sees it. The zero value is one without a name
// of its own, served from the root by http.
type Site struct {
	base   string // the public URL, without a slash at its end
	prefix string // its path; empty: the root
	host   string // its host, without a port
	secure bool
}

// New returns the site at a public URL that has been checked; one that cannot be
// read is taken for empty.
func New(publicURL string) Site {
	u, err := url.Parse(strings.TrimRight(publicURL, "/"))
	if err != nil {
		return Site{}
	}
	return Site{base: u.String(), prefix: u.EscapedPath(), host: hostname(u.Host), secure: u.Scheme == "https"}
}

// Secure reports whether browsers reach the site by https.
func (s Site) Secure() bool { return s.secure }

// Prefix returns the path that the site is below, such as /auth; empty: the root.
func (s Site) Prefix() string { return s.prefix }

// URL returns the address of a path of the instance: /console becomes
// https://example.com/auth/console.
func (s Site) URL(path string) string { return s.base + path }

// Path returns the path of a path of the instance: /console becomes /auth/console.
func (s Site) Path(path string) string { return s.prefix + path }

// Serves reports whether the site may be called by what a Host header says. That
// is its own name, a name of this machine, or an address: no one can make these
// lead here by DNS.
func (s Site) Serves(host string) bool {
	name := hostname(host)
	if name == s.host && name != "" || isLocalhost(name) {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// Owns reports whether pages of an Origin header can be the site's own, as far as
// the scheme goes: whether they came by https, if the site is reached by https. A
// browser on the machine itself may reach the site directly, by http.
func (s Site) Owns(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return true
	case "http":
		return !s.secure || isLoopback(hostname(u.Host))
	}
	return false
}

func isLoopback(name string) bool {
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback() || isLocalhost(name)
}

func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// hostname returns the name in a host with or without a port, in the one form in
// which names are compared.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// metadata is where RFC 8414, section 3, puts the documents of issuers: in front of
// their path.
const metadata = "/.well-known/oauth-authorization-server"

// Relative takes the site's prefix off the address of a request, also where it follows
// the place of an issuer's metadata. A path without it stays as it is, since some
// proxies take it off themselves.
func (s Site) Relative(u *url.URL) {
	if s.prefix == "" {
		return
	}
	escaped := u.EscapedPath()
	place := ""
	if strings.HasPrefix(escaped, metadata+s.prefix+"/") {
		place = metadata
	}
	rest, ok := strings.CutPrefix(escaped, place+s.prefix)
	rest = place + rest
	if !ok || rest != "" && rest[0] != '/' {
		return
	}
	if rest == "" {
		rest = "/"
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return // for the router to refuse
	}
	if u.RawPath != "" {
		u.RawPath = rest
	}
	u.Path = path
}

// Values of headers that are the same in every answer. They are shared: nothing
// may change them in place.
var (
	noSniff      = []string{"nosniff"}
	noReferrer   = []string{"no-referrer"}
	sameOrigin   = []string{"same-origin"}
	closedPolicy = []string{"default-src 'none'; frame-ancestors 'none'"}
	oneYear      = []string{"max-age=31536000"}
)

// SetHeaders sets what browsers are to hold an answer to that is not a page: its
// type is what it says, it loads nothing and is in no frame, no other site may
// embed it, and links in it name no address. It allocates nothing of its own.
func (s Site) SetHeaders(h map[string][]string) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = closedPolicy
	h["Referrer-Policy"] = noReferrer
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	if s.secure {
		h["Strict-Transport-Security"] = oneYear
	}
}
