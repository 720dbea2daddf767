package api_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// The main job, end to end: a person signs up, makes an organization, a project
// and a key; a third-party backend calls the project with the key, the person
// with their token; a service of theirs verifies the key.
func TestMainJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.signUp(t, "ada")
	acme := w.organization(t, ada, "Acme")
	payments := w.project(t, ada, acme.ID, "Payments")
	minted := w.key(t, ada, payments.ID, map[string]any{"name": "backend", "scopes": []string{"keys:verify", "documents:read"}})

	for name, as := range map[string]credential{
		"X-Api-Key": byKey(minted.Token), "Authorization": byAuthorization("Api-Key " + minted.Token),
	} {
		var got api.Project
		w.call(t, "GET", "/v1/project", as, nil).want(t, http.StatusOK, &got)
		if diff := cmp.Diff(payments, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	var got api.Project
	w.call(t, "GET", "/v1/projects/"+string(payments.ID), ada.as, nil).want(t, http.StatusOK, &got)
	if diff := cmp.Diff(payments, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	var verified api.Verification
	w.call(t, "POST", "/v1/keys/verify", byKey(minted.Token), map[string]any{
		"key": minted.Token, "scopes": []string{"documents:read"},
	}).want(t, http.StatusOK, &verified)
	if !verified.Valid || verified.Code != "valid" || verified.Key.ID != minted.Key.ID || verified.Project.ID != payments.ID {
		t.Errorf("got %+v", verified)
	}

	key := "/v1/projects/" + string(payments.ID) + "/keys/" + string(minted.Key.ID)
	var revoked api.Key
	w.call(t, "POST", key+"/revoke", ada.as, map[string]string{"reason": "lost"}).want(t, http.StatusOK, &revoked)
	if revoked.Status != domain.KeyRevoked || revoked.RevokedReason.MustGet() != "lost" {
		t.Errorf("got %+v", revoked)
	}
	w.call(t, "GET", "/v1/project", byKey(minted.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeKeyRevoked)
	w.call(t, "PATCH", key, ada.as, map[string]string{"name": "again"}).fails(t, http.StatusConflict, domain.CodeKeyRevoked)
	w.call(t, "DELETE", key, ada.as, nil).want(t, http.StatusNoContent, nil)
	w.call(t, "GET", key, ada.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	w.call(t, "POST", "/v1/auth/logout", ada.as, nil).want(t, http.StatusNoContent, nil)
	w.call(t, "GET", "/v1/me", ada.as, nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidToken)
}
