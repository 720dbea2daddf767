package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that no two projects share a signing key, that a key is published a
// quarter of a year before it signs, and that ending the tokens of a project replaces
// all of its keys immediately.
func TestProjectKeySets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	other := w.project(t, home.owner, home.organization.ID, "other")
	ids := func(p domain.ProjectID) (kids []string) {
		t.Helper()
		var set api.ProjectJWKS
		a := w.call(t, http.MethodGet, "/v1/projects/"+string(p)+"/jwks.json", anonymous, nil).want(t, http.StatusOK, &set)
		if got := a.header.Get("Cache-Control"); got != "public, max-age=300" {
			t.Errorf("Cache-Control is %q", got)
		}
		for _, k := range set.Keys {
			if k.Kty != "EC" || k.Crv != "P-256" || k.Alg != "ES256" || k.Use != "sig" ||
				len(k.X) != 43 || len(k.Y) != 43 || len(k.Kid) != 43 {
				t.Errorf("got the key %+v", k)
			}
			kids = append(kids, k.Kid)
		}
		return kids
	}
	first := ids(home.project.ID)
	seen := map[string]bool{}
	for _, kid := range append(first, ids(other.ID)...) {
		if seen[kid] {
			t.Errorf("two keys have the id %s", kid)
		}
		seen[kid] = true
	}
	if len(seen) != 6 {
		t.Fatalf("got %d keys, want three of each project", len(seen))
	}
	w.Pass(92 * 24 * time.Hour) // into the next quarter: the owner has to sign in again
	if now := ids(home.project.ID); now[0] != first[2] || now[1] != first[0] || seen[now[2]] {
		t.Errorf("after a quarter, got %v; before, it was %v", now, first)
	}
	home.owner = w.logIn(t, home.owner)
	w.call(t, http.MethodPatch, home.path(""), home.owner.as, map[string]any{"token_epoch": 1}).want(t, http.StatusOK, nil)
	for _, kid := range ids(home.project.ID) {
		if seen[kid] {
			t.Errorf("the key %s is from before all tokens were ended", kid)
		}
	}
}

// Guarantees that only people who could end the keys themselves end their tokens, and
// that no one takes that back.
func TestTokenEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	developer := w.signUp(t, "developer")
	w.member(t, developer, home.organization.ID, domain.Developer)
	key := byKey(w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"project:write"}}).Token)
	for _, as := range []credential{developer.as, key} {
		w.call(t, http.MethodPatch, home.path(""), as, map[string]any{"token_epoch": 1}).
			fails(t, http.StatusForbidden, domain.CodeForbidden)
	}
	w.call(t, http.MethodPatch, home.path(""), home.owner.as, map[string]any{"token_epoch": 2}).want(t, http.StatusOK, nil)
	w.call(t, http.MethodPatch, home.path(""), home.owner.as, map[string]any{"token_epoch": 1}).
		fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
}

// A project's metadata is at both places that libraries look at, also below a public
// URL with a path.
func TestIssuerMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	id := string(home.project.ID)
	issuer := "http://127.0.0.1:8080/v1/projects/" + id
	for _, path := range []string{
		"/v1/projects/" + id + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/v1/projects/" + id,
	} {
		var got api.IssuerMetadata
		w.call(t, http.MethodGet, path, anonymous, nil).want(t, http.StatusOK, &got)
		if got.Issuer != issuer || got.JWKSURI != issuer+"/jwks.json" || len(got.ResponseTypesSupported) != 0 {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	for _, below := range []string{"/jwks.json", "/.well-known/openid-configuration"} {
		path := "/v1/projects/" + string(domain.NewID[domain.ProjectID](w.Now())) + below
		w.call(t, http.MethodGet, path, anonymous, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	}
	for _, audience := range []string{"api", "https://a b", "https://a#b", "//a", "https://é", "https://a\"b", strings.Repeat("a:", 101)} {
		w.call(t, http.MethodPatch, home.path(""), home.owner.as, map[string]any{"audience": audience}).
			fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
}

// Guarantees that a flood of ids that do not exist is charged to its network, and that
// projects that are in memory are answered all the same.
func TestUnknownIssuersAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	w.call(t, http.MethodGet, home.path("/jwks.json"), anonymous, nil).want(t, http.StatusOK, nil)
	refused := 0
	for range 600 {
		path := "/v1/projects/" + string(domain.NewID[domain.ProjectID](w.Now())) + "/jwks.json"
		if w.call(t, http.MethodGet, path, anonymous, nil).status == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused < 90 || refused > 110 {
		t.Errorf("%d of 600 unknown ids were refused, want those beyond 500", refused)
	}
}
