package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// upgraded is an instance on a database that 0.1 has filled, a minute after it
// ended.
type upgraded struct {
	*world

	known storetest.Older
}

func newUpgraded(t *testing.T, dsn string) upgraded {
	t.Helper()
	u := upgraded{known: storetest.FillAsOlder(t, dsn)}
	u.world = serveWorld(t, servicetest.Prepare(t, storetest.New(t, dsn), dsn), nil)
	u.Pass(u.known.At.Add(time.Minute).Sub(u.Now()))
	servicetest.Follow(t, u.App)
	for _, k := range u.known.Keys {
		u.secret(k.Token)
	}
	u.secret(u.known.Imported...)
	u.secret(u.known.AccessToken, u.known.RefreshToken, u.known.UsedRefreshToken, u.known.OtherRefreshToken, u.known.Cookie)
	return u
}

// signIn signs a person in with the password that they chose in 0.1.
func (u upgraded) signIn(t *testing.T, name string) person {
	t.Helper()
	var p person
	u.call(t, "POST", "/v1/auth/login", anonymous, map[string]string{"email": name + "@example.com", "password": password}).
		want(t, http.StatusOK, &p.Session)
	u.secret(p.AccessToken, p.RefreshToken)
	p.as = byUser(p.AccessToken)
	return p
}

// onUpgraded runs a test on a database of each kind that 0.1 has filled.
func onUpgraded(t *testing.T, test func(t *testing.T, u upgraded)) {
	t.Helper()
	t.Parallel()
	for engine, dsn := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newUpgraded(t, dsn(t)))
		})
	}
}

// Guarantees that each key of 0.1, made or imported, proves itself or is refused
// after the upgrade as before it, for a client that sends it and for one that asks
// about it, from memory and not.
func TestUpgradeKeepsKeys(t *testing.T) {
	onUpgraded(t, func(t *testing.T, u upgraded) {
		as := byUser(u.known.AccessToken)
		proves := func(token string, want domain.Code) {
			t.Helper()
			for range 2 {
				if a := u.call(t, "GET", "/v1/project", byKey(token), nil); a.code() != want ||
					(want == "") != (a.status == http.StatusOK) {
					t.Errorf("got %d %s, want %q", a.status, a.body, want)
				}
				var v api.Verification
				u.call(t, "POST", "/v1/keys/verify", as, map[string]any{"key": token, "project_id": u.known.Project}).
					want(t, http.StatusOK, &v)
				if v.Valid != (want == "") {
					t.Errorf("got %v, want %q", v, want)
				}
			}
		}
		if len(u.known.Keys) < 10 || len(u.known.Imported) < 5 {
			t.Errorf("got %d keys and %d imported ones", len(u.known.Keys), len(u.known.Imported))
		}
		for _, k := range u.known.Keys {
			proves(k.Token, domain.Code(k.Code))
		}
		for _, token := range u.known.Imported {
			proves(token, "")
		}
		forged, err := domain.RandomToken(domain.DefaultKeyPrefix, domain.Live)
		if err != nil {
			t.Fatal(err)
		}
		proves(forged.Reveal(), domain.CodeInvalidAPIKey)
	})
}

// Guarantees that a request that was made in 0.1 under an Idempotency-Key is
// answered by the token of that time, and makes nothing more.
func TestUpgradeKeepsReplays(t *testing.T) {
	onUpgraded(t, func(t *testing.T, u upgraded) {
		for _, r := range u.known.Replays {
			for range 2 {
				as := both(byUser(u.known.AccessToken), func(h http.Header) { h.Set("Idempotency-Key", r.IdempotencyKey) })
				var again api.CreatedKey
				u.call(t, "POST", r.Path, as, r.Body).want(t, r.Status, &again)
				if again.Token != r.Token {
					t.Errorf("%s: the token is another one", r.Path)
				}
			}
			stranger := both(u.signIn(t, "bob").as, func(h http.Header) { h.Set("Idempotency-Key", r.IdempotencyKey) })
			var other api.CreatedKey
			u.call(t, "POST", r.Path, stranger, r.Body).want(t, r.Status, &other)
			if u.secret(other.Token); other.Token == r.Token {
				t.Errorf("%s: another caller gets the token", r.Path)
			}
		}
	})
}

// Guarantees that people of 0.1 stay signed in, in programs and browsers, sign in
// with the passwords that they chose then, and that a refresh token that was used
// up in 0.1 still ends the session of who sends it.
func TestUpgradeKeepsPeople(t *testing.T) {
	onUpgraded(t, func(t *testing.T, u upgraded) {
		u.call(t, "GET", "/v1/me", byUser(u.known.AccessToken), nil).want(t, http.StatusOK, nil)
		for _, token := range []string{u.known.RefreshToken, u.known.OtherRefreshToken} {
			for range 3 {
				var in api.Session
				u.call(t, "POST", "/v1/auth/refresh", anonymous, map[string]string{"refresh_token": token}).want(t, http.StatusOK, &in)
				u.secret(in.AccessToken, in.RefreshToken)
				u.call(t, "GET", "/v1/me", byUser(in.AccessToken), nil).want(t, http.StatusOK, nil)
				token = in.RefreshToken
			}
		}
		if _, err := u.App.ProveSession(t.Context(), u.known.Cookie); err != nil {
			t.Errorf("a browser is signed out: %v", err)
		}
		u.call(t, "POST", "/v1/auth/refresh", anonymous, map[string]string{"refresh_token": u.known.UsedRefreshToken}).
			fails(t, http.StatusUnauthorized, domain.CodeInvalidToken)
		u.call(t, "GET", "/v1/me", byUser(u.known.AccessToken), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidToken)
		for _, name := range []string{"ada", "bob", "cara"} {
			for range 2 { // the first may store the password's hash in its new form
				u.call(t, "GET", "/v1/me", u.signIn(t, name).as, nil).want(t, http.StatusOK, nil)
			}
		}
		u.call(t, "POST", "/v1/auth/login", anonymous, map[string]string{"email": "ada@example.com", "password": "another " + password}).
			fails(t, http.StatusUnauthorized, domain.CodeInvalidCredentials)
		u.call(t, "POST", "/v1/invitations/accept", u.signIn(t, "cara").as, map[string]string{"token": u.known.Invitation}).
			want(t, http.StatusOK, nil)
	})
}

// Guarantees that the audit trail of 0.1 is read whole, and continues.
func TestUpgradeKeepsAudit(t *testing.T) {
	onUpgraded(t, func(t *testing.T, u upgraded) {
		key := "/v1/projects/" + u.known.Project + "/keys/" + u.known.Keys[0].ID
		u.call(t, "PATCH", key, byUser(u.known.AccessToken), map[string]string{"name": "renamed"}).want(t, http.StatusOK, nil)
		var list api.AuditEventList
		u.call(t, "GET", "/v1/organizations/"+u.known.Organization+"/audit-events?limit=200", byUser(u.known.AccessToken), nil).
			want(t, http.StatusOK, &list)
		var got []string
		for _, e := range list.Items {
			got = append(got, string(e.ID))
		}
		if len(got) != len(u.known.Events)+1 || !slices.Equal(got[1:], u.known.Events) || list.Items[0].Action != "key.updated" {
			t.Errorf("got %d events, the first %v; want %d and one more", len(got), list.Items[0], len(u.known.Events))
		}
	})
}
