package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// identityHeaders are what the API behind a proxy gets.
var identityHeaders = []string{"Authorization", "X-Latchkey-Key", "X-Latchkey-External-Id", "X-Latchkey-Scope"}

// forward asks as a proxy does. Its answer never has identity without 200, and always has
// all of it with 200.
func (w *world) forward(t *testing.T, method, path string, as credential) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	as(r.Header)
	return checkForwarded(t, w.send(t, r))
}

func checkForwarded(t *testing.T, a answer) answer {
	t.Helper()
	for _, name := range identityHeaders {
		if got := len(a.header[name]); a.status == http.StatusOK && got != 1 || a.status != http.StatusOK && got != 0 {
			t.Errorf("%d with %d values of %s", a.status, got, name)
		}
	}
	if a.status == http.StatusOK && len(a.body) > 0 || a.header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(a.header.Get("Vary"), "X-Api-Key") {
		t.Errorf("got %v, %s", a.header, a.body)
	}
	if got := a.header.Get("X-Latchkey-Code"); a.status != http.StatusOK && got != string(a.code()) {
		t.Errorf("the header has the code %q, the body %q", got, a.code())
	}
	return a
}

// refuses reports unless the answer is a refusal that every proxy can pass on.
func (a answer) refuses(t *testing.T, status int, code domain.Code) {
	t.Helper()
	a.fails(t, status, code)
	challenges := a.header["Www-Authenticate"]
	if (len(challenges) == 1) != (status == http.StatusUnauthorized) {
		t.Errorf("%d %s: the challenges are %q", status, code, challenges)
	}
	if len(challenges) == 1 && !strings.HasSuffix(challenges[0], `/oauth-protected-resource"`) {
		t.Errorf("the challenge is %q", challenges[0])
	}
}

// bearing sends a key as most clients do.
func bearing(token string) credential { return byUser(token) }

// A good key passes by every method, at every place where clients put keys, whatever the
// client's own path, query and headers are. The API gets a token in its place.
func TestForwardAuthPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config) { c.CORSOrigins = []string{"*"} })
	home := w.tenant(t, "owner")
	key := w.key(t, home.owner, home.project.ID, map[string]any{
		"scopes": []string{"documents:read", "documents:write", "keys:verify"}, "external_id": "Zürich 100%", "environment": "test",
	})
	verify := w.outsider(t, home.project.ID)
	for name, c := range map[string]struct {
		method, below string
		as            credential
		scope         string
	}{
		"X-Api-Key":                 {"GET", "/-", byKey(key.Token), "documents:read documents:write"},
		"Authorization":             {"GET", "/-", byAuthorization("Api-Key " + key.Token), "documents:read documents:write"},
		"Bearer":                    {"GET", "/-", bearing(key.Token), "documents:read documents:write"},
		"a scope":                   {"GET", "/documents:read", byKey(key.Token), "documents:read"},
		"two scopes":                {"GET", "/documents:write,documents:read", byKey(key.Token), "documents:read documents:write"},
		"an environment":            {"GET", "/test,documents:read", byKey(key.Token), "documents:read"},
		"an environment alone":      {"GET", "/test", byKey(key.Token), "documents:read documents:write"},
		"encoded by a client":       {"GET", "/documents%3Aread%2Ctest", byKey(key.Token), "documents:read"},
		"POST":                      {"POST", "/-", byKey(key.Token), "documents:read documents:write"},
		"OPTIONS":                   {"OPTIONS", "/-", byKey(key.Token), "documents:read documents:write"},
		"HEAD":                      {"HEAD", "/-", byKey(key.Token), "documents:read documents:write"},
		"a method of no one":        {"BREW", "/-", byKey(key.Token), "documents:read documents:write"},
		"with the path behind":      {"DELETE", "/documents:read/v2/files/a%20b/c;v=1/", byKey(key.Token), "documents:read"},
		"with a slash behind":       {"GET", "/documents:read/", byKey(key.Token), "documents:read"},
		"with a query":              {"GET", "/-/x?scopes=admin:all&scopes=a&%zz", byKey(key.Token), "documents:read documents:write"},
		"another scheme beside it":  {"GET", "/-", both(byKey(key.Token), byAuthorization("Basic YTpi")), "documents:read documents:write"},
		"from a page of elsewhere":  {"OPTIONS", "/-", both(byKey(key.Token), headers("Origin", "https://evil.example", "Access-Control-Request-Method", "PUT")), "documents:read documents:write"},
		"from a page of this host":  {"GET", "/-", both(byKey(key.Token), headers("Origin", "http://example.com")), "documents:read documents:write"},
		"with headers of the proxy": {"GET", "/documents:read", both(byKey(key.Token), headers("X-Forwarded-Uri", "/a/../admin", "X-Forwarded-Method", "DELETE", "X-Forwarded-Host", "evil.example")), "documents:read"},
		"another method by header":  {"GET", "/documents:read", both(byKey(key.Token), headers("X-Http-Method-Override", "DELETE")), "documents:read"},
		"with any Content-Type":     {"PUT", "/-", both(byKey(key.Token), headers("Content-Type", "text/plain", "Content-Encoding", "br", "If-Match", "x")), "documents:read documents:write"},
		"with spoofed identity":     {"GET", "/-", both(byKey(key.Token), headers("X-Latchkey-Key", "key_evil", "X_Latchkey_Key", "key_evil")), "documents:read documents:write"},
		"with an alias of no key":   {"GET", "/-", both(byKey(key.Token), headers("X_Api_Key", "evil", "X.Api.Key", "evil")), "documents:read documents:write"},
	} {
		got := w.forward(t, c.method, home.path("/forward-auth"+c.below), c.as)
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
			continue
		}
		token, _ := strings.CutPrefix(got.header.Get("Authorization"), "Bearer ")
		claims, err := verify(token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if life := claims["exp"].(float64) - claims["iat"].(float64); life > 60 || life < 30 ||
			claims["scope"] != c.scope || claims["sub"] != string(key.Key.ID) || claims["external_id"] != "Zürich 100%" {
			t.Errorf("%s: got %v", name, claims)
		}
		if got.header.Get("X-Latchkey-Key") != string(key.Key.ID) || got.header.Get("X-Latchkey-Scope") != c.scope ||
			got.header.Get("X-Latchkey-External-Id") != "Z%C3%BCrich%20100%25" {
			t.Errorf("%s: got %v", name, got.header)
		}
	}
}

// Guarantees that nothing but a good key of this very project passes, that the answer
// has the reason, and that a client learns nothing about the keys of others.
func TestForwardAuthRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, other := w.tenant(t, "owner"), w.tenant(t, "other")
	in := func(n tenant, fields map[string]any) string { return w.key(t, n.owner, n.project.ID, fields).Token }
	good, theirs := in(home, map[string]any{"scopes": []string{"a:b"}}), in(other, map[string]any{"scopes": []string{"a:b"}})
	revoked := w.key(t, home.owner, home.project.ID, nil)
	w.call(t, "POST", home.path("/keys/"+string(revoked.Key.ID)+"/revoke"), home.owner.as, nil).want(t, http.StatusOK, nil)
	expired := in(home, map[string]any{"expires_at": w.Now().Add(-time.Hour)})
	long := in(home, map[string]any{"external_id": strings.Repeat("é", 100)}) // each is six bytes of a header
	var foreign api.AccessToken
	form := url.Values{"grant_type": {"client_credentials"}}
	w.call(t, "POST", other.path("/oauth/token"), byKey(theirs), form).want(t, http.StatusOK, &foreign)
	at := home.path("/forward-auth")
	nowhere := "/v1/projects/prj_00000000000000000000000001/forward-auth/-"
	twice := func(name, a, b string) credential { return func(h http.Header) { h[name] = []string{a, b} } }
	for name, c := range map[string]struct {
		path   string
		as     credential
		status int
		code   domain.Code
	}{
		"no key":                        {at + "/-", anonymous, 401, "unauthenticated"},
		"no key, a route with scopes":   {at + "/a:b", anonymous, 401, "unauthenticated"},
		"another scheme":                {at + "/-", byAuthorization("Basic YTpi"), 401, "unauthenticated"},
		"an alias of the header":        {at + "/-", headers("X_Api_Key", good), 401, "unauthenticated"},
		"the key in the query":          {at + "/-?api_key=" + good, anonymous, 401, "unauthenticated"},
		"the key in a cookie":           {at + "/-", headers("Cookie", "X-Api-Key="+good), 401, "unauthenticated"},
		"no text":                       {at + "/-", byAuthorization(""), 401, "unauthenticated"},
		"a bad key":                     {at + "/-", byKey("nonsense"), 401, "invalid_api_key"},
		"a bad key, by Bearer":          {at + "/-", bearing("nonsense"), 401, "invalid_api_key"},
		"cut short":                     {at + "/-", byKey(good[:len(good)-1]), 401, "invalid_api_key"},
		"with a space behind":           {at + "/-", byAuthorization("Api-Key " + good + " x"), 401, "invalid_api_key"},
		"a list":                        {at + "/-", byKey(good + ", " + good), 401, "invalid_api_key"},
		"a list without spaces":         {at + "/-", byKey(good + "," + good), 401, "invalid_api_key"},
		"with a line break":             {at + "/-", byKey(good + "\r\nX-Latchkey-Key: key_evil"), 401, "invalid_api_key"},
		"very long":                     {at + "/-", bearing(strings.Repeat("a", 4000)), 401, "invalid_api_key"},
		"two keys":                      {at + "/-", both(byKey(good), byAuthorization("Api-Key "+theirs)), 401, "ambiguous_credentials"},
		"a key and a Bearer":            {at + "/-", both(byKey(good), bearing(theirs)), 401, "ambiguous_credentials"},
		"a key and a person":            {at + "/-", both(byKey(good), home.owner.as), 401, "ambiguous_credentials"},
		"the header twice":              {at + "/-", twice("X-Api-Key", good, good), 401, "ambiguous_credentials"},
		"Authorization twice":           {at + "/-", twice("Authorization", "Bearer "+good, "Bearer "+theirs), 401, "ambiguous_credentials"},
		"a person":                      {at + "/-", home.owner.as, 401, "invalid_token"},
		"a token of another project":    {at + "/-", bearing(foreign.AccessToken), 401, "invalid_token"},
		"a token signed by no one":      {at + "/-", bearing("eyJhbGciOiJub25lIn0.e30."), 401, "invalid_token"},
		"revoked":                       {at + "/-", byKey(revoked.Token), 401, "key_revoked"},
		"expired":                       {at + "/-", bearing(expired), 401, "key_expired"},
		"of another tenant":             {at + "/-", byKey(theirs), 401, "invalid_api_key"},
		"of another tenant, with scope": {at + "/a:b", bearing(theirs), 401, "invalid_api_key"},
		"a scope it lacks":              {at + "/a:b,c:d", byKey(good), 403, "insufficient_scope"},
		"the other environment":         {at + "/test", byKey(good), 403, "wrong_environment"},
		"Latchkey's own scope":          {at + "/keys:verify", byKey(in(home, map[string]any{"scopes": []string{"keys:verify"}})), 403, "misconfigured"},
		"an external_id too long":       {at + "/-", byKey(long), 403, "misconfigured"},
		"no such project":               {nowhere, byKey(good), 403, "misconfigured"},
		"no such project, no key":       {nowhere, anonymous, 401, "unauthenticated"},
		"no id of a project":            {"/v1/projects/mine/forward-auth/-", byKey(good), 403, "misconfigured"},
		"no scopes":                     {at + "/", byKey(good), 403, "misconfigured"},
		"no scopes, a path":             {at + "//a:b", byKey(good), 403, "misconfigured"},
		"scopes in capitals":            {at + "/A:B", byKey(good), 403, "misconfigured"},
		"a scope twice":                 {at + "/a:b,a:b", byKey(good), 403, "misconfigured"},
		"a comma too many":              {at + "/a:b,", byKey(good), 403, "misconfigured"},
		"nothing among scopes":          {at + "/-,a:b", byKey(good), 403, "misconfigured"},
		"both environments":             {at + "/live,test", byKey(good), 403, "misconfigured"},
		"a dot segment":                 {at + "/c:d/-/../a:b", byKey(good), 403, "bad_request_path"},
		"an encoded dot segment":        {at + "/c:d/%2e%2E/a:b", byKey(good), 403, "bad_request_path"},
		"encoded twice":                 {at + "/c:d/%252e%252e/a:b", byKey(good), 403, "bad_request_path"},
		"an encoded slash":              {at + "/c:d/..%2fa:b", byKey(good), 403, "bad_request_path"},
		"a backslash":                   {at + `/c:d/..\a:b`, byKey(good), 403, "bad_request_path"},
		"dots with parameters":          {at + "/c:d/..;x=1/a:b", byKey(good), 403, "bad_request_path"},
		"an empty segment":              {at + "/c:d/x//a:b", byKey(good), 403, "bad_request_path"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			path, query, _ := strings.Cut(c.path, "?")
			r.URL = &url.URL{Path: path, RawPath: path, RawQuery: query}
			if plain, err := url.PathUnescape(path); err == nil {
				r.URL.Path = plain
			}
			c.as(r.Header)
			checkForwarded(t, w.send(t, r)).refuses(t, c.status, c.code)
		})
	}
}

// Guarantees that a key that is bound to networks passes only where a trusted proxy says
// the client's address: that of the proxy is the address of no client, not even of one
// within the networks of the key.
func TestForwardAuthJudgesTheForwardedAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	home := w.tenant(t, "owner")
	bound := w.key(t, home.owner, home.project.ID, map[string]any{"allowed_ips": []string{"203.0.113.0/24", "10.0.0.1", "192.0.2.0/24"}})
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      int
	}{
		"said by the proxy":        {"10.0.0.1:1", []string{"203.0.113.9"}, http.StatusOK},
		"said by two proxies":      {"10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, http.StatusOK},
		"from elsewhere":           {"10.0.0.1:1", []string{"198.51.100.1"}, http.StatusForbidden},
		"claimed by the client":    {"10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, http.StatusForbidden},
		"nothing said":             {"10.0.0.1:1", nil, http.StatusForbidden},
		"an empty header":          {"10.0.0.1:1", []string{""}, http.StatusForbidden},
		"no address":               {"10.0.0.1:1", []string{"unknown"}, http.StatusForbidden},
		"no address, then a proxy": {"10.0.0.1:1", []string{"unknown, 10.0.0.1"}, http.StatusForbidden},
		"by an untrusted proxy":    {"192.0.2.1:1", []string{"203.0.113.9"}, http.StatusForbidden},
		"of an untrusted proxy":    {"192.0.2.1:1", nil, http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, home.path("/forward-auth/-"), nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.forwarded
		byKey(bound.Token)(r.Header)
		if got := checkForwarded(t, w.send(t, r)); got.status != c.want ||
			got.status != http.StatusOK && got.code() != domain.CodeAddressNotAllowed {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, c.want)
		}
	}
}

// A request through a proxy costs the limits of the key once, and a refused one costs
// nothing. The refusal says when to come back.
func TestForwardAuthSpends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	quota := map[string]any{"name": "daily", "type": "quota", "limit": 2, "period": "day"}
	credits := map[string]any{"name": "credits", "type": "credits", "initial": 1}
	limited := w.key(t, home.owner, home.project.ID, map[string]any{"limits": []any{quota}})
	prepaid := w.key(t, home.owner, home.project.ID, map[string]any{"limits": []any{credits}})
	at := home.path("/forward-auth")
	for _, c := range []struct {
		key    api.CreatedKey
		path   string
		status int
		code   domain.Code
	}{
		{limited, at + "/a:b", 403, "insufficient_scope"},
		{limited, at + "/-", 200, ""},
		{limited, at + "/-/any/path", 200, ""},
		{limited, at + "/a:b", 403, "insufficient_scope"},
		{limited, at + "/-", 429, "quota_exceeded"},
		{prepaid, at + "/-", 200, ""},
		{prepaid, at + "/-", 402, "credits_exhausted"},
	} {
		got := w.forward(t, "GET", c.path, byKey(c.key.Token))
		if got.status != c.status || c.code != "" && got.code() != c.code {
			t.Errorf("%s: got %d %s, want %d %s", c.path, got.status, got.body, c.status, c.code)
		}
		if limits := got.header.Get("RateLimit"); (limits != "") != (c.status != 403) {
			t.Errorf("%d: RateLimit is %q", got.status, limits)
		}
		if wait := got.header.Get("Retry-After"); (wait != "") != (c.status == 429) {
			t.Errorf("%d: Retry-After is %q", got.status, wait)
		}
	}
}

// The token for the API is signed once for a key and a route, and anew when half of its
// life is over or when the key or the project has changed.
func TestForwardAuthKeepsItsSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	key := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"a:b", "c:d"}})
	seen := map[string]string{}
	token := func(route string) string {
		t.Helper()
		got := w.forward(t, "GET", home.path("/forward-auth/"+route), byKey(key.Token)).want(t, http.StatusOK, nil)
		return got.header.Get("Authorization")
	}
	anew := func(step string) {
		t.Helper()
		first := token("-")
		if first != token("-") {
			t.Errorf("%s: signed twice", step)
		}
		if before, ok := seen[first]; ok {
			t.Errorf("%s: the token is the one of %s", step, before)
		}
		seen[first] = step
	}
	anew("first")
	if token("a:b") == token("-") {
		t.Error("two routes share a token")
	}
	w.Pass(29 * time.Second)
	if seen[token("-")] != "first" {
		t.Error("not kept for 29 seconds")
	}
	w.Pass(time.Second)
	anew("half of its life is over")
	change := func(path string, fields map[string]any) {
		w.call(t, http.MethodPatch, path, home.owner.as, fields).want(t, http.StatusOK, nil)
	}
	change(home.path("/keys/"+string(key.Key.ID)), map[string]any{"scopes": []string{"a:b"}})
	anew("the key has changed")
	change(home.path(""), map[string]any{"audience": "https://api.example.com"})
	anew("the audience has changed")
	change(home.path(""), map[string]any{"token_epoch": 1})
	anew("all tokens have ended")
	if claims, err := w.outsider(t, home.project.ID)(strings.TrimPrefix(token("-"), "Bearer ")); err != nil ||
		claims["aud"] != "https://api.example.com" || claims["scope"] != "a:b" {
		t.Errorf("got %v, %v", claims, err)
	}
}

// Guarantees that an access token passes with what it says and no more, only while its
// key does, and that the API gets no token that lives longer.
func TestForwardAuthTakesNarrowedTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	key := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"a:b", "c:d"}})
	issue := func(scope string) credential {
		var got api.AccessToken
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
		w.call(t, "POST", home.path("/oauth/token"), byKey(key.Token), form).want(t, http.StatusOK, &got)
		return bearing(got.AccessToken)
	}
	narrow := issue("a:b")
	at := home.path("/forward-auth/")
	for route, want := range map[string]int{"-": 200, "a:b": 200, "c:d": 403, "a:b,c:d": 403, "live": 200, "test": 403} {
		got := w.forward(t, "GET", at+route, narrow)
		if got.status != want || want == 200 && got.header.Get("X-Latchkey-Scope") != "a:b" {
			t.Errorf("%s: got %d %v", route, got.status, got.header)
		}
	}
	w.Pass(280 * time.Second) // of 300
	got := w.forward(t, "GET", at+"-", narrow).want(t, http.StatusOK, nil)
	claims, err := w.outsider(t, home.project.ID)(strings.TrimPrefix(got.header.Get("Authorization"), "Bearer "))
	if err != nil || claims["exp"].(float64) > float64(w.Now().Unix()+20) {
		t.Errorf("got %v, %v", claims, err)
	}
	w.Pass(21 * time.Second)
	w.forward(t, "GET", at+"-", narrow).refuses(t, 401, "invalid_token")

	home.owner = w.logIn(t, home.owner)
	fresh := issue("a:b")
	changed := map[string]any{"scopes": []string{"c:d"}}
	w.call(t, "PATCH", home.path("/keys/"+string(key.Key.ID)), home.owner.as, changed).want(t, http.StatusOK, nil)
	w.forward(t, "GET", at+"a:b", fresh).refuses(t, 403, "insufficient_scope")
	if got := w.forward(t, "GET", at+"-", fresh); got.header.Get("X-Latchkey-Scope") != "" || got.status != 200 {
		t.Errorf("a scope that the key has lost: got %d %v", got.status, got.header)
	}
	w.call(t, "POST", home.path("/keys/"+string(key.Key.ID)+"/revoke"), home.owner.as, nil).want(t, http.StatusOK, nil)
	w.forward(t, "GET", at+"-", fresh).refuses(t, 401, "key_revoked")
}

// Guarantees that what cannot be known is 503 and lets no one in, and that known keys
// pass through an outage.
func TestForwardAuthInAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	known, unknown := w.key(t, home.owner, home.project.ID, nil), w.key(t, home.owner, home.project.ID, nil)
	at := home.path("/forward-auth/-")
	w.forward(t, "GET", at, byKey(known.Token)).want(t, http.StatusOK, nil)
	if err := w.Store.Close(); err != nil {
		t.Fatal(err)
	}
	w.forward(t, "GET", at, byKey(known.Token)).want(t, http.StatusOK, nil)
	got := w.forward(t, "GET", at, byKey(unknown.Token))
	got.refuses(t, http.StatusServiceUnavailable, domain.CodeUnavailable)
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
	}
	w.forward(t, "GET", at, anonymous).refuses(t, 401, "unauthenticated")
}

// Guarantees that the longest answer fits the 4 KiB that nginx has for the headers of an
// answer, and that many scopes are only said where a route names some.
func TestForwardAuthFitsItsHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config) { c.PublicURL = "https://" + strings.Repeat("a", 63) + ".example.com" })
	home := w.tenant(t, "owner")
	w.call(t, http.MethodPatch, home.path(""), home.owner.as, map[string]any{
		"audience": "https://api.example.com/" + strings.Repeat("a", 170),
	}).want(t, http.StatusOK, nil)
	var scopes []string
	for i := range 50 {
		scopes = append(scopes, strings.Repeat("a", 20)+":"+string(rune('a'+i%26))+strings.Repeat("b", i/26))
	}
	limits := []any{}
	for _, name := range []string{"requests", "more", "most"} {
		limits = append(limits, map[string]any{"name": name, "type": "rate", "limit": 1000, "period": "second"})
	}
	key := w.key(t, home.owner, home.project.ID, map[string]any{
		"scopes": scopes, "external_id": strings.Repeat("a", 200), "limits": limits,
	})
	at := home.path("/forward-auth/")
	for route, want := range map[string]string{"-": "", strings.Join(scopes[:5], ","): strings.Join(scopes[:5], " ")} {
		got := w.forward(t, "GET", at+route, byKey(key.Token)).want(t, http.StatusOK, nil)
		var text strings.Builder
		if err := got.header.Write(&text); err != nil || text.Len() > 3<<10 || got.header.Get("X-Latchkey-Scope") != want {
			t.Errorf("%s: %d bytes of headers, scope %q", route, text.Len(), got.header.Get("X-Latchkey-Scope"))
		}
	}
	w.forward(t, "GET", at+strings.Join(scopes, ","), byKey(key.Token)).refuses(t, 403, "misconfigured")
}
