package api_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// Whatever takes a right away acts on the very next request to the node that took
// it, though that node answers from memory: with the same access token, and with
// the same key, that were good a moment ago.
func TestRightsEndAtOnce(t *testing.T) {
	t.Parallel()
	for engine, dsn := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := startWorld(t, dsn(t), nil)
			n := w.tenant(t, "ada")
			bob := w.signUp(t, "bob")
			w.member(t, bob, n.organization.ID, domain.Admin)
			key := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"keys:read"}})
			organization := "/v1/organizations/" + string(n.organization.ID)
			member := organization + "/members/" + string(bob.User.ID)

			status := func(method, path string, as credential, body any, want int) {
				t.Helper()
				if got := w.call(t, method, path, as, body); got.status != want {
					t.Errorf("%s %s: got %d, want %d: %s", method, path, got.status, want, got.body)
				}
			}
			rename := map[string]string{"name": "renamed"}
			for range 3 { // so that everything is remembered
				status("PATCH", n.path(""), bob.as, rename, 200)
				status("GET", n.path("/keys"), byKey(key.Token), nil, 200)
			}
			status("PATCH", member, n.owner.as, map[string]string{"role": "viewer"}, 200)
			status("PATCH", n.path(""), bob.as, rename, 403)
			status("GET", n.path(""), bob.as, nil, 200)
			status("DELETE", member, n.owner.as, nil, 204)
			status("GET", n.path(""), bob.as, nil, 404)
			status("GET", organization, bob.as, nil, 404)

			status("PATCH", n.path(""), n.owner.as, map[string]string{"status": "disabled"}, 200)
			w.call(t, "GET", n.path("/keys"), byKey(key.Token), nil).fails(t, 401, domain.CodeProjectDisabled)
			status("PATCH", n.path(""), n.owner.as, map[string]string{"status": "active"}, 200)
			status("GET", n.path("/keys"), byKey(key.Token), nil, 200)
			status("PATCH", organization, n.owner.as, map[string]string{"status": "disabled"}, 200)
			w.call(t, "GET", n.path("/keys"), byKey(key.Token), nil).fails(t, 401, domain.CodeProjectDisabled)
			status("PATCH", organization, n.owner.as, map[string]string{"status": "active"}, 200)
			status("GET", n.path("/keys"), byKey(key.Token), nil, 200)

			status("GET", "/v1/me", bob.as, nil, 200)
			if _, err := w.App.SetUserStatus(t.Context(), domain.System(), bob.User.ID, domain.Disabled); err != nil {
				t.Fatal(err)
			}
			w.call(t, "GET", "/v1/me", bob.as, nil).fails(t, 401, domain.CodeInvalidToken)
			if _, err := w.App.SetUserStatus(t.Context(), domain.System(), bob.User.ID, domain.Active); err != nil {
				t.Fatal(err)
			}
			w.call(t, "GET", "/v1/me", bob.as, nil).fails(t, 401, domain.CodeInvalidToken) // the session stays ended

			var in api.Session
			w.call(t, "POST", "/v1/auth/login", anonymous, map[string]string{"email": "ada@example.com", "password": password}).
				want(t, 200, &in)
			w.secret(in.AccessToken, in.RefreshToken)
			status("GET", "/v1/me", byUser(in.AccessToken), nil, 200)
			status("POST", "/v1/auth/logout", byUser(in.AccessToken), nil, 204)
			w.call(t, "GET", "/v1/me", byUser(in.AccessToken), nil).fails(t, 401, domain.CodeInvalidToken)

			status("DELETE", organization, n.owner.as, nil, 204)
			w.call(t, "GET", n.path("/keys"), byKey(key.Token), nil).fails(t, 401, domain.CodeInvalidAPIKey)
			status("GET", organization, n.owner.as, nil, 404)
			status("GET", n.path(""), n.owner.as, nil, 404)
		})
	}
}
