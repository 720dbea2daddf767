package api_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// retry sends an Idempotency-Key along.
func retry(as credential, idempotencyKey ...string) credential {
	return func(h http.Header) {
		as(h)
		h["Idempotency-Key"] = idempotencyKey
	}
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	before := w.key(t, n.owner, n.project.ID, nil)
	path := n.path("/keys/" + string(before.Key.ID))
	var after api.CreatedKey
	a := w.call(t, "POST", path+"/rotate", n.owner.as, map[string]int{"grace_seconds": 60}).want(t, http.StatusOK, &after)
	w.secret(after.Token)
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
	until := w.Now().Add(time.Minute)
	want := &api.RetiringToken{Prefix: before.Key.Prefix, ValidUntil: until, LastUsedAt: nullable.NewNullNullable[time.Time]()}
	if got := after.Key.Retiring; after.Key.ID != before.Key.ID || !cmp.Equal(want, got) {
		t.Errorf("got %+v, want it to retire %+v", after.Key, want)
	}
	var listed api.KeyList
	w.call(t, "GET", n.path("/keys"), n.owner.as, nil).want(t, http.StatusOK, &listed)
	if diff := cmp.Diff(after.Key.Retiring, listed.Items[0].Retiring); diff != "" {
		t.Error(diff)
	}
	// Answers from memory show the retiring token as long as it works, and no longer.
	shown := func(want *api.RetiringToken) {
		t.Helper()
		var who api.Caller
		w.call(t, "GET", "/v1/whoami", byKey(after.Token), nil).want(t, http.StatusOK, &who)
		var v api.Verification
		question := map[string]any{"key": after.Token, "project_id": n.project.ID}
		w.call(t, "POST", "/v1/keys/verify", n.owner.as, question).want(t, http.StatusOK, &v)
		verified := want
		if want != nil {
			verified = &api.RetiringToken{Prefix: want.Prefix, ValidUntil: want.ValidUntil}
		}
		if diff := cmp.Diff([]*api.RetiringToken{want, verified}, []*api.RetiringToken{who.Key.Retiring, v.Key.Retiring}); diff != "" {
			t.Errorf("whoami and verification: %s", diff)
		}
	}
	shown(after.Key.Retiring)
	for _, token := range []string{before.Token, after.Token} {
		w.call(t, "GET", "/v1/project", byKey(token), nil).want(t, http.StatusOK, nil)
	}
	w.Pass(time.Minute)
	shown(nil)
	w.call(t, "GET", "/v1/project", byKey(before.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeKeyExpired)
	w.call(t, "GET", "/v1/project", byKey(after.Token), nil).want(t, http.StatusOK, nil)
	var got api.Key
	w.call(t, "GET", path, n.owner.as, nil).want(t, http.StatusOK, &got)
	if got.Retiring != nil {
		t.Errorf("got %+v, want nothing retiring", got.Retiring)
	}

	for _, body := range []string{`{"grace_seconds": -1}`, `{"grace_seconds": 2592001}`, `{"grace_seconds": 1.5}`, `{"grace": 1}`} {
		w.call(t, "POST", path+"/rotate", n.owner.as, body).fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
	w.call(t, "POST", path+"/rotate", n.owner.as, nil).want(t, http.StatusOK, &after)
	w.secret(after.Token)
	if want := w.Now().Add(24 * time.Hour); !after.Key.Retiring.ValidUntil.Equal(want) {
		t.Errorf("got %v, want %v by default", after.Key.Retiring.ValidUntil, want)
	}
}

// Guarantees that a caller who lost the answer to a creation or a rotation gets the
// same answer again for the same Idempotency-Key, and that no one else gets it.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.key(t, n.owner, n.project.ID, nil)
	rotate := n.path("/keys/" + string(key.Key.ID) + "/rotate")
	organization := "/v1/organizations/" + string(n.organization.ID)
	for i, test := range []struct {
		path   string
		body   map[string]any
		other  map[string]any
		status int
	}{
		{"/v1/organizations", map[string]any{"name": "Acme"}, map[string]any{"name": "Other"}, http.StatusCreated},
		{organization + "/projects", map[string]any{"name": "Acme"}, map[string]any{"name": "Other"}, http.StatusCreated},
		{n.path("/keys"), map[string]any{"name": "k"}, map[string]any{"name": "k", "environment": "test"}, http.StatusCreated},
		{rotate, map[string]any{}, map[string]any{"grace_seconds": 0}, http.StatusOK},
	} {
		w.secret(fmt.Sprintf("a-request-number-%d", i))
		as := retry(n.owner.as, fmt.Sprintf("a-request-number-%d", i))
		first := w.call(t, "POST", test.path, as, test.body).want(t, test.status, nil)
		w.Pass(time.Minute)
		again := w.call(t, "POST", test.path, as, test.body).want(t, test.status, nil)
		if diff := cmp.Diff(string(first.body), string(again.body)); diff != "" {
			t.Errorf("%s: %s", test.path, diff)
		}
		w.call(t, "POST", test.path, as, test.other).fails(t, http.StatusUnprocessableEntity, domain.CodeIdempotencyMismatch)
	}
	for _, bad := range [][]string{
		{""}, {"too-short-by-one"[1:]}, {"with a space in it"}, {strings.Repeat("x", 129)}, {"one-of-two-of-them", "two-of-two-of-them"},
	} {
		w.call(t, "POST", n.path("/keys"), retry(n.owner.as, bad...), map[string]any{"name": "k"}).
			fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
}

// Guarantees that a time written out never means "never", however early it is.
func TestExpiryOfTheYearOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.key(t, n.owner, n.project.ID, map[string]any{"expires_at": "1970-01-01T00:00:00Z"})
	if key.Key.Status != domain.KeyExpired {
		t.Errorf("got %s, want expired since 1970", key.Key.Status)
	}
	for _, at := range []string{
		"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.0000001Z", "0000-12-31T23:59:59Z", "0001-01-01T01:00:00+01:00", "1969-12-31T23:59:59Z",
		"9999-12-31T23:59:59-01:00",
	} {
		body := map[string]any{"name": "k", "expires_at": at}
		w.call(t, "POST", n.path("/keys"), n.owner.as, body).fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
		w.call(t, "PATCH", n.path("/keys/"+string(key.Key.ID)), n.owner.as, map[string]any{"expires_at": at}).
			fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
	var never api.Key
	w.call(t, "PATCH", n.path("/keys/"+string(key.Key.ID)), n.owner.as, map[string]any{"expires_at": nil}).want(t, http.StatusOK, &never)
	if never.Status != domain.KeyActive || !never.ExpiresAt.IsNull() {
		t.Errorf("got %+v, want a key that never expires", never)
	}
}

// Guarantees that keys made elsewhere come over by their hashes, that bad rows
// are named and good ones taken, and that the answer shows no hash.
func TestImportKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	digest := sha512.Sum512([]byte("dOwgmSHc.8l3xMZ2XoFzfRCzwPIeGCBzS5ZWqvW3N"))
	hash := "sha512$$" + hex.EncodeToString(digest[:])
	w.secret(hex.EncodeToString(digest[:]), "8l3xMZ2XoFzfRCzwPIeGCBzS5ZWqvW3N")
	row := func(change map[string]any) map[string]any {
		row := map[string]any{"name": "k", "algorithm": "django-sha512", "hash": hash, "prefix": "dOwgmSHc"}
		maps.Copy(row, change)
		return row
	}
	body := map[string]any{"keys": []any{
		row(map[string]any{"name": nil}), row(map[string]any{"algorithm": "rot13"}), row(map[string]any{"hash": hash[:20]}),
		row(map[string]any{"expires_at": "tomorrow"}), row(map[string]any{"created_at": "0001-01-01T00:00:00Z"}),
		row(map[string]any{"environment": "prod", "scopes": []string{"*"}}),
		row(map[string]any{
			"created_at": "2020-05-01T12:00:00+02:00", "expires_at": nil, "revoked": false, "environment": "test", "external_id": "cust_7",
			"scopes": []string{"documents:read"}, "metadata": map[string]string{"team": "billing"},
		}),
	}}
	delete(body["keys"].([]any)[0].(map[string]any), "name")
	var result api.ImportResult
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, body).want(t, http.StatusOK, &result)
	var pointers []string
	for _, e := range result.Errors {
		pointers = append(pointers, e.Pointer)
	}
	want := []string{"/keys/0/name", "/keys/1/algorithm", "/keys/2/hash", "/keys/3/expires_at", "/keys/4/created_at",
		"/keys/5/environment", "/keys/5/scopes/0"}
	if diff := cmp.Diff(want, pointers); diff != "" || result.Imported != 1 {
		t.Errorf("got %+v: %s", result, diff)
	}
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, body).want(t, http.StatusOK, &result)
	if result.Imported != 0 || result.Unchanged != 1 {
		t.Errorf("got %+v the second time, want 1 unchanged", result)
	}

	var project api.Project
	w.call(t, "GET", "/v1/project", byKey("dOwgmSHc.8l3xMZ2XoFzfRCzwPIeGCBzS5ZWqvW3N"), nil).want(t, http.StatusOK, &project)
	if project.ID != n.project.ID {
		t.Errorf("got project %s, want %s", project.ID, n.project.ID)
	}
	w.call(t, "GET", "/v1/project", byKey("dOwgmSHc.8l3xMZ2XoFzfRCzwPIeGCBzS5ZWqvW3M"), nil).
		fails(t, http.StatusUnauthorized, domain.CodeInvalidAPIKey)
	w.call(t, "GET", "/v1/project", byKey(hash), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidAPIKey)
	var list api.KeyList
	a := w.call(t, "GET", n.path("/keys"), n.owner.as, nil).want(t, http.StatusOK, &list)
	w.mustNotShow(t, "the list", string(a.body))
	k := list.Items[0]
	if k.Prefix != "dOwgmSHc" || !k.CreatedAt.Equal(time.Date(2020, 5, 1, 10, 0, 0, 0, time.UTC)) || k.Environment != domain.Test ||
		k.Metadata["team"] != "billing" {
		t.Errorf("got %+v", k)
	}

	as := byKey(w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"keys:write"}}).Token)
	w.call(t, "POST", n.path("/keys/import"), as, body).fails(t, http.StatusForbidden, domain.CodeForbidden)
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, `{"keys": [{"hashed_key": ""}]}`).
		fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, `{}`).fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
}

// Guarantees that what is stored of a token, of our kind or of another, is shown
// nowhere: in no answer, no list, no audit event, no error and no log line; and
// that it is no token itself.
func TestDigestsAppearNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	own := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"keys:verify", "keys:read"}})
	var rotated api.CreatedKey
	w.call(t, "POST", n.path("/keys/"+string(own.Key.ID)+"/rotate"), n.owner.as, nil).want(t, http.StatusOK, &rotated)
	w.secret(rotated.Token)
	digest := sha256.Sum256([]byte("an-opaque-token"))
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, map[string]any{"keys": []any{
		map[string]any{"name": "imported", "algorithm": "sha256-hex", "hash": hex.EncodeToString(digest[:])},
	}}).want(t, http.StatusOK, nil)
	w.secret("an-opaque-token", hex.EncodeToString(digest[:]), base64.StdEncoding.EncodeToString(digest[:]))

	scope := domain.Project{ID: n.project.ID, OrganizationID: n.organization.ID}.Scope()
	var list api.KeyList
	w.call(t, "GET", n.path("/keys"), n.owner.as, nil).want(t, http.StatusOK, &list)
	note := func() (stored []string) {
		for _, k := range list.Items {
			secrets, err := w.Store.LiveSecrets(t.Context(), scope, k.ID, w.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range secrets {
				stored = append(stored, hex.EncodeToString(s.Digest), base64.StdEncoding.EncodeToString(s.Digest),
					base64.RawURLEncoding.EncodeToString(s.Digest))
			}
		}
		w.secret(stored...)
		return stored
	}
	note()
	w.call(t, "GET", "/v1/project", byKey("an-opaque-token"), nil).want(t, http.StatusOK, nil)
	stored := note() // by now Latchkey has its own digest of the imported one
	if len(stored) != 3*3 {
		t.Fatalf("got %d texts for three secrets", len(stored))
	}
	for _, digest := range stored {
		w.call(t, "GET", "/v1/project", byKey(digest), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidAPIKey)
	}
	path := n.path("/keys/" + string(own.Key.ID))
	events := "/v1/organizations/" + string(n.organization.ID) + "/audit-events"
	for _, a := range []answer{
		w.call(t, "GET", n.path("/keys"), n.owner.as, nil), w.call(t, "GET", path, n.owner.as, nil),
		w.call(t, "GET", events, n.owner.as, nil),
		w.call(t, "GET", "/v1/whoami", byKey(rotated.Token), nil),
		w.call(t, "POST", "/v1/keys/verify", byKey(rotated.Token), map[string]string{"key": "an-opaque-token"}),
		w.call(t, "PATCH", path, n.owner.as, map[string]string{"name": "renamed"}),
		w.call(t, "POST", path+"/revoke", n.owner.as, nil),
	} {
		w.mustNotShow(t, "an answer", string(a.want(t, http.StatusOK, nil).body))
	}
}

// Guarantees that no operation brings a revoked key back, or gives it a token.
func TestRevocationIsFinal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	as := retry(n.owner.as, "the-creation-of-a-key")
	var k api.CreatedKey
	w.call(t, "POST", n.path("/keys"), as, map[string]string{"name": "k"}).want(t, http.StatusCreated, &k)
	w.secret(k.Token)
	path := n.path("/keys/" + string(k.Key.ID))
	var revoked, again api.Key
	w.call(t, "POST", path+"/revoke", n.owner.as, map[string]string{"reason": "lost"}).want(t, http.StatusOK, &revoked)
	w.Pass(time.Minute)
	for _, test := range []struct {
		method, path string
		body         any
		status       int
		code         domain.Code
	}{
		{"PATCH", path, map[string]any{"revoked_at": nil}, http.StatusUnprocessableEntity, domain.CodeValidationFailed},
		{"PATCH", path, map[string]any{"status": "active"}, http.StatusUnprocessableEntity, domain.CodeValidationFailed},
		{"PATCH", path, map[string]any{"name": "renamed"}, http.StatusConflict, domain.CodeKeyRevoked},
		{"PATCH", path, map[string]any{"expires_at": "2030-01-01T00:00:00Z"}, http.StatusConflict, domain.CodeKeyRevoked},
		{"PATCH", path, map[string]any{"name": k.Key.Name}, http.StatusConflict, domain.CodeKeyRevoked},
		{"POST", path + "/rotate", nil, http.StatusConflict, domain.CodeKeyRevoked},
	} {
		w.call(t, test.method, test.path, n.owner.as, test.body).fails(t, test.status, test.code)
	}
	w.call(t, "POST", n.path("/keys"), as, map[string]string{"name": "k"}).fails(t, http.StatusConflict, domain.CodeKeyRevoked)
	w.call(t, "POST", path+"/revoke", n.owner.as, map[string]string{"reason": "another"}).want(t, http.StatusOK, &again)
	if diff := cmp.Diff(revoked, again); diff != "" {
		t.Errorf("revoking again changed the key: %s", diff)
	}
	w.call(t, "GET", "/v1/project", byKey(k.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeKeyRevoked)
	w.call(t, "DELETE", path, n.owner.as, nil).want(t, http.StatusNoContent, nil)
	w.call(t, "GET", "/v1/project", byKey(k.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidAPIKey)
}

// Guarantees that renaming a key answers no token, and leaves the one there is.
func TestRenamingKeepsTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	k := w.key(t, n.owner, n.project.ID, nil)
	a := w.call(t, "PATCH", n.path("/keys/"+string(k.Key.ID)), n.owner.as, map[string]string{"name": "renamed"}).want(t, http.StatusOK, nil)
	if strings.Contains(string(a.body), "token") || !strings.Contains(string(a.body), k.Key.Prefix) {
		t.Errorf("got %s, want the same prefix and no token", a.body)
	}
	w.call(t, "GET", "/v1/project", byKey(k.Token), nil).want(t, http.StatusOK, nil)
	for _, name := range []string{"", "  ", strings.Repeat("x", 101)} {
		w.call(t, "POST", n.path("/keys"), n.owner.as, map[string]string{"name": name}).
			fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
}

// A key that asks about itself sees the same last use as a user who reads the key.
func TestWhoamiLastUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.key(t, n.owner, n.project.ID, nil)
	for range 2 {
		w.Pass(time.Minute)
		w.call(t, "GET", "/v1/project", byKey(key.Token), nil).want(t, http.StatusOK, nil)
		w.record(t)
		var who api.Caller
		w.call(t, "GET", "/v1/whoami", byKey(key.Token), nil).want(t, http.StatusOK, &who)
		var read api.Key
		w.call(t, "GET", n.path("/keys/"+string(key.Key.ID)), n.owner.as, nil).want(t, http.StatusOK, &read)
		if got, err := who.Key.LastUsedAt.Get(); err != nil || !got.Equal(w.Now()) {
			t.Errorf("got %v, %v, want %v", got, err, w.Now())
		}
		if diff := cmp.Diff(read.LastUsedAt, who.Key.LastUsedAt); diff != "" {
			t.Errorf("-reading the key +whoami: %s", diff)
		}
	}
}
