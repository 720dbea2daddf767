package api_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// People come in by invitation, change roles and leave; a stranger, and a member
// whose role does not suffice, get nowhere; each change acts on the very next
// request, with an access token from before.
func TestSharingAnOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, grace, eve := w.tenant(t, "ada"), w.signUp(t, "grace"), w.signUp(t, "eve")
	at := "/v1/organizations/" + string(n.organization.ID)

	invitation := map[string]string{"email": "Grace@example.com", "role": "developer"}
	again := func(as credential) credential {
		return func(h http.Header) { as(h); h.Set("Idempotency-Key", "0123456789abcdef") }
	}
	var made, repeated api.CreatedInvitation
	w.call(t, "POST", at+"/invitations", again(n.owner.as), invitation).want(t, 201, &made)
	w.secret(made.Token)
	w.call(t, "POST", at+"/invitations", again(n.owner.as), invitation).want(t, 201, &repeated)
	if made.Token != repeated.Token || made.Invitation.ID != repeated.Invitation.ID {
		t.Errorf("got %+v for the same Idempotency-Key, want %+v", repeated, made)
	}
	token := map[string]string{"token": made.Token}
	w.call(t, "POST", "/v1/invitations/accept", eve.as, token).fails(t, 403, domain.CodeForbidden)
	w.call(t, "POST", "/v1/invitations/accept", anonymous, token).fails(t, 401, domain.CodeUnauthenticated)
	w.call(t, "POST", "/v1/invitations/accept", grace.as, map[string]string{"token": "x"}).fails(t, 404, domain.CodeNotFound)
	w.call(t, "GET", at, grace.as, nil).fails(t, 404, domain.CodeNotFound)
	var joined api.Membership
	w.call(t, "POST", "/v1/invitations/accept", grace.as, token).want(t, 200, &joined)
	if joined.Organization.ID != n.organization.ID || joined.Role != domain.Developer || joined.User.ID != grace.User.ID {
		t.Errorf("got %+v", joined)
	}
	w.call(t, "POST", "/v1/invitations/accept", grace.as, token).fails(t, 409, domain.CodeConflict)
	w.call(t, "POST", at+"/invitations", n.owner.as, invitation).fails(t, 409, domain.CodeConflict)
	w.call(t, "POST", at+"/invitations", grace.as, map[string]string{"email": "x@example.com", "role": "viewer"}).
		fails(t, 403, domain.CodeForbidden)

	var list api.InvitationList
	w.call(t, "GET", at+"/invitations", n.owner.as, nil).want(t, 200, &list)
	if len(list.Items) != 1 || list.Items[0].AcceptedAt.IsNull() || list.Items[0].InvitedBy.ID != string(n.owner.User.ID) {
		t.Errorf("got %+v", list)
	}
	w.call(t, "DELETE", at+"/invitations/"+string(list.Items[0].ID), n.owner.as, nil).fails(t, 409, domain.CodeConflict)

	var members api.MemberList
	w.call(t, "GET", at+"/members", grace.as, nil).want(t, 200, &members)
	if got, want := len(members.Items), 2; got != want {
		t.Errorf("got %d members, want %d", got, want)
	}
	ada := at + "/members/" + string(n.owner.User.ID)
	grc := at + "/members/" + string(grace.User.ID)
	w.call(t, "PATCH", ada, n.owner.as, map[string]string{"role": "viewer"}).fails(t, 409, domain.CodeLastOwner)
	w.call(t, "DELETE", ada, n.owner.as, nil).fails(t, 409, domain.CodeLastOwner)
	w.call(t, "PATCH", grc, n.owner.as, map[string]string{"role": "king"}).fails(t, 422, domain.CodeValidationFailed)
	w.call(t, "PATCH", grc, eve.as, map[string]string{"role": "owner"}).fails(t, 404, domain.CodeNotFound)
	w.call(t, "PATCH", at+"/members/"+string(eve.User.ID), n.owner.as, map[string]string{"role": "owner"}).
		fails(t, 404, domain.CodeNotFound)

	createKey := func(status int) {
		t.Helper()
		answer := w.call(t, "POST", n.path("/keys"), grace.as, map[string]string{"name": "k"})
		var k api.CreatedKey
		if answer.want(t, status, nil); status == http.StatusCreated {
			answer.want(t, status, &k)
			w.secret(k.Token)
		}
	}
	createKey(201)
	w.call(t, "PATCH", grc, n.owner.as, map[string]string{"role": "viewer"}).want(t, 200, nil)
	createKey(403)
	w.call(t, "DELETE", grc, grace.as, nil).want(t, 204, nil)
	createKey(404)
}

// People see where they are signed in and end what they do not know; an ended
// session is refused on the very next request.
func TestSessionList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, eve := w.signUp(t, "ada"), w.signUp(t, "eve")
	logIn := func() (p person) {
		w.call(t, "POST", "/v1/auth/login", anonymous, map[string]string{"email": "ada@example.com", "password": password}).
			want(t, 200, &p.Session)
		w.secret(p.AccessToken, p.RefreshToken)
		p.as = byUser(p.AccessToken)
		return p
	}
	phone := logIn()
	var list api.SessionItemList
	w.call(t, "GET", "/v1/me/sessions", phone.as, nil).want(t, 200, &list)
	var other domain.SessionID
	for _, s := range list.Items {
		if !s.Current {
			other = s.ID
		}
	}
	if len(list.Items) != 2 || other == "" {
		t.Fatalf("got %+v, want two sessions, one of them current", list)
	}
	w.call(t, "DELETE", "/v1/me/sessions/"+string(other), eve.as, nil).fails(t, 404, domain.CodeNotFound)
	w.call(t, "DELETE", "/v1/me/sessions/"+string(other), phone.as, nil).want(t, 204, nil)
	w.call(t, "GET", "/v1/me", ada.as, nil).fails(t, 401, domain.CodeInvalidToken)
	laptop := logIn()
	w.call(t, "POST", "/v1/me/sessions/revoke-others", laptop.as, nil).want(t, 204, nil)
	w.call(t, "GET", "/v1/me", phone.as, nil).fails(t, 401, domain.CodeInvalidToken)
	w.call(t, "GET", "/v1/me", laptop.as, nil).want(t, 200, nil)
}

// Too many wrong passwords are answered 429 with the time to wait, for accounts
// that exist and that do not.
func TestLogInThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signUp(t, "ada")
	for _, email := range []string{"ada@example.com", "noone@example.com"} {
		wrong := map[string]string{"email": email, "password": "not the password at all"}
		for range 10 {
			w.call(t, "POST", "/v1/auth/login", anonymous, wrong).fails(t, 401, domain.CodeInvalidCredentials)
		}
		a := w.call(t, "POST", "/v1/auth/login", anonymous, wrong).fails(t, 429, domain.CodeRateLimited)
		if got, want := a.header.Get("Retry-After"), "20"; got != want {
			t.Errorf("got Retry-After %q, want %q", got, want)
		}
	}
}
