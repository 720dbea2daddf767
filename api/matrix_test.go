package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// callers are the columns of the matrix.
var callers = []string{
	"anonymous", "stranger", "stranger's key", "viewer", "developer", "admin", "owner",
	"key with every scope", "key without scopes", "revoked key", "expired key", "disabled project's key",
}

// matrix has the status of every operation for every caller, in the order of
// callers. An operation of openapi.yaml without a row fails the test.
var matrix = map[string]string{
	//                    anon str  str' view dev  adm  own  key+ key- rev  exp  dis
	"getLiveness":    "200 200 200 200 200 200 200 200 200 200 200 200",
	"getReadiness":   "200 200 200 200 200 200 200 200 200 200 200 200",
	"getOpenAPI":     "200 200 200 200 200 200 200 200 200 200 200 200",
	"getOpenAPIJSON": "200 200 200 200 200 200 200 200 200 200 200 200",
	"getJWKS":        "200 200 200 200 200 200 200 200 200 200 200 200",

	"getIssuer":              "200 200 200 200 200 200 200 200 200 200 200 200",
	"getAuthorizationServer": "200 200 200 200 200 200 200 200 200 200 200 200",
	"getProjectJWKS":         "200 200 200 200 200 200 200 200 200 200 200 200",
	"getProtectedResource":   "200 200 200 200 200 200 200 200 200 200 200 200",
	"forwardAuth":            "401 401 401 401 401 401 401 200 200 401 401 401", // people's tokens are no keys
	"issueToken":             "401 401 401 401 401 401 401 200 200 401 401 401",
	"introspectToken":        "401 401 401 401 401 401 401 200 403 401 401 401",

	"getReference":        "200 200 200 200 200 200 200 200 200 200 200 200",
	"getErrorReference":   "200 200 200 200 200 200 200 200 200 200 200 200",
	"signUp":              "201 201 201 201 201 201 201 201 201 201 201 201",
	"logIn":               "200 200 200 200 200 200 200 200 200 200 200 200",
	"refreshSession":      "200 200 200 200 200 200 200 200 200 200 200 200",
	"verifyEmail":         "401 401 401 401 401 401 401 401 401 401 401 401", // for want of a token that was mailed
	"forgotPassword":      "202 202 202 202 202 202 202 202 202 202 202 202",
	"resetPassword":       "401 401 401 401 401 401 401 401 401 401 401 401", // the same
	"logOut":              "401 204 403 204 204 204 204 403 403 401 401 401",
	"getCaller":           "401 200 200 200 200 200 200 200 200 401 401 401",
	"listSessions":        "401 200 403 200 200 200 200 403 403 401 401 401",
	"revokeSession":       "401 204 403 204 204 204 204 403 403 401 401 401",
	"revokeOtherSessions": "401 204 403 204 204 204 204 403 403 401 401 401",
	"getMe":               "401 200 403 200 200 200 200 403 403 401 401 401",
	"updateMe":            "401 200 403 200 200 200 200 403 403 401 401 401",
	"changePassword":      "401 204 403 204 204 204 204 403 403 401 401 401",
	"createOrganization":  "401 201 403 201 201 201 201 403 403 401 401 401",
	"listOrganizations":   "401 200 403 200 200 200 200 403 403 401 401 401",
	"getOrganization":     "401 404 403 200 200 200 200 403 403 401 401 401",
	"updateOrganization":  "401 404 403 403 403 200 200 403 403 401 401 401",
	"deleteOrganization":  "401 404 403 403 403 403 204 403 403 401 401 401",
	"listAuditEvents":     "401 404 403 403 403 200 200 403 403 401 401 401",
	"listMembers":         "401 404 403 200 200 200 200 403 403 401 401 401",
	"updateMember":        "401 404 403 403 403 200 200 403 403 401 401 401",
	"removeMember":        "401 404 403 403 403 204 204 403 403 401 401 401",
	"createInvitation":    "401 404 403 403 403 201 201 403 403 401 401 401",
	"listInvitations":     "401 404 403 403 403 200 200 403 403 401 401 401",
	"revokeInvitation":    "401 404 403 403 403 204 204 403 403 401 401 401",
	"acceptInvitation":    "401 200 403 200 200 200 404 403 403 401 401 401",
	"createProject":       "401 404 403 403 403 201 201 403 403 401 401 401",
	"listProjects":        "401 404 403 200 200 200 200 403 403 401 401 401",
	"getCurrentProject":   "401 403 200 403 403 403 403 200 200 401 401 401",
	"getProject":          "401 404 404 200 200 200 200 200 200 401 401 401",
	"updateProject":       "401 404 404 403 403 200 200 200 403 401 401 401",
	"deleteProject":       "401 404 403 403 403 204 204 403 403 401 401 401",
	"createKey":           "401 404 404 403 201 201 201 201 403 401 401 401",
	"listKeys":            "401 404 404 200 200 200 200 200 403 401 401 401",
	"getKey":              "401 404 404 200 200 200 200 200 403 401 401 401",
	"updateKey":           "401 404 404 403 200 200 200 200 403 401 401 401",
	"revokeKey":           "401 404 404 403 200 200 200 200 403 401 401 401",
	"revokeKeys":          "401 404 404 403 200 200 200 200 403 401 401 401",
	"rotateKey":           "401 404 404 403 200 200 200 200 403 401 401 401",
	"importKeys":          "401 404 403 403 200 200 200 403 403 401 401 401",
	"deleteKey":           "401 404 404 403 204 204 204 204 403 401 401 401",
	"reportLeak":          "200 200 200 200 200 200 200 200 200 200 200 200",
	"verifyKey":           "401 404 404 403 200 200 200 200 403 401 401 401",
	"spendKey":            "401 404 404 403 200 200 200 200 403 401 401 401",
	"syncKeys":            "401 403 200 403 403 403 403 200 403 401 401 401",
	"listCustomers":       "401 404 404 200 200 200 200 200 403 401 401 401",
	"getKeyLimits":        "401 404 404 200 200 200 200 200 403 401 401 401",
	"resetLimit":          "401 404 404 403 200 200 200 200 403 401 401 401",
	"grantCredits":        "401 404 404 403 201 201 201 201 403 401 401 401",
	"refundCredits":       "401 404 404 403 201 201 201 201 403 401 401 401",
	"listCreditEntries":   "401 404 404 200 200 200 200 200 403 401 401 401",
	"createPlan":          "401 404 404 403 201 201 201 201 403 401 401 401",
	"listPlans":           "401 404 404 200 200 200 200 200 403 401 401 401",
	"getPlan":             "401 404 404 200 200 200 200 200 403 401 401 401",
	"updatePlan":          "401 404 404 403 200 200 200 200 403 401 401 401",
	"deletePlan":          "401 404 404 403 204 204 204 204 403 401 401 401",
	"rehearsePlan":        "401 404 404 403 200 200 200 200 403 401 401 401",

	"createWebhook":         "401 404 403 403 403 201 201 403 403 401 401 401",
	"listWebhooks":          "401 404 404 403 403 200 200 200 403 401 401 401",
	"getWebhook":            "401 404 404 403 403 200 200 200 403 401 401 401",
	"updateWebhook":         "401 404 403 403 403 200 200 403 403 401 401 401",
	"deleteWebhook":         "401 404 403 403 403 204 204 403 403 401 401 401",
	"rotateWebhookSecret":   "401 404 403 403 403 200 200 403 403 401 401 401",
	"testWebhook":           "401 404 403 403 403 202 202 403 403 401 401 401",
	"listWebhookDeliveries": "401 404 404 403 403 200 200 200 403 401 401 401",
	"redeliver":             "401 404 403 403 403 202 202 403 403 401 401 401",

	"getOrganizationUsage": "401 404 403 200 200 200 200 403 403 401 401 401",
	"getUsage":             "401 404 404 200 200 200 200 200 403 401 401 401",
	"getOwnUsage":          "401 403 200 403 403 403 403 200 200 401 401 401",

	"createServiceAccount": "401 404 403 403 403 201 201 403 403 401 401 401",
	"listServiceAccounts":  "401 404 403 403 403 200 200 403 403 401 401 401",
	"getServiceAccount":    "401 404 403 403 403 200 200 403 403 401 401 401",
	"updateServiceAccount": "401 404 403 403 403 200 200 403 403 401 401 401",
	"deleteServiceAccount": "401 404 403 403 403 204 204 403 403 401 401 401",
	"createServiceToken":   "401 404 403 403 403 201 201 403 403 401 401 401",
	"listServiceTokens":    "401 404 403 403 403 200 200 403 403 401 401 401",
	"deleteServiceToken":   "401 404 403 403 403 204 204 403 403 401 401 401",
}

// scene is a tenant with everybody around it who gets in.
type scene struct {
	*world

	home tenant

	people map[string]person // by column
	as     map[string]credential
	token  string        // of a good key of the tenant
	guest  domain.UserID // a member whom others act upon; empty: not yet
	fresh  int           // counts what had to be made anew
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return newSceneIn(t, newWorld(t))
}

// newSceneIn makes the scene in a world that is empty.
func newSceneIn(t *testing.T, w *world) *scene {
	t.Helper()
	s := &scene{world: w, home: w.tenant(t, "owner"), people: map[string]person{}, as: map[string]credential{"anonymous": anonymous}}
	stranger := w.tenant(t, "stranger")
	s.people["owner"], s.people["stranger"] = s.home.owner, stranger.owner
	for _, role := range []domain.Role{domain.Viewer, domain.Developer, domain.Admin} {
		p := w.signUp(t, string(role))
		w.member(t, p, s.home.organization.ID, role)
		s.people[string(role)] = p
	}
	for column, p := range s.people {
		s.as[column] = p.as
	}

	every := map[string]any{"scopes": domain.KeyScopes}
	good := w.key(t, s.home.owner, s.home.project.ID, every)
	s.token = good.Token
	s.as["key with every scope"] = byKey(good.Token)
	s.as["key without scopes"] = byKey(w.key(t, s.home.owner, s.home.project.ID, nil).Token)
	s.as["stranger's key"] = byKey(w.key(t, stranger.owner, stranger.project.ID, every).Token)
	revoked := w.key(t, s.home.owner, s.home.project.ID, every)
	w.call(t, "POST", s.home.path("/keys/"+string(revoked.Key.ID)+"/revoke"), s.home.owner.as, nil).want(t, http.StatusOK, nil)
	s.as["revoked key"] = byKey(revoked.Token)
	s.as["expired key"] = byKey(w.key(t, s.home.owner, s.home.project.ID, map[string]any{
		"scopes": domain.KeyScopes, "expires_at": w.Now().Add(-time.Hour),
	}).Token)
	closed := w.project(t, s.home.owner, s.home.organization.ID, "closed")
	s.as["disabled project's key"] = byKey(w.key(t, s.home.owner, closed.ID, every).Token)
	w.call(t, "PATCH", "/v1/projects/"+string(closed.ID), s.home.owner.as, map[string]string{"status": "disabled"}).
		want(t, http.StatusOK, nil)
	return s
}

// pathParameter finds the ids that a path of openapi.yaml asks for.
var pathParameter = regexp.MustCompile(`\{[a-z_]+\}`)

// fill puts ids into a path.
func fill(t *testing.T, path string, ids map[string]string) string {
	t.Helper()
	return pathParameter.ReplaceAllStringFunc(path, func(name string) string {
		id, ok := ids[name]
		if !ok {
			t.Fatalf("the tests know no id for %s of %s: give ids one", name, path)
		}
		return id
	})
}

// ids makes what the paths of the contract name, in the tenant n, as far as the
// path needs it. The sessions are those of the person.
func (s *scene) ids(t *testing.T, n tenant, path string, of person) map[string]string {
	t.Helper()
	s.fresh++
	ids := map[string]string{"{organization_id}": string(n.organization.ID), "{project_id}": string(n.project.ID), "{scopes}": "-"}
	at := "/v1/organizations/" + string(n.organization.ID)
	if strings.Contains(path, "{key_id}") {
		limits := []any{}
		if strings.Contains(path, "{name}") {
			ids["{name}"] = "requests"
			limits = append(limits, map[string]any{"name": ids["{name}"], "type": "rate", "limit": 1000, "period": "second"})
		}
		ids["{key_id}"] = string(s.key(t, n.owner, n.project.ID, map[string]any{"limits": limits}).Key.ID)
	}
	if strings.Contains(path, "{plan_id}") {
		ids["{plan_id}"] = string(s.plan(t, n, fmt.Sprintf("plan-%d", s.fresh)).ID)
	}
	if strings.Contains(path, "{webhook_id}") {
		ids["{webhook_id}"], ids["{delivery_id}"] = s.webhook(t, n, strings.Contains(path, "{delivery_id}"))
	}
	if strings.Contains(path, "{invitation_id}") {
		var made api.CreatedInvitation
		s.call(t, "POST", at+"/invitations", n.owner.as, map[string]string{
			"email": fmt.Sprintf("invited-%d@example.com", s.fresh), "role": "viewer",
		}).want(t, http.StatusCreated, &made)
		s.secret(made.Token)
		ids["{invitation_id}"] = string(made.Invitation.ID)
	}
	if strings.Contains(path, "service-accounts/{user_id}") {
		account := s.serviceAccount(t, n, "named in a path", domain.Viewer)
		ids["{user_id}"] = string(account.ID)
		if strings.Contains(path, "{token_id}") {
			ids["{token_id}"] = string(s.serviceToken(t, n, account.ID).ServiceToken.ID)
		}
	} else if strings.Contains(path, "{user_id}") {
		if s.guest == "" {
			s.guest = s.signUp(t, "guest").User.ID
		}
		err := s.Store.AddMember(t.Context(), domain.Organization{ID: n.organization.ID}.Scope(), domain.Membership{
			UserID: s.guest, Role: domain.Viewer, JoinedAt: s.Now(),
		})
		if err != nil && domain.CodeOf(err) != domain.CodeConflict { // still there from before
			t.Fatal(err)
		}
		ids["{user_id}"] = string(s.guest)
	}
	if strings.Contains(path, "{session_id}") {
		var sessions api.SessionItemList
		s.call(t, "GET", "/v1/me/sessions?limit=200", s.logIn(t, of).as, nil).want(t, http.StatusOK, &sessions)
		for _, session := range sessions.Items {
			if session.Current {
				ids["{session_id}"] = string(session.ID)
			}
		}
	}
	return ids
}

// nobodys are ids of nothing.
func (s *scene) nobodys() map[string]string {
	now := s.Now()
	return map[string]string{
		"{organization_id}": string(domain.NewID[domain.OrganizationID](now)), "{project_id}": string(domain.NewID[domain.ProjectID](now)),
		"{key_id}": string(domain.NewID[domain.KeyID](now)), "{user_id}": string(domain.NewID[domain.UserID](now)),
		"{session_id}": string(domain.NewID[domain.SessionID](now)), "{invitation_id}": string(domain.NewID[domain.InvitationID](now)),
		"{plan_id}": string(domain.NewID[domain.PlanID](now)), "{name}": "nothing",
		"{token_id}":   string(domain.NewTokenID()),
		"{webhook_id}": string(domain.NewID[domain.WebhookID](now)), "{delivery_id}": string(domain.NewID[domain.EventID](now)),
	}
}

// request returns the path and body of a call that the operation must accept
// from a caller who may make it, and that caller. It creates anew what a call uses up.
func (s *scene) request(t *testing.T, id, path, column string) (address string, as credential, body any) {
	t.Helper()
	s.fresh++
	name := fmt.Sprintf("fresh-%d", s.fresh)
	as = s.as[column]
	caller, isPerson := s.people[column]
	if !isPerson {
		caller = s.home.owner
	}
	home := s.home
	switch id {
	case "signUp":
		body = map[string]string{"email": name + "@example.com", "password": password}
	case "logIn":
		body = map[string]string{"email": "owner@example.com", "password": password}
	case "refreshSession":
		body = map[string]string{"refresh_token": s.logIn(t, s.home.owner).RefreshToken}
	case "verifyEmail":
		body = map[string]string{"token": "garbage", "password": password}
	case "forgotPassword":
		body = map[string]string{"email": "owner@example.com"}
	case "resetPassword":
		body = map[string]string{"token": "garbage", "password": password}
	case "logOut":
		if isPerson {
			as = s.logIn(t, caller).as
		}
	case "changePassword":
		body = map[string]string{"current": password, "new": password}
	case "updateMe", "updateOrganization", "updateProject", "createOrganization", "createProject", "createKey", "updateKey", "updatePlan",
		"updateServiceAccount", "createServiceToken":
		body = map[string]string{"name": name}
	case "issueToken":
		body = url.Values{"grant_type": {"client_credentials"}}
	case "introspectToken":
		body = url.Values{"token": {s.token}}
	case "createServiceAccount":
		body = map[string]any{"name": name, "role": "viewer"}
	case "rehearsePlan":
		body = map[string]any{"limits": []any{}}
	case "createPlan":
		body = map[string]any{"name": name, "limits": []any{}}
	case "createWebhook":
		s.makeRoomForWebhooks(t, home)
		body = map[string]any{"url": "https://example.com/" + name, "events": []string{"key.revoked"}}
	case "updateWebhook":
		body = map[string]any{"url": "https://example.com/" + name}
	case "spendKey":
		body = map[string]any{"key": s.token, "project_id": home.project.ID, "cost": map[string]int{"tokens": 1}}
	case "grantCredits":
		key := s.limitedKey(t, s.home, map[string]any{"name": "credits", "type": "credits"})
		body = map[string]any{"limit": "credits", "key_id": key.Key.ID, "amount": 5, "reason": name}
	case "refundCredits":
		body = map[string]any{"limit": "credits", "key_id": s.forfeited(t), "reason": name}
	case "updateMember":
		body = map[string]string{"role": "developer"}
	case "createInvitation":
		body = map[string]string{"email": name + "@example.com", "role": "viewer"}
	case "acceptInvitation":
		body = map[string]string{"token": s.invitation(t, caller)}
	case "deleteOrganization":
		if column == "owner" {
			home.organization = s.organization(t, s.home.owner, name)
		}
	case "deleteProject":
		home.project = s.project(t, s.home.owner, home.organization.ID, name)
	case "importKeys":
		digest := sha256.Sum256([]byte(name))
		body = map[string]any{"keys": []map[string]string{{"name": name, "algorithm": "sha256-hex", "hash": hex.EncodeToString(digest[:])}}}
	case "revokeKeys":
		s.key(t, home.owner, home.project.ID, map[string]any{"external_id": name})
		body = map[string]any{"external_id": name}
	case "reportLeak":
		body = map[string]any{"tokens": []string{s.key(t, home.owner, home.project.ID, nil).Token}}
	case "syncKeys":
		body = map[string]any{}
	case "verifyKey":
		body = map[string]any{"key": s.token, "project_id": home.project.ID}
	}
	return fill(t, path, s.ids(t, home, path, caller)), as, body
}

// forKeys reports whether an operation is for keys alone.
func forKeys(op *openapi3.Operation) bool {
	byUser := func(r openapi3.SecurityRequirement) bool { return r["BearerJWT"] != nil }
	return op.Security != nil && !slices.ContainsFunc(*op.Security, byUser)
}

// caller returns who may call an operation: the owner, or a key with every scope.
func (s *scene) caller(op *openapi3.Operation) credential {
	if forKeys(op) {
		return s.as["key with every scope"]
	}
	return s.home.owner.as
}

// invitation returns the token of an invitation for p to an organization that is
// new; the owner, who is in it already, gets one of nothing.
func (s *scene) invitation(t *testing.T, p person) string {
	t.Helper()
	if p.User.ID == s.home.owner.User.ID {
		return "garbage"
	}
	to := s.organization(t, s.home.owner, "inviting")
	var made api.CreatedInvitation
	s.call(t, "POST", "/v1/organizations/"+string(to.ID)+"/invitations", s.home.owner.as, map[string]string{
		"email": p.User.Email, "role": "viewer",
	}).want(t, http.StatusCreated, &made)
	s.secret(made.Token)
	return made.Token
}

// Guarantees who may do what: every operation of the contract, tried by
// everybody there is, answers exactly the status that the table gives.
func TestMatrix(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	routes, err := api.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		row := strings.Fields(matrix[r.Operation])
		if len(row) != len(callers) {
			t.Errorf("%s: the matrix has no row of %d columns for it", r.Operation, len(callers))
			continue
		}
		path := regexp.MustCompile(`:([a-z_]+)`).ReplaceAllString(r.Path, "{$1}")
		for i, column := range callers {
			address, as, body := s.request(t, r.Operation, path, column)
			got := s.call(t, r.Method, address, as, body)
			if want := row[i]; fmt.Sprint(got.status) != want {
				t.Errorf("%s by %s: got %d, want %s: %s", r.Operation, column, got.status, want, got.body)
			}
		}
	}
	for id := range matrix {
		operation(t, id) // fails for a row without an operation
	}
}

// Guarantees that no caller can find out whether something of another tenant
// exists: for every operation with an id in its path, another tenant's id and an
// unused id give the same bytes, except for the request id.
func TestForeignIsAbsent(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.tenant(t, "other")
	tried := 0
	compare := func(op *openapi3.Operation, method, foreign, none string) {
		t.Helper()
		for _, column := range []string{"owner", "key with every scope"} {
			_, as, body := s.request(t, op.OperationID, "", column)
			theirs, nobodys := s.call(t, method, foreign, as, body), s.call(t, method, none, as, body)
			if theirs.status != nobodys.status || withoutRequestID(theirs) != withoutRequestID(nobodys) {
				t.Errorf("%s by %s: foreign %d %s, absent %d %s", op.OperationID, column, theirs.status, theirs.body, nobodys.status,
					nobodys.body)
			}
			if column == "owner" {
				theirs.fails(t, http.StatusNotFound, domain.CodeNotFound)
			}
			tried++
		}
	}
	for path, item := range contract().Paths.Map() {
		names := pathParameter.FindAllString(path, -1)
		for method, op := range item.Operations() {
			if op.Security != nil && len(*op.Security) == 0 {
				continue // what an issuer publishes is for everyone
			}
			if len(names) > 0 {
				compare(op, method, fill(t, path, s.ids(t, other, path, other.owner)), fill(t, path, s.nobodys()))
			}
			if len(names) > 1 { // ours, and below it something of theirs
				theirs, none := s.ids(t, other, path, other.owner), s.nobodys()
				ours := map[string]string{"{organization_id}": string(s.home.organization.ID), "{project_id}": string(s.home.project.ID)}
				theirs[names[0]], none[names[0]] = ours[names[0]], ours[names[0]]
				compare(op, method, fill(t, path, theirs), fill(t, path, none))
			}
		}
	}
	if tried < 30 {
		t.Errorf("only %d calls were compared", tried)
	}

	// The same for a project named in a body, and for a token asked about.
	theirs := s.call(t, "POST", "/v1/keys/verify", s.home.owner.as, map[string]any{"key": s.token, "project_id": other.project.ID})
	nobodys := s.call(t, "POST", "/v1/keys/verify", s.home.owner.as, map[string]any{"key": s.token,
		"project_id": s.nobodys()["{project_id}"]})
	if withoutRequestID(theirs) != withoutRequestID(nobodys) {
		t.Errorf("foreign %s, absent %s", theirs.body, nobodys.body)
	}
	theirToken := s.key(t, other.owner, other.project.ID, nil).Token
	theirs = s.call(t, "POST", "/v1/keys/verify", s.as["key with every scope"], map[string]any{"key": theirToken})
	nobodys = s.call(t, "POST", "/v1/keys/verify", s.as["key with every scope"], map[string]any{"key": "garbage"})
	if got, want := string(theirs.body), string(nobodys.body); got != want || theirs.status != http.StatusOK {
		t.Errorf("another project's token gets %d %s, garbage %s", theirs.status, got, want)
	}
}
