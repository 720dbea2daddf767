package api_test

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// serviceAccount makes a service account of a tenant, in place of the one that was made
// before under the name, so that no ceiling is reached.
func (w *world) serviceAccount(t *testing.T, n tenant, name string, role domain.Role) (a api.ServiceAccount) {
	t.Helper()
	path := "/v1/organizations/" + string(n.organization.ID) + "/service-accounts"
	var all api.ServiceAccountList
	w.call(t, http.MethodGet, path+"?limit=200", n.owner.as, nil).want(t, http.StatusOK, &all)
	for _, before := range all.Items {
		if before.Name == name {
			w.call(t, http.MethodDelete, path+"/"+string(before.ID), n.owner.as, nil).want(t, http.StatusNoContent, nil)
		}
	}
	w.call(t, http.MethodPost, path, n.owner.as, map[string]any{"name": name, "role": role}).
		want(t, http.StatusCreated, &a)
	return a
}

// serviceToken makes a token of a service account.
func (w *world) serviceToken(t *testing.T, n tenant, id domain.UserID) (made api.CreatedServiceToken) {
	t.Helper()
	w.call(t, http.MethodPost, "/v1/organizations/"+string(n.organization.ID)+"/service-accounts/"+string(id)+"/tokens", n.owner.as,
		map[string]any{"name": "ci"}).want(t, http.StatusCreated, &made)
	w.secret(made.Token)
	return made
}

// serviceCaller makes a service account with a token and returns both.
func (w *world) serviceCaller(t *testing.T, n tenant, role domain.Role) (domain.UserID, credential) {
	t.Helper()
	account := w.serviceAccount(t, n, "calling as "+string(role), role)
	return account.ID, byUser(w.serviceToken(t, n, account.ID).Token)
}

// forPeople are the operations that need a person, whatever the role.
var forPeople = []string{
	"logOut", "updateMe", "changePassword", "listSessions", "revokeSession", "revokeOtherSessions", "createOrganization",
	"acceptInvitation", "deleteProject", "deleteOrganization",
}

// Guarantees that a service account may do what a person with its role may, except for
// what needs a person; and that the token of one that is disabled, a deleted one and an
// expired one open nothing.
func TestMatrixOfServiceAccounts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	routes, err := api.Routes()
	if err != nil {
		t.Fatal(err)
	}
	at := "/v1/organizations/" + string(s.home.organization.ID) + "/service-accounts/"
	var disabled, deleted, expired, gone domain.UserID
	columns := map[string]string{} // of the matrix, by the column that is the same
	for _, like := range []domain.Role{domain.Viewer, domain.Developer, domain.Admin} {
		name := "service " + string(like)
		_, s.as[name] = s.serviceCaller(t, s.home, like)
		columns[name] = string(like)
	}
	create := func(name string, id *domain.UserID, body map[string]any) (token string) {
		var account api.ServiceAccount
		s.call(t, http.MethodPost, strings.TrimSuffix(at, "/"), s.home.owner.as, map[string]any{"name": name, "role": "admin"}).
			want(t, http.StatusCreated, &account)
		var created api.CreatedServiceToken
		s.call(t, http.MethodPost, at+string(account.ID)+"/tokens", s.home.owner.as, body).want(t, http.StatusCreated, &created)
		s.secret(created.Token)
		*id, s.as[name], columns[name] = account.ID, byUser(created.Token), ""
		s.call(t, http.MethodGet, "/v1/me", s.as[name], nil).want(t, http.StatusOK, nil) // from now on it is in memory
		return string(created.ServiceToken.ID)
	}
	create("disabled", &disabled, map[string]any{"name": "ci"})
	s.call(t, http.MethodPatch, at+string(disabled), s.home.owner.as, map[string]any{"status": "disabled"}).want(t, http.StatusOK, nil)
	token := create("deleted token", &deleted, map[string]any{"name": "ci"})
	s.call(t, http.MethodDelete, at+string(deleted)+"/tokens/"+token, s.home.owner.as, nil).want(t, http.StatusNoContent, nil)
	create("deleted account", &gone, map[string]any{"name": "ci"})
	s.call(t, http.MethodDelete, at+string(gone), s.home.owner.as, nil).want(t, http.StatusNoContent, nil)
	create("expired", &expired, map[string]any{"name": "ci", "expires_at": s.Now().Add(time.Minute)})
	s.Pass(2 * time.Minute)

	for _, r := range routes {
		row := strings.Fields(matrix[r.Operation])
		path := regexp.MustCompile(`:([a-z_]+)`).ReplaceAllString(r.Path, "{$1}")
		for column, like := range columns {
			want := "401"
			switch {
			case row[0] != "401": // for everyone
				want = row[0]
			case like != "" && slices.Contains(forPeople, r.Operation):
				want = "403"
			case like != "":
				want = row[slices.Index(callers, like)]
			}
			address, _, body := s.request(t, r.Operation, path, cmp.Or(like, "admin"))
			if got := s.call(t, r.Method, address, s.as[column], body); fmt.Sprint(got.status) != want {
				t.Errorf("%s by %s: got %d, want %s: %s", r.Operation, column, got.status, want, got.body)
			}
		}
	}
}

// Guarantees that no one gets more through a service account than they have: not a role
// above theirs, not the right to delete projects, and not a token of an account that has
// either.
func TestServiceAccountsGiveNothingAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "owner")
	admin := w.signUp(t, "admin")
	w.member(t, admin, n.organization.ID, domain.Admin)
	at := "/v1/organizations/" + string(n.organization.ID) + "/service-accounts"
	deleting := map[string]any{"name": "terraform", "role": "admin", "may_delete_projects": true}

	w.call(t, "POST", at, admin.as, deleting).fails(t, http.StatusForbidden, domain.CodeForbidden)
	w.call(t, "POST", at, n.owner.as, map[string]any{"name": "x", "role": "owner"}).fails(t, 422, domain.CodeValidationFailed)
	var terraform api.ServiceAccount
	w.call(t, "POST", at, n.owner.as, deleting).want(t, http.StatusCreated, &terraform)
	tokens := at + "/" + string(terraform.ID) + "/tokens"
	token := w.serviceToken(t, n, terraform.ID)
	plain, asPlain := w.serviceCaller(t, n, domain.Admin)

	w.call(t, "POST", tokens, asPlain, map[string]any{"name": "x"}).fails(t, http.StatusForbidden, domain.CodeForbidden)
	w.call(t, "PATCH", at+"/"+string(plain), asPlain, map[string]any{"may_delete_projects": true}).
		fails(t, http.StatusForbidden, domain.CodeForbidden)
	w.Pass(11 * time.Minute)
	for _, p := range []*person{&admin, &n.owner} {
		var fresh api.Session
		w.call(t, "POST", "/v1/auth/refresh", anonymous, map[string]string{"refresh_token": p.RefreshToken}).want(t, http.StatusOK, &fresh)
		w.secret(fresh.AccessToken, fresh.RefreshToken)
		p.as = byUser(fresh.AccessToken)
	}
	w.call(t, "POST", tokens, admin.as, map[string]any{"name": "x"}).fails(t, http.StatusForbidden, domain.CodeReauthenticationRequired)
	w.call(t, "PATCH", at+"/"+string(plain), n.owner.as, map[string]any{"may_delete_projects": true}).
		fails(t, http.StatusForbidden, domain.CodeReauthenticationRequired)

	// The account itself makes its next token, deletes the old one, and deletes a project.
	asTerraform := byUser(token.Token)
	var next api.CreatedServiceToken
	w.call(t, "POST", tokens, asTerraform, map[string]any{"name": "next"}).want(t, http.StatusCreated, &next)
	w.secret(next.Token)
	w.call(t, "DELETE", tokens+"/"+string(token.ServiceToken.ID), byUser(next.Token), nil).want(t, http.StatusNoContent, nil)
	w.call(t, "GET", "/v1/me", asTerraform, nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidToken)
	w.call(t, "DELETE", n.path(""), byUser(next.Token), nil).want(t, http.StatusNoContent, nil)
}

// Guarantees what a service account is to others: itself in its own words, an actor with
// a kind of its own, and no member among the people.
func TestServiceAccountIsNoPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "owner")
	id, as := w.serviceCaller(t, n, domain.Admin)
	organization := "/v1/organizations/" + string(n.organization.ID)

	var who api.Caller
	w.call(t, "GET", "/v1/whoami", as, nil).want(t, http.StatusOK, &who)
	if who.Kind != api.CallerKindServiceAccount || who.User == nil || who.User.ID != id || who.User.Email != string(id) {
		t.Errorf("got %+v", who)
	}
	project := w.project(t, person{as: as}, n.organization.ID, "provisioned")
	key := w.key(t, person{as: as}, project.ID, nil)
	if by := key.Key.CreatedBy; by.Kind != domain.ActorUser || by.ID != string(id) { // as clients of 0.1 know it
		t.Errorf("the key was created by %+v", by)
	}
	if key, err := w.ProveKey(t.Context(), key.Token, nil); err != nil || key.Key().CreatedBy.Kind != domain.ActorServiceAccount {
		t.Errorf("from memory: got %+v, %v", key.Key().CreatedBy, err)
	}
	var events api.AuditEventList
	w.call(t, "GET", organization+"/audit-events?actor="+string(id), n.owner.as, nil).want(t, http.StatusOK, &events)
	if len(events.Items) != 2 || events.Items[0].Actor.Kind != domain.ActorServiceAccount {
		t.Errorf("got the events %+v", events.Items)
	}
	var members api.MemberList
	w.call(t, "GET", organization+"/members", n.owner.as, nil).want(t, http.StatusOK, &members)
	if len(members.Items) != 1 {
		t.Errorf("got %d members, want the owner alone", len(members.Items))
	}
	member := organization + "/members/" + string(id)
	w.call(t, "PATCH", member, n.owner.as, map[string]string{"role": "owner"}).fails(t, http.StatusNotFound, domain.CodeNotFound)
	w.call(t, "DELETE", member, n.owner.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	w.call(t, "POST", "/v1/auth/login", anonymous, map[string]string{"email": string(id), "password": password}).
		fails(t, http.StatusUnauthorized, domain.CodeInvalidCredentials)
}

// Guarantees the ceilings, the lifetimes that were asked for, and that a lost answer can
// be had again while the token works.
func TestServiceTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "owner")
	account := w.serviceAccount(t, n, "ci", domain.Viewer)
	tokens := "/v1/organizations/" + string(n.organization.ID) + "/service-accounts/" + string(account.ID) + "/tokens"
	again := both(n.owner.as, func(h http.Header) { h.Set("Idempotency-Key", "one-request-only-1") })
	var first, second, forever api.CreatedServiceToken
	w.call(t, "POST", tokens, again, map[string]any{"name": "a"}).want(t, http.StatusCreated, &first)
	w.call(t, "POST", tokens, again, map[string]any{"name": "a"}).want(t, http.StatusCreated, &second)
	w.secret(first.Token)
	if first.Token == "" || first.Token != second.Token {
		t.Error("the repetition got another token")
	}
	want := w.Now().Add(domain.ServiceTokenLifetime).Truncate(time.Microsecond)
	if got := first.ServiceToken.ExpiresAt.MustGet(); !got.Equal(want) {
		t.Errorf("it expires at %v, want %v", got, want)
	}
	w.call(t, "POST", tokens, n.owner.as, map[string]any{"name": "b", "expires_at": nil}).want(t, http.StatusCreated, &forever)
	w.secret(forever.Token)
	w.call(t, "POST", tokens, n.owner.as, map[string]any{"name": "b", "expires_at": w.Now()}).fails(t, 422, domain.CodeValidationFailed)
	for range 3 {
		w.call(t, "POST", tokens, n.owner.as, map[string]any{"name": "c"}).want(t, http.StatusCreated, nil)
	}
	w.call(t, "POST", tokens, n.owner.as, map[string]any{"name": "d"}).fails(t, http.StatusConflict, domain.CodeCeilingReached)
	w.call(t, "DELETE", tokens+"/"+string(first.ServiceToken.ID), n.owner.as, nil).want(t, http.StatusNoContent, nil)
	w.call(t, "POST", tokens, again, map[string]any{"name": "a"}).fails(t, http.StatusConflict, domain.CodeConflict)

	w.Pass(20 * 365 * 24 * time.Hour)
	w.call(t, "GET", "/v1/me", byUser(forever.Token), nil).want(t, http.StatusOK, nil)
	if !forever.ServiceToken.ExpiresAt.IsNull() {
		t.Errorf("got %v, want no expiry", forever.ServiceToken.ExpiresAt)
	}
}
