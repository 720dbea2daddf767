package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

// headers sends header lines as they are, names and values in turn.
func headers(lines ...string) credential {
	return func(h http.Header) {
		for i := 0; i < len(lines); i += 2 {
			name := http.CanonicalHeaderKey(lines[i])
			h[name] = append(h[name], lines[i+1])
		}
	}
}

func TestKeysAreAccepted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings api.Credentials
		lines    []string // %s is the token
	}{
		"Authorization":                 {api.Credentials{}, []string{"Authorization", "Api-Key %s"}},
		"scheme in lower case":          {api.Credentials{}, []string{"Authorization", "api-key %s"}},
		"scheme in upper case":          {api.Credentials{}, []string{"Authorization", "API-KEY %s"}},
		"spaces around the value":       {api.Credentials{}, []string{"Authorization", "  Api-Key %s \t"}},
		"own header":                    {api.Credentials{}, []string{"X-Api-Key", "%s"}},
		"own header in lower case":      {api.Credentials{}, []string{"x-api-key", "%s"}},
		"own header, spaces around":     {api.Credentials{}, []string{"X-Api-Key", " %s\t"}},
		"own header beside Basic":       {api.Credentials{}, []string{"X-Api-Key", "%s", "Authorization", "Basic dTpw"}},
		"custom keyword":                {api.Credentials{Keyword: "Token"}, []string{"Authorization", "Token %s"}},
		"custom keyword, own header":    {api.Credentials{Keyword: "Token"}, []string{"X-Api-Key", "%s"}},
		"custom header":                 {api.Credentials{Header: "X-My-Key"}, []string{"X-My-Key", "%s"}},
		"custom header in lower case":   {api.Credentials{Header: "x-my-key"}, []string{"X-MY-KEY", "%s"}},
		"custom header named X-Api-Key": {api.Credentials{Header: "X-Api-Key"}, []string{"X-Api-Key", "%s"}},
		"custom header beside another":  {api.Credentials{Header: "X-My-Key"}, []string{"X-My-Key", "%s", "X-Api-Key", "anything"}},
		"custom header beside Api-Key":  {api.Credentials{Header: "X-My-Key"}, []string{"X-My-Key", "%s", "Authorization", "Api-Key any"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *api.Config) { c.Credentials = test.settings })
			n := w.tenant(t, "ada")
			sent := strings.Split(fmt.Sprintf(strings.Join(test.lines, "\n"), w.key(t, n.owner, n.project.ID, nil).Token), "\n")
			w.call(t, "GET", "/v1/project", headers(sent...), nil).want(t, http.StatusOK, nil)
		})
	}
}

// Anything other than a valid key, sent exactly as required, is refused with a
// precise 4xx and the challenge that says how to send one.
func TestKeysAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	good := w.key(t, n.owner, n.project.ID, nil)
	token := good.Token
	other := w.key(t, n.owner, n.project.ID, nil).Token
	parts := strings.Split(token, "_")
	changed := func(i int) string {
		b := []byte(token)
		b[i]++
		return string(b)
	}

	const unauthenticated, invalid = domain.CodeUnauthenticated, domain.CodeInvalidAPIKey
	for name, test := range map[string]struct {
		lines []string
		want  domain.Code
	}{
		"nothing sent":                    {nil, unauthenticated},
		"empty Authorization":             {[]string{"Authorization", ""}, unauthenticated},
		"white space as Authorization":    {[]string{"Authorization", " \t "}, unauthenticated},
		"empty Authorization, good key":   {[]string{"Authorization", "", "X-Api-Key", token}, unauthenticated},
		"empty X-Api-Key":                 {[]string{"X-Api-Key", ""}, invalid},
		"empty token":                     {[]string{"Authorization", "Api-Key"}, invalid},
		"empty token after a space":       {[]string{"Authorization", "Api-Key "}, invalid},
		"abcd":                            {[]string{"Authorization", "Api-Key abcd"}, invalid},
		"foo.bar":                         {[]string{"Authorization", "Api-Key foo.bar"}, invalid},
		"no leading word":                 {[]string{"Authorization", token}, unauthenticated},
		"two spaces":                      {[]string{"Authorization", "Api-Key  " + token}, invalid},
		"a TAB":                           {[]string{"Authorization", "Api-Key\t" + token}, invalid},
		"a trailing word":                 {[]string{"Authorization", "Api-Key " + token + " x"}, invalid},
		"two keys in one header":          {[]string{"Authorization", "Api-Key " + token + ", Api-Key " + token}, invalid},
		"two keys in X-Api-Key":           {[]string{"X-Api-Key", token + "," + token}, invalid},
		"a colon":                         {[]string{"Authorization", "Api-Key:" + token}, unauthenticated},
		"an equals sign":                  {[]string{"Authorization", "Api-Key=" + token}, unauthenticated},
		"scheme ApiKey":                   {[]string{"Authorization", "ApiKey " + token}, unauthenticated},
		"scheme X-Key":                    {[]string{"Authorization", "X-Key " + token}, unauthenticated},
		"scheme My-Api-Key":               {[]string{"Authorization", "My-Api-Key " + token}, unauthenticated},
		"scheme Bearer":                   {[]string{"Authorization", "Bearer " + token}, domain.CodeInvalidToken},
		"scheme in X-Api-Key":             {[]string{"X-Api-Key", "Api-Key " + token}, invalid},
		"upper case":                      {[]string{"X-Api-Key", strings.ToUpper(token)}, invalid},
		"lower case":                      {[]string{"X-Api-Key", strings.ToLower(token)}, invalid},
		"cut short":                       {[]string{"X-Api-Key", token[:len(token)-1]}, invalid},
		"too long":                        {[]string{"X-Api-Key", token + "0"}, invalid},
		"the prefix only":                 {[]string{"X-Api-Key", good.Key.Prefix}, invalid},
		"the prefix and no secret":        {[]string{"X-Api-Key", good.Key.Prefix + "_"}, invalid},
		"the secret only":                 {[]string{"X-Api-Key", parts[3]}, invalid},
		"another key's secret":            {[]string{"X-Api-Key", good.Key.Prefix + "_" + strings.Split(other, "_")[3]}, invalid},
		"first character changed":         {[]string{"X-Api-Key", changed(0)}, invalid},
		"a character of the id":           {[]string{"X-Api-Key", changed(9)}, invalid},
		"a character of the secret":       {[]string{"X-Api-Key", changed(30)}, invalid},
		"last character changed":          {[]string{"X-Api-Key", changed(len(token) - 1)}, invalid},
		"the other environment":           {[]string{"X-Api-Key", strings.Replace(token, "_live_", "_test_", 1)}, invalid},
		"the key's id":                    {[]string{"X-Api-Key", string(good.Key.ID)}, invalid},
		"NUL":                             {[]string{"X-Api-Key", token + "\x00"}, invalid},
		"a control character":             {[]string{"X-Api-Key", "\x1b" + token}, invalid},
		"not ASCII":                       {[]string{"X-Api-Key", token + "ä"}, invalid},
		"not UTF-8":                       {[]string{"X-Api-Key", token + "\xff"}, invalid},
		"7 KB":                            {[]string{"X-Api-Key", strings.Repeat("a", 7<<10)}, invalid},
		"20 KB":                           {[]string{"Authorization", "Api-Key " + strings.Repeat("a", 20<<10)}, invalid},
		"20 KB of access token":           {[]string{"Authorization", "Bearer " + strings.Repeat("a", 20<<10)}, domain.CodeInvalidToken},
		"in a cookie":                     {[]string{"Cookie", "X-Api-Key=" + token + "; api_key=" + token}, unauthenticated},
		"in the header HTTP_X_API_KEY":    {[]string{"HTTP_X_API_KEY", token}, unauthenticated},
		"Basic":                           {[]string{"Authorization", "Basic " + token}, unauthenticated},
		"two Authorization headers":       {[]string{"Authorization", "Api-Key " + token, "Authorization", "Api-Key " + other}, domain.CodeAmbiguousCredentials},
		"two equal Authorization headers": {[]string{"Authorization", "Api-Key " + token, "Authorization", "Api-Key " + token}, domain.CodeAmbiguousCredentials},
		"two equal X-Api-Key headers":     {[]string{"X-Api-Key", token, "X-Api-Key", token}, domain.CodeAmbiguousCredentials},
		"two Authorization headers, one of them not for us": {
			[]string{"Authorization", "Api-Key " + token, "Authorization", "Basic dTpw"}, domain.CodeAmbiguousCredentials,
		},
		"both ways":            {[]string{"Authorization", "Api-Key " + token, "X-Api-Key", token}, domain.CodeAmbiguousCredentials},
		"both ways, one empty": {[]string{"Authorization", "Api-Key " + token, "X-Api-Key", ""}, domain.CodeAmbiguousCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			status := http.StatusUnauthorized
			if test.want == domain.CodeAmbiguousCredentials {
				status = http.StatusBadRequest
			}
			got := w.call(t, "GET", "/v1/project", headers(test.lines...), nil).fails(t, status, test.want)
			if challenge := got.header.Get("WWW-Authenticate"); status == http.StatusUnauthorized &&
				!strings.HasPrefix(challenge, `Api-Key realm="latchkey"`) {
				t.Errorf("the challenge is %q", challenge)
			}
		})
	}
	t.Run("in the query", func(t *testing.T) {
		w.call(t, "GET", "/v1/project?api_key="+token+"&X-Api-Key="+token, anonymous, nil).
			fails(t, http.StatusUnauthorized, unauthenticated)
	})
}

// Once a custom header is configured, it is the only one that is read for keys.
func TestOnlyTheConfiguredHeaderIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config) { c.Credentials.Header = "X-My-Key" })
	n := w.tenant(t, "ada")
	token := w.key(t, n.owner, n.project.ID, nil).Token
	for name, test := range map[string]struct {
		lines []string
		want  domain.Code
	}{
		"Authorization": {[]string{"Authorization", "Api-Key " + token}, domain.CodeUnauthenticated},
		"X-Api-Key":     {[]string{"X-Api-Key", token}, domain.CodeUnauthenticated},
		"with the word": {[]string{"X-My-Key", "Api-Key " + token}, domain.CodeInvalidAPIKey},
	} {
		got := w.call(t, "GET", "/v1/project", headers(test.lines...), nil).fails(t, http.StatusUnauthorized, test.want)
		if challenge := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `Api-Key realm="latchkey", header="X-My-Key"`) {
			t.Errorf("%s: the challenge is %q", name, challenge)
		}
	}
}

// A keyword replaces the one before it: the old word is not accepted anymore.
func TestTheKeywordReplacesTheDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config) { c.Credentials.Keyword = "Token" })
	n := w.tenant(t, "ada")
	token := w.key(t, n.owner, n.project.ID, nil).Token
	got := w.call(t, "GET", "/v1/project", byAuthorization("Api-Key "+token), nil).
		fails(t, http.StatusUnauthorized, domain.CodeUnauthenticated)
	if diff := cmp.Diff([]string{`Token realm="latchkey"`}, got.header["Www-Authenticate"]); diff != "" {
		t.Error(diff)
	}
}

// Text that cannot be a token is refused although the database is gone: it
// needs no look-up. Text that can be a token is then answered with unavailable.
func TestMalformedTokensReachNoDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	token := w.key(t, n.owner, n.project.ID, nil).Token
	w.Store.Close()
	for _, value := range []string{"", "abcd", "foo.bar", token[1:], token + "\x00", token + "ä", strings.ToUpper(token),
		strings.Repeat("k", 20<<10)} {
		w.call(t, "GET", "/v1/project", byKey(value), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidAPIKey)
	}
	for _, value := range []string{"x", "a.b.c", n.owner.AccessToken + "x", strings.Repeat("k", 20<<10), "\x00"} {
		w.call(t, "GET", "/v1/me", byUser(value), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidToken)
	}
	if got := w.call(t, "GET", "/v1/project", byKey(token), nil); got.status < 500 {
		t.Errorf("a well-formed token got %d without a database", got.status)
	}
}

// Each reason that a key is refused for has its own code, once its secret has
// been proved, and the challenge names it.
func TestProvenButUnusable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	expiring := w.key(t, n.owner, n.project.ID, map[string]any{"expires_at": w.Now().Add(time.Hour)})
	expired := w.key(t, n.owner, n.project.ID, map[string]any{"expires_at": w.Now().Add(-24 * time.Hour)})
	now := w.key(t, n.owner, n.project.ID, map[string]any{"expires_at": w.Now()})
	revoked := w.key(t, n.owner, n.project.ID, nil)
	w.call(t, "POST", n.path("/keys/"+string(revoked.Key.ID)+"/revoke"), n.owner.as, nil).want(t, http.StatusOK, nil)
	good := w.key(t, n.owner, n.project.ID, nil)

	refused := func(token string, want domain.Code) {
		t.Helper()
		got := w.call(t, "GET", "/v1/whoami", byKey(token), nil).fails(t, http.StatusUnauthorized, want)
		challenges := []string{fmt.Sprintf(`Api-Key realm="latchkey", error=%q`, want), `Bearer realm="latchkey"`}
		if diff := cmp.Diff(challenges, got.header["Www-Authenticate"]); diff != "" {
			t.Error(diff)
		}
	}
	w.call(t, "GET", "/v1/project", byKey(expiring.Token), nil).want(t, http.StatusOK, nil)
	refused(expired.Token, domain.CodeKeyExpired)
	refused(now.Token, domain.CodeKeyExpired)
	refused(revoked.Token, domain.CodeKeyRevoked)
	w.Pass(time.Hour)
	refused(expiring.Token, domain.CodeKeyExpired)

	n.owner.as = w.logIn(t, n.owner).as // an access token lives five minutes
	set := func(path, status string) {
		w.call(t, "PATCH", path, n.owner.as, map[string]string{"status": status}).want(t, http.StatusOK, nil)
	}
	set(n.path(""), "disabled")
	refused(good.Token, domain.CodeProjectDisabled)
	set(n.path(""), "active")
	w.call(t, "GET", "/v1/project", byKey(good.Token), nil).want(t, http.StatusOK, nil)
	set("/v1/organizations/"+string(n.organization.ID), "disabled")
	refused(good.Token, domain.CodeProjectDisabled)
	set("/v1/organizations/"+string(n.organization.ID), "active")
	w.call(t, "GET", "/v1/project", byKey(good.Token), nil).want(t, http.StatusOK, nil)
}

// The answer says when an access token has expired, and when the text sent as
// an access token is an API key.
func TestAccessTokensAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	token := w.key(t, n.owner, n.project.ID, nil).Token
	got := w.call(t, "GET", "/v1/me", byUser(token), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidToken)
	if !strings.Contains(string(got.body), "This is an API key") {
		t.Errorf("the detail does not help: %s", got.body)
	}
	w.Pass(6 * time.Minute)
	got = w.call(t, "GET", "/v1/me", n.owner.as, nil).fails(t, http.StatusUnauthorized, domain.CodeTokenExpired)
	if diff := cmp.Diff([]string{`Bearer realm="latchkey", error="invalid_token"`}, got.header["Www-Authenticate"]); diff != "" {
		t.Error(diff)
	}
}

// logIn starts another session.
func (w *world) logIn(t *testing.T, p person) person {
	t.Helper()
	var again person
	w.call(t, "POST", "/v1/auth/login", anonymous, map[string]string{"email": p.User.Email, "password": password}).
		want(t, http.StatusOK, &again.Session)
	w.secret(again.AccessToken, again.RefreshToken)
	again.as = byUser(again.AccessToken)
	return again
}

// A stale token does not matter where no credentials are needed: logging in,
// refreshing, and asking for health are how one gets out of that.
func TestPublicOperationsIgnoreCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.signUp(t, "ada")
	w.Pass(time.Hour)
	for name, as := range map[string]credential{
		"expired access token": ada.as,
		"garbage":              byUser("garbage"),
		"bad key":              byKey("garbage"),
		"ambiguous":            headers("Authorization", "Bearer a", "Authorization", "Bearer b"),
		"empty":                headers("Authorization", ""),
		"both bad":             both(byKey("garbage"), byUser("garbage")),
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml", "/openapi.json", "/.well-known/jwks.json"} {
				w.call(t, "GET", path, as, nil).want(t, http.StatusOK, nil)
			}
			w.call(t, "POST", "/v1/auth/login", as, map[string]string{"email": "ADA@example.com", "password": password}).
				want(t, http.StatusOK, nil)
			var next api.Session
			w.call(t, "POST", "/v1/auth/refresh", as, map[string]string{"refresh_token": ada.RefreshToken}).want(t, http.StatusOK, &next)
			w.secret(next.AccessToken, next.RefreshToken)
			ada.RefreshToken = next.RefreshToken
		})
	}
}

// Log-in gives the same answer for an unknown address, a wrong password and a body
// with both wrong, except for the request id.
func TestLogInSaysNothingAboutAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signUp(t, "ada")
	attempt := func(email, secret string) string {
		got := w.call(t, "POST", "/v1/auth/login", anonymous, map[string]string{"email": email, "password": secret}).
			fails(t, http.StatusUnauthorized, domain.CodeInvalidCredentials)
		return withoutRequestID(got)
	}
	wrong := attempt("ada@example.com", "not "+password[1:])
	if unknown := attempt("noone@example.com", "not "+password[1:]); unknown != wrong {
		t.Errorf("got %s and %s", unknown, wrong)
	}
}

func withoutRequestID(a answer) string {
	return strings.ReplaceAll(string(a.body), a.header.Get("X-Request-Id"), "")
}

func TestCredentialSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings api.Credentials
		want     []string // parts of the complaint; none: fine
	}{
		{api.Credentials{}, nil},
		{api.Credentials{Keyword: "Token"}, nil},
		{api.Credentials{Header: "X-My-Key"}, nil},
		{api.Credentials{Keyword: "Bearer"}, []string{"cannot be Bearer"}},
		{api.Credentials{Keyword: "bearer"}, []string{"cannot be Bearer"}},
		{api.Credentials{Keyword: "two words"}, []string{"one word"}},
		{api.Credentials{Keyword: "a:b"}, []string{"one word"}},
		{api.Credentials{Header: "HTTP_X_MY_KEY"}, []string{"Django", "X-My-Key"}},
		{api.Credentials{Header: "HTTP_API_TOKEN"}, []string{"Django", "write Api-Token"}},
		{api.Credentials{Header: "Authorization"}, []string{"Authorization"}},
		{api.Credentials{Header: "cookie"}, []string{"Cookie"}},
		{api.Credentials{Header: "X My Key"}, []string{"name of a header"}},
		{api.Credentials{Header: "X-Kéy"}, []string{"name of a header"}},
		{api.Credentials{Keyword: "Bearer", Header: "HTTP_X_MY_KEY"}, []string{"cannot be Bearer", "Django"}},
	} {
		err := test.settings.Validate()
		if (err == nil) != (test.want == nil) {
			t.Errorf("%+v: got %v", test.settings, err)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%+v: got %v, want a mention of %q", test.settings, err, part)
			}
		}
	}
}

// The table of ARCHITECTURE.md over HTTP: every rule, with each subset of
// absent, good and bad key and access token. A bad credential is 401 whatever
// the rule would make of the rest.
func TestStatusTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k, u := permission.HasAPIKey, permission.IsUser
	rules := map[string]struct {
		rule                         permission.Permission
		anonymous, user, key, proven int
	}{
		"K":        {k, 401, 403, 200, 400},
		"U":        {u, 401, 200, 403, 400},
		"K|U":      {permission.Any(k, u), 401, 200, 200, 400},
		"K&U":      {permission.All(k, u), 401, 403, 403, 200},
		"K|U|K&U":  {permission.Any(k, u, permission.All(k, u)), 401, 200, 200, 200},
		"!K":       {permission.Not(k), 401, 200, 403, 403},
		"Public":   {permission.Public, 200, 200, 200, 200},
		"no rule":  {permission.Permission{}, 403, 403, 403, 403},
		"!no rule": {permission.Not(permission.Permission{}), 403, 403, 403, 403},
	}
	for name, test := range rules {
		w.echo.GET("/probe/"+strings.ReplaceAll(name, " ", "-"), func(c echo.Context) error { return c.NoContent(http.StatusOK) },
			api.Require(test.rule))
	}
	n := w.tenant(t, "ada")
	good := w.key(t, n.owner, n.project.ID, nil)
	keys := map[string]credential{"no": anonymous, "good": byKey(good.Token), "bad": byKey(good.Token[:len(good.Token)-1] + "!")}
	users := map[string]credential{"no": anonymous, "good": n.owner.as, "bad": byUser(n.owner.AccessToken + "x")}

	for name, test := range rules {
		for keyState, asKey := range keys {
			for userState, asUser := range users {
				want := map[string]int{
					"no key, no user": test.anonymous, "no key, good user": test.user, "good key, no user": test.key,
					"good key, good user": test.proven,
				}[keyState+" key, "+userState+" user"]
				if want == 0 { // something is bad
					want = http.StatusUnauthorized
				}
				if name == "Public" {
					want = http.StatusOK
				}
				r := httptest.NewRequest(http.MethodGet, "/probe/"+strings.ReplaceAll(name, " ", "-"), nil)
				asKey(r.Header)
				asUser(r.Header)
				if got := w.send(t, r); got.status != want {
					t.Errorf("%s, %s key, %s user: got %d, want %d: %s", name, keyState, userState, got.status, want, got.body)
				}
			}
		}
	}
}
