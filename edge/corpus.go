package edge

import (
	"net/http"
	"strings"
)

// evil is what spoofed headers say.
const evil = "evil"

// corpus returns all cases. Those that need a good key come first: they show what reaches
// the API without an attack.
func (t *Test) corpus() []attack {
	var all []attack
	all = append(all, t.good()...)
	all = append(all, t.withoutKey()...)
	all = append(all, t.badKeys()...)
	all = append(all, t.spoofed()...)
	all = append(all, t.removed()...)
	all = append(all, t.framed()...)
	return append(all, t.paths()...)
}

func apiKey(key string) string { return "X-Api-Key: " + key }

// get is a case that asks for the route.
func (t *Test) get(name string, w wants, key string, lines ...string) attack {
	return attack{name: name, message: t.message(http.MethodGet, t.URL.RequestURI(), http11, lines...), key: key, wants: w}
}

func (t *Test) good() []attack {
	post := t.message(http.MethodPost, t.URL.RequestURI(), http11, apiKey(t.Key), "Content-Type: text/plain", "Content-Length: 3") + "abc"
	return []attack{
		t.get("a good key in X-Api-Key", passes, t.Key, apiKey(t.Key)),
		t.get("a good key in Authorization: Api-Key", passes, t.Key, "Authorization: Api-Key "+t.Key),
		t.get("a good key in Authorization: Bearer", passes, t.Key, "Authorization: Bearer "+t.Key),
		{name: "a good key with a body", message: post, key: t.Key, wants: passes},
	}
}

func (t *Test) withoutKey() []attack {
	all := []attack{t.get("no key", refused, "")}
	for _, method := range []string{"HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "PROPFIND", "BREW"} {
		all = append(all, attack{
			name: "no key, " + method, message: t.message(method, t.URL.RequestURI(), http11, "Content-Length: 0"), wants: refused,
		})
	}
	preflight := []string{"Origin: https://evil.example", "Access-Control-Request-Method: GET"}
	all = append(all, attack{
		name: "no key, a preflight of CORS", message: t.message("OPTIONS", t.URL.RequestURI(), http11, preflight...), wants: refused,
	})
	for _, line := range []string{
		"X-Forwarded-Method: OPTIONS", "X_Forwarded_Method: OPTIONS", "X-Forwarded-Uri: /", "X_Forwarded_Uri: /", "X-Forwarded-Prefix: /",
		"X-Forwarded-Host: localhost", "X-Forwarded-For: 127.0.0.1", "X-Original-Url: /", "X-Original-Method: OPTIONS", "X-Rewrite-Url: /",
		"X-Http-Method-Override: OPTIONS", "X-Real-Ip: 127.0.0.1", "X-Accel-Redirect: /", "X-Latchkey-Code: valid",
		"Upgrade: websocket\r\nConnection: Upgrade", "X-Latchkey-Key: evil\r\nX-Latchkey-Scope: evil",
		"X-Filler: " + strings.Repeat("a", 8<<10),
	} {
		name := strings.ReplaceAll(line, "\r\n", ", ")
		all = append(all, t.get("no key, "+name[:min(len(name), 60)], refused, "", line))
	}
	return all
}

func (t *Test) badKeys() []attack {
	none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJldmlsIn0."
	cut := t.Key[:len(t.Key)-1]
	all := []attack{
		t.get("a bad key", refused, "", apiKey("nonsense")),
		t.get("a bad key as Bearer", refused, "", "Authorization: Bearer nonsense"),
		t.get("a key without its last character", refused, "", apiKey(cut)),
		t.get("an empty key", refused, "", apiKey("")),
		t.get("an access token without a signature", refused, "", "Authorization: Bearer "+none),
		t.get("two keys in one header", refused, t.Key, apiKey(t.Key+", nonsense")),
		t.get("two keys, the good one first", safe, t.Key, apiKey(t.Key), apiKey("nonsense")),
		t.get("two keys, the good one last", safe, t.Key, apiKey("nonsense"), apiKey(t.Key)),
		t.get("two keys in two headers", safe, t.Key, apiKey(t.Key), "Authorization: Bearer nonsense"),
		t.get("a key and an access token without a signature", safe, t.Key, apiKey(t.Key), "Authorization: Bearer "+none),
	}
	other := []attack{
		t.get("a key of another project", refused, "", apiKey(t.OtherKey)),
		t.get("a key of another project as Bearer", refused, "", "Authorization: Bearer "+t.OtherKey),
		t.get("a key of another project beside a good one", safe, t.Key, apiKey(t.Key), "Authorization: Bearer "+t.OtherKey),
	}
	lacks := []attack{t.get("a key that lacks the scope", refused, "", apiKey(t.NoScopeKey))}
	return append(append(all, given(other, t.OtherKey, "--other-key-env")...), given(lacks, t.NoScopeKey, "--no-scope-key-env")...)
}

// given marks cases that need a key that was not given.
func given(cases []attack, key, flag string) []attack {
	for i := range cases {
		if key == "" {
			cases[i].missing = flag
		}
	}
	return cases
}

// spoofed writes identity headers into a request with a good key, in every spelling that
// some program takes for them.
func (t *Test) spoofed() (all []attack) {
	for _, name := range identityHeaders {
		for _, line := range []string{
			name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.Replace(name, "-", "_", 1),
			strings.Replace(name, "y-", "y_", 1), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "X-", "X.", 1), name + " ",
		} {
			all = append(all, t.get("spoofed "+line, safe, t.Key, apiKey(t.Key), line+": "+evil))
		}
		all = append(all,
			t.get("spoofed "+name+", twice", safe, t.Key, apiKey(t.Key), name+": "+evil, name+": "+evil),
			t.get("spoofed "+name+", empty", safe, t.Key, apiKey(t.Key), name+":"))
	}
	return append(all,
		t.get("spoofed authorization with an underscore", safe, t.Key, apiKey(t.Key), "Authorization_: Bearer "+evil),
		t.get("spoofed X-Forwarded headers", safe, t.Key, apiKey(t.Key), "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Uri: /a/../b",
			"X-Forwarded-Method: OPTIONS", "X-Forwarded-Prefix: /x"))
}

// removed has the proxy take headers off as hop-by-hop (RFC 9110, section 7.6.1), after
// it has set them.
func (t *Test) removed() (all []attack) {
	for _, name := range append([]string{"Authorization", "X-Api-Key"}, identityHeaders...) {
		all = append(all, t.get("Connection: "+name, safe, t.Key, apiKey(t.Key), "Connection: close, "+name))
	}
	every := strings.Join(append([]string{"Authorization"}, identityHeaders...), ", ")
	return append(all, t.get("Connection: all of them", safe, t.Key, apiKey(t.Key), "Connection: close, "+every))
}

// framed has messages that programs cut up in different ways.
func (t *Test) framed() []attack {
	at := t.URL.RequestURI()
	second := "GET " + at + " HTTP/1.1\r\nHost: " + t.URL.Host + "\r\n\r\n"
	message := func(lines ...string) string { return t.message(http.MethodPost, at, http11, lines...) }
	return []attack{
		{name: "a second request without a key in a body with two lengths", wants: safe, key: t.Key, message: message(apiKey(t.Key),
			"Content-Length: 5", "Transfer-Encoding: chunked", "Connection: keep-alive") + "0\r\n\r\n" + second},
		{name: "a second request without a key behind an odd Transfer-Encoding", wants: safe, key: t.Key, message: message(apiKey(t.Key),
			"Content-Length: 5", "Transfer-Encoding: xchunked", "Connection: keep-alive") + "0\r\n\r\n" + second},
		{name: "no key, two lengths", wants: refused, message: message("Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{name: "no key, HTTP/1.0 without a host", wants: refused, message: t.message(http.MethodGet, at, "HTTP/1.0")},
		{name: "no key, another host", wants: refused, message: "GET " + at + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"},
		{name: "no key, an absolute target", wants: refused, message: t.message(http.MethodGet, "http://localhost"+at, http11)},
		{name: "a key, HTTP/1.0 without a host", wants: safe, key: t.Key, message: t.message(http.MethodGet, at, "HTTP/1.0", apiKey(t.Key))},
		{name: "a key, an absolute target", wants: safe, key: t.Key,
			message: t.message(http.MethodGet, "http://localhost"+at, http11, apiKey(t.Key))},
		{name: "a key, long headers", wants: safe, key: t.Key, message: t.message(http.MethodGet, at, http11, apiKey(t.Key),
			"X-Filler: "+strings.Repeat("a", 7<<10))},
		{name: "a key, an upgrade", wants: safe, key: t.Key, message: t.message(http.MethodGet, at, http11, apiKey(t.Key),
			"Upgrade: websocket", "Connection: Upgrade")},
		{name: "the key in a folded header", wants: safe, key: t.Key, message: t.message(http.MethodGet, at, http11, "X-Api-Key:\r\n "+t.Key)},
	}
}

// paths writes the path of the route in ways that programs read differently. The proxy may
// protect one reading of it, and the API serve another one.
func (t *Test) paths() (all []attack) {
	path := "/" + strings.TrimPrefix(t.URL.EscapedPath(), "/")
	last := strings.LastIndex(path, "/") + 1
	folder, name := path[:last], path[last:]
	targets := []string{
		"/" + path, path + "/", path + "//", path + ";x=1", path + "/.", path + "/x/..", path + "%20", path + "%00", path + "%2f",
		path + "#", path + "?", path + "%3f", path + "/..;/" + name, path + ".json", strings.ToUpper(path), "/" + encodeFirst(path[1:]),
		"/../-" + path, "/%2e%2e/-" + path, "/..%2f-" + path, "/x/../../-" + path,
	}
	for _, between := range []string{
		"./", "x/../", "%2e/", "x/%2e%2e/", "x/%2E%2E%2f", "x%2f..%2f", "x/..%5c", `x\..\`, ";/", "x/..;/", "%252e%252e/",
	} {
		targets = append(targets, folder+between+name)
	}
	for _, target := range append(targets, folder+encodeFirst(name)) {
		ask := func(name string, w wants, key string, lines ...string) attack {
			return attack{name: name + ", " + target, message: t.message(http.MethodGet, target, http11, lines...), key: key, wants: w}
		}
		all = append(all, ask("no key", refused, ""), ask("a key", safe, t.Key, apiKey(t.Key)))
		lacks := []attack{ask("a key that lacks the scope", refused, "", apiKey(t.NoScopeKey))}
		all = append(all, given(lacks, t.NoScopeKey, "--no-scope-key-env")...)
	}
	return all
}

// encodeFirst percent-encodes the first character.
func encodeFirst(name string) string {
	if name == "" {
		return "%2e"
	}
	const digits = "0123456789abcdef"
	return "%" + string([]byte{digits[name[0]>>4], digits[name[0]&15]}) + name[1:]
}

// whileStopped has the cases for an outage of Latchkey.
func (t *Test) whileStopped() []attack {
	return []attack{
		t.get("Latchkey is stopped, a good key", refused, t.Key, apiKey(t.Key)),
		t.get("Latchkey is stopped, no key", refused, ""),
		t.get("Latchkey is stopped, a bad key", refused, "", apiKey("nonsense")),
	}
}
