package api

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzForwardPath guarantees that a path needs the scopes of its first segment and of no
// other, however what follows is encoded, and that a path passes only if removing dot
// segments, after any number of decodings, leaves it as it is.
func FuzzForwardPath(f *testing.F) {
	const route = "/v1/projects/prj_7zzzzzzzzzzzzzzzzzzzzzzzzz/forward-auth/write:all"
	for _, dot := range []string{".", "%2e", "%2E", "%252e", "%25252E", ";", "%3b", "%u002e", "%c0%ae", "x"} {
		for _, slash := range []string{"/", "%2f", "%2F", `\`, "%5c", "%255C", "//", "/;/", "%00", "/%20"} {
			f.Add(slash + dot + dot + slash + "read:all")
			f.Add("/a" + slash + dot + slash + dot + dot + ";x" + slash + "b")
		}
	}
	f.Fuzz(func(t *testing.T, rest string) {
		u, err := url.ParseRequestURI(route + "/" + rest)
		if err != nil {
			return
		}
		p, ok := forwardPathOf(u)
		if !ok {
			t.Fatalf("%q is no path of forwardAuth", u)
		}
		q, ok := parseRoute(p.route)
		if !ok || len(q.Scopes) != 1 || q.Scopes[0] != "write:all" || q.Environment != "" {
			t.Errorf("%q needs %v", u, q)
		}
		for text, again := p.rest, true; again && isClean(p.rest); {
			for segment := range strings.SplitSeq(text, "/") {
				if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
					t.Errorf("%q passes", u)
				}
			}
			if strings.Contains(text, `\`) || strings.Contains("/"+text, "//") {
				t.Errorf("%q passes", u)
			}
			plain, err := url.PathUnescape(text)
			again = err == nil && plain != text && !strings.Contains(text, "%3")
			text = plain
		}
	})
}

// What a route needs is read strictly.
func TestParseRoute(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"-": "", "a:b": "a:b", "a:b,c.d:e-f": "a:b c.d:e-f", "live": "live", "a:b,live,c:d": "a:b c:d live", "a%3Ab%2cc:d": "a:b c:d",
		"": "no", ",": "no", "-,-": "no", "a:b,": "no", ",a:b": "no", "a:b,,c:d": "no", "a": "no", "a:": "no", ":b": "no", "A:b": "no",
		"a:b c:d": "no", "a:b+c:d": "no", "a:b;c:d": "no", "a:b%20": "no", "a:b%00": "no", "a:b%2f..": "no", "a:b%": "no", "a:b%2": "no",
		"a%253Ab": "no", "live,live": "no", "live,test": "no", "Live": "no", "a:b:c": "no", "é:b": "no", "a:b,a:b": "no",
		"%2d": "", "*": "no",
		strings.Repeat("a", 32) + ":" + strings.Repeat("b", 64): strings.Repeat("a", 32) + ":" + strings.Repeat("b", 64),
		strings.Repeat("a", 33) + ":b":                          "no",
	} {
		q, ok := parseRoute(text)
		var got []string
		for _, s := range q.Scopes {
			got = append(got, string(s))
		}
		if q.Environment != "" {
			got = append(got, string(q.Environment))
		}
		if text := strings.Join(got, " "); ok != (want != "no") || ok && text != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, ok, want)
		}
	}
	many := make([]string, maxRouteScopes+1)
	for i := range many {
		many[i] = "a:" + string(rune('a'+i%26)) + strings.Repeat("b", i/26)
	}
	if _, ok := parseRoute(strings.Join(many[1:], ",")); !ok {
		t.Errorf("%d scopes are refused", maxRouteScopes)
	}
	if _, ok := parseRoute(strings.Join(many, ",")); ok {
		t.Errorf("%d scopes are taken", len(many))
	}
}

// Only a JWT with a signature is one: an imported key may have dots.
func TestIsJWT(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]bool{
		"eyJhbGciOiJFUzI1NiJ9.e30.c2ln": true, "eyJhbGciOiJub25lIn0.e30.": true, "eyJhbGciOiJFUzI1NiJ9.e30": false, "a.b.c": false,
		"eyJhbGciOiJFUzI1NiJ9.e30.c2ln.x": false, "e30.e30.e30": false, "": false, "..": false, "lk_live_a_b": false,
	} {
		if got := isJWT(token); got != want {
			t.Errorf("%q: got %v", token, got)
		}
	}
}
