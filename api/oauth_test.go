package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// byBasic is the OAuth client that is a key.
func byBasic(k api.CreatedKey) credential {
	pair := url.QueryEscape(string(k.Key.ID)) + ":" + url.QueryEscape(k.Token)
	return headers("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
}

// oauthCode is the code of an error of OAuth.
func (a answer) oauthCode(t *testing.T) string {
	t.Helper()
	var e api.OAuthError
	if a.status < 400 || json.Unmarshal(a.body, &e) != nil || e.ErrorDescription == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s, want an error of OAuth", a.status, a.body)
	}
	return e.Error
}

// outsider verifies tokens as a program does that knows a project's JWKS alone.
func (w *world) outsider(t *testing.T, of domain.ProjectID) func(token string) (jwt.MapClaims, error) {
	t.Helper()
	var set api.ProjectJWKS
	w.call(t, http.MethodGet, "/v1/projects/"+string(of)+"/jwks.json", anonymous, nil).want(t, http.StatusOK, &set)
	keys := map[string]any{}
	for _, k := range set.Keys {
		keys[k.Kid] = publicKey(t, k.X, k.Y)
	}
	return func(token string) (jwt.MapClaims, error) {
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
			if key, ok := keys[t.Header["kid"].(string)]; ok {
				return key, nil
			}
			return nil, jwt.ErrTokenUnverifiable
		}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(w.Now))
		return claims, err
	}
}

// A key gets a token for itself, in each way in which OAuth's clients authenticate, and
// golang-jwt verifies it by the project's JWKS.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	w.call(t, http.MethodPatch, home.path(""), home.owner.as, map[string]any{"audience": "https://api.example.com", "token_ttl": 120}).
		want(t, http.StatusOK, nil)
	key := w.key(t, home.owner, home.project.ID, map[string]any{
		"scopes": []string{"documents:read", "keys:verify", "documents:write"}, "external_id": "customer-1", "environment": "test",
	})
	inForm := url.Values{"client_id": {string(key.Key.ID)}, "client_secret": {key.Token}}
	for name, c := range map[string]struct {
		as    credential
		form  url.Values
		scope string
	}{
		"Basic":           {byBasic(key), nil, "documents:read documents:write"},
		"in the form":     {anonymous, inForm, "documents:read documents:write"},
		"as an API key":   {byKey(key.Token), nil, "documents:read documents:write"},
		"narrowed":        {byBasic(key), url.Values{"scope": {"documents:write"}}, "documents:write"},
		"for the API":     {byBasic(key), url.Values{"resource": {"https://api.example.com"}}, "documents:read documents:write"},
		"something extra": {byBasic(key), url.Values{"foo": {"a", "b"}}, "documents:read documents:write"},
	} {
		form := url.Values{"grant_type": {"client_credentials"}}
		maps.Copy(form, c.form)
		var got api.AccessToken
		w.call(t, http.MethodPost, home.path("/oauth/token"), c.as, form).want(t, http.StatusOK, &got)
		claims, err := w.outsider(t, home.project.ID)(got.AccessToken)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.TokenType != "Bearer" || got.ExpiresIn != 120 || got.Scope != c.scope || got.IssuedTokenType != nil {
			t.Errorf("%s: got %+v", name, got)
		}
		want := jwt.MapClaims{
			"iss": "http://127.0.0.1:8080/v1/projects/" + string(home.project.ID), "sub": string(key.Key.ID),
			"client_id": string(key.Key.ID),
			"aud":       "https://api.example.com", "scope": c.scope, "external_id": "customer-1", "environment": "test",
			"jti": claims["jti"],
			"iat": float64(w.Now().Unix()), "exp": float64(w.Now().Unix() + 120),
		}
		if !maps.Equal(claims, want) {
			t.Errorf("%s: got %v, want %v", name, claims, want)
		}
	}
}

// Guarantees that no token is issued to anyone but a good key of this very project, for
// no scope that it lacks, no other audience, and never to keys whose every request has
// to be asked about.
func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, other := w.tenant(t, "owner"), w.tenant(t, "other")
	key := func(n tenant, fields map[string]any) api.CreatedKey { return w.key(t, n.owner, n.project.ID, fields) }
	good, theirs := key(home, map[string]any{"scopes": []string{"a:b", "keys:verify"}}), key(other, nil)
	mixed := good
	mixed.Key.ID = theirs.Key.ID
	revoked := key(home, nil)
	w.call(t, http.MethodPost, home.path("/keys/"+string(revoked.Key.ID)+"/revoke"), home.owner.as, map[string]any{}).
		want(t, http.StatusOK, nil)
	many := make([]string, 20)
	for i := range many {
		many[i] = "r:" + strings.Repeat("a", 60) + string(rune('a'+i))
	}
	for name, c := range map[string]struct {
		as     credential
		form   url.Values
		status int
		code   string
	}{
		"no client":            {anonymous, nil, 401, "invalid_client"},
		"another tenant's key": {byBasic(theirs), nil, 401, "invalid_client"},
		"another's id":         {byBasic(mixed), nil, 401, "invalid_client"},
		"a revoked key":        {byBasic(revoked), nil, 401, "invalid_client"},
		"a person":             {home.owner.as, nil, 401, "invalid_client"},
		"garbage in Basic":     {headers("Authorization", "Basic !!!"), nil, 401, "invalid_client"},
		"two ways":             {both(byBasic(good), headers("X-Api-Key", good.Token)), nil, 400, "invalid_request"},
		"no grant":             {byBasic(good), url.Values{"grant_type": nil}, 400, "unsupported_grant_type"},
		"password grant":       {byBasic(good), url.Values{"grant_type": {"password"}}, 400, "unsupported_grant_type"},
		"a grant twice":        {byBasic(good), url.Values{"grant_type": {"client_credentials", "client_credentials"}}, 400, "invalid_request"},
		"a scope it lacks":     {byBasic(good), url.Values{"scope": {"a:b c:d"}}, 400, "invalid_scope"},
		"a scope of Latchkey":  {byBasic(good), url.Values{"scope": {"keys:verify"}}, 400, "invalid_scope"},
		"another audience":     {byBasic(good), url.Values{"resource": {"https://evil.example"}}, 400, "invalid_target"},
		"with limits": {byBasic(key(home, map[string]any{"limits": []any{map[string]any{
			"name": "a", "type": "quota", "limit": 5, "period": "day",
		}}})), nil, 400, "unauthorized_client"},
		"with allowed_ips":  {byBasic(key(home, map[string]any{"allowed_ips": []string{"192.0.2.0/24"}})), nil, 400, "unauthorized_client"},
		"from elsewhere":    {byBasic(key(home, map[string]any{"allowed_ips": []string{"203.0.113.0/24"}})), nil, 401, "invalid_client"},
		"too many scopes":   {byBasic(key(home, map[string]any{"scopes": many})), nil, 400, "invalid_scope"},
		"a header repeated": {headers("Authorization", "Basic eDp5", "Authorization", "Basic eDp5"), nil, 400, "invalid_request"},
	} {
		form := url.Values{"grant_type": {"client_credentials"}}
		maps.Copy(form, c.form)
		got := w.call(t, http.MethodPost, home.path("/oauth/token"), c.as, form)
		if code := got.oauthCode(t); got.status != c.status || code != c.code {
			t.Errorf("%s: got %d %s, want %d %s", name, got.status, code, c.status, c.code)
		}
		if challenge := got.header.Get("WWW-Authenticate"); (challenge == `Basic realm="latchkey"`) != (c.status == 401) {
			t.Errorf("%s: %d with the challenge %q", name, got.status, challenge)
		}
	}
	r := httptest.NewRequest(http.MethodPost, home.path("/oauth/token"), strings.NewReader(`{"grant_type":"client_credentials"}`))
	r.Header.Set("Content-Type", "application/json")
	if code := w.send(t, r).oauthCode(t); code != "invalid_request" {
		t.Errorf("JSON: got %s", code)
	}
}

// A service exchanges the key that it was sent, and nothing else: not a key of another
// tenant, not for itself without keys:verify, and on no one else's behalf.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, other := w.tenant(t, "owner"), w.tenant(t, "other")
	gateway := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	customer := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"a:b", "keys:write"}})
	theirs := w.key(t, other.owner, other.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	bound := w.key(t, home.owner, home.project.ID, map[string]any{"allowed_ips": []string{"0.0.0.0/0"}})
	exchange := func(as credential, changes url.Values) answer {
		form := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {customer.Token},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		}
		maps.Copy(form, changes)
		return w.call(t, http.MethodPost, home.path("/oauth/token"), as, form)
	}
	var got api.AccessToken
	exchange(byBasic(gateway), nil).want(t, http.StatusOK, &got)
	claims, err := w.outsider(t, home.project.ID)(got.AccessToken)
	if err != nil || claims["sub"] != string(customer.Key.ID) || claims["scope"] != "a:b" ||
		got.IssuedTokenType == nil || *got.IssuedTokenType != "urn:ietf:params:oauth:token-type:jwt" {
		t.Errorf("got %v of %v, %v", got, claims, err)
	}
	if _, err := w.outsider(t, other.project.ID)(got.AccessToken); err == nil {
		t.Error("the token proves itself by another tenant's JWKS")
	}
	for name, c := range map[string]struct {
		as      credential
		changes url.Values
		want    string
	}{
		"another tenant's client": {byBasic(theirs), nil, "invalid_client"},
		"a client without scope":  {byBasic(customer), nil, "unauthorized_client"},
		"another tenant's key":    {byBasic(gateway), url.Values{"subject_token": {theirs.Token}}, "invalid_request"},
		"a person's token":        {byBasic(gateway), url.Values{"subject_token": {home.owner.AccessToken}}, "invalid_request"},
		"an access token":         {byBasic(gateway), url.Values{"subject_token": {got.AccessToken}}, "invalid_request"},
		"an actor":                {byBasic(gateway), url.Values{"actor_token": {customer.Token}}, "invalid_request"},
		"another type":            {byBasic(gateway), url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:saml2"}}, "invalid_request"},
		"a refresh token":         {byBasic(gateway), url.Values{"requested_token_type": {"urn:ietf:params:oauth:token-type:refresh_token"}}, "invalid_request"},
		"a bound key":             {byBasic(gateway), url.Values{"subject_token": {bound.Token}}, "unauthorized_client"},
	} {
		if code := exchange(c.as, c.changes).oauthCode(t); code != c.want {
			t.Errorf("%s: got %s, want %s", name, code, c.want)
		}
	}
}

// Introspection says of tokens what their key is now, and of everything else that it is
// not active, without saying why.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, other := w.tenant(t, "owner"), w.tenant(t, "other")
	asks := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	fields := map[string]any{"scopes": []string{"a:b", "keys:verify"}, "expires_at": w.Now().Add(time.Hour), "external_id": "customer-1"}
	customer, theirs := w.key(t, home.owner, home.project.ID, fields), w.key(t, other.owner, other.project.ID, fields)
	bound := w.key(t, home.owner, home.project.ID, map[string]any{"allowed_ips": []string{"203.0.113.0/24"}})
	signed := func(n tenant, k api.CreatedKey) string {
		var got api.AccessToken
		w.call(t, http.MethodPost, n.path("/oauth/token"), byBasic(k), url.Values{"grant_type": {"client_credentials"}}).
			want(t, http.StatusOK, &got)
		return got.AccessToken
	}
	own := signed(home, customer)
	introspect := func(token string, more ...string) (i api.Introspection) {
		t.Helper()
		form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
		for pair := range slices.Chunk(more, 2) {
			form.Set(pair[0], pair[1])
		}
		w.call(t, http.MethodPost, home.path("/oauth/introspect"), byBasic(asks), form).want(t, http.StatusOK, &i)
		return i
	}
	for name, token := range map[string]string{"the key's own": customer.Token, "an access token": own} {
		got := introspect(token)
		if !got.Active || *got.Sub != string(customer.Key.ID) || *got.Scope != "a:b" || *got.ExternalID != "customer-1" || got.Exp == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if !introspect(bound.Token, "ip", "203.0.113.9").Active {
		t.Error("a bound key from its network is not active")
	}
	for name, token := range map[string]string{
		"another tenant's key": theirs.Token, "another tenant's token": signed(other, theirs), "a person's": home.owner.AccessToken,
		"garbage": "x", "dots": "a.b.c", "nothing": "", "a bound key": bound.Token, "a token that was changed": own[:len(own)-4] + "AAAA",
	} {
		if got := introspect(token); got.Active || got.Sub != nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	w.call(t, http.MethodPatch, home.path("/keys/"+string(customer.Key.ID)), home.owner.as, map[string]any{"scopes": []string{"c:d"}}).
		want(t, http.StatusOK, nil)
	if got := introspect(own); !got.Active || *got.Scope != "" {
		t.Errorf("after a:b was taken away: got %+v", got)
	}
	w.call(t, http.MethodPost, home.path("/keys/"+string(customer.Key.ID)+"/revoke"), home.owner.as, map[string]any{}).
		want(t, http.StatusOK, nil)
	for _, token := range []string{customer.Token, own} {
		if introspect(token).Active {
			t.Error("a token of a revoked key is active")
		}
	}
	if code := w.call(t, http.MethodPost, home.path("/oauth/introspect"), byBasic(theirs), url.Values{"token": {own}}).
		oauthCode(t); code != "invalid_client" {
		t.Errorf("asked by another tenant's key: got %s", code)
	}
}

// Guarantees that an outage is never a refusal: the answer is 503 with Retry-After.
func TestOAuthInAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	key := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	must(t, w.Store.Close())
	for path, form := range map[string]url.Values{
		"/oauth/token": {"grant_type": {"client_credentials"}}, "/oauth/introspect": {"token": {"lk_live_000000000000_x"}},
	} {
		got := w.call(t, http.MethodPost, home.path(path), byBasic(key), form)
		if code := got.oauthCode(t); got.status != http.StatusServiceUnavailable || code != "temporarily_unavailable" ||
			got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: got %d %s %v", path, got.status, code, got.header)
		}
	}
}

// publicKey returns the P-256 key of coordinates in base64url.
func publicKey(t *testing.T, x, y string) *ecdsa.PublicKey {
	t.Helper()
	point := []byte{4}
	for _, text := range []string{x, y} {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, raw...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
