package api_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// canaries are distinctive secrets, with the name of each.
type canaries map[string]string

// search reports every canary that text shows: as it is, in hexadecimal, and in
// what it says when it is base64 itself.
func (c canaries) search(t *testing.T, where string, text []byte) {
	t.Helper()
	for name, secret := range c {
		forms := [][]byte{[]byte(secret), []byte(hex.EncodeToString([]byte(secret)))}
		if raw, err := base64.RawURLEncoding.DecodeString(secret); err == nil && len(raw) >= 16 {
			forms = append(forms, raw, []byte(hex.EncodeToString(raw)))
		}
		for _, form := range forms {
			if bytes.Contains(text, form) {
				t.Errorf("%s shows %s", where, name)
			}
		}
	}
}

// A run with distinctive passwords, tokens, keys and Idempotency-Keys leaves none
// of them in clear: not in the log at its most talkative, not in the metrics, the
// audit trail, the database's files or tables, nor in an email to another person.
func TestCanaries(t *testing.T) {
	t.Parallel()
	for engine, dsn := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address, box, metrics := dsn(t), make(mailbox, 100), prometheus.NewRegistry()
			w := startWorld(t, address, box, func(c *api.Config) { c.Metrics = metrics })
			secrets, exports := canaryRun(t, w, box)
			if len(secrets) < 15 {
				t.Fatalf("only %d canaries flew", len(secrets))
			}
			secrets.search(t, "the log", []byte(w.Logged.String()))
			secrets.search(t, "the audit trail", exports)
			families, err := metrics.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, family := range families {
				secrets.search(t, "the metric "+family.GetName(), []byte(family.String()))
			}
			content := databaseContent(t, address)
			if !bytes.Contains(content, []byte("cnry@example.com")) {
				t.Fatal("the database was not read: it must show what is no secret")
			}
			secrets.search(t, "the database", content)
		})
	}
}

// canaryRun is everything that people and keys do, well and badly. It returns the
// secrets that came up and the exports of the audit trail.
func canaryRun(t *testing.T, w *world, box mailbox) (canaries, []byte) {
	t.Helper()
	c := canaries{
		"the first password": "canary-one violet lamps", "the confirming password": "canary-zero violet lamps",
		"the second password": "canary-two violet lamps",
		"the third password":  "canary-three violet lamps", "a wrong password": "canary-wrong violet lamps",
		"an Idempotency-Key": "canary-idempotency-key-0001", "another Idempotency-Key": "canary-idempotency-key-0002",
		"a key in the wrong place": "lk_live_canary000000_" + strings.Repeat("canary7", 7),
	}
	post := func(path string, as credential, body any) answer { return w.call(t, "POST", path, as, body) }
	login := map[string]string{"email": "cnry@example.com", "password": c["the first password"]}
	post("/v1/auth/signup", anonymous, login).want(t, 202, nil)
	c["a verification token"] = box.read(t, "verification")
	login["password"] = c["the confirming password"]
	post("/v1/auth/email/verify", anonymous, map[string]string{
		"token": c["a verification token"], "password": c["the confirming password"],
	}).want(t, 204, nil)
	post("/v1/auth/login", anonymous, map[string]string{"email": "cnry@example.com", "password": c["a wrong password"]}).want(t, 401, nil)
	post("/v1/auth/login", anonymous, `{"email": "cnry@example.com", "password": "`+c["a wrong password"]+`", "password": 1}`).
		want(t, 400, nil)
	post("/v1/auth/login", anonymous, map[string]any{"email": 1, "password": []string{c["a wrong password"]}}).want(t, 422, nil)
	enter := func(name string) person {
		var p person
		post("/v1/auth/login", anonymous, login).want(t, 200, &p.Session)
		c["the access token of "+name], c["the refresh token of "+name] = p.AccessToken, p.RefreshToken
		p.as = byUser(p.AccessToken)
		return p
	}
	ada := enter("the first session")
	var next api.Session
	post("/v1/auth/refresh", anonymous, map[string]string{"refresh_token": ada.RefreshToken}).want(t, 200, &next)
	c["a successor"] = next.RefreshToken
	post("/v1/me/password", ada.as, map[string]string{"current": c["the confirming password"], "new": c["the second password"]}).
		want(t, 204, nil)
	box.read(t, "password-changed")
	post("/v1/auth/password/forgot", anonymous, map[string]string{"email": "cnry@example.com"}).want(t, 202, nil)
	c["a reset token"] = box.read(t, "password-reset")
	post("/v1/auth/password/reset", anonymous, map[string]string{
		"token": c["a reset token"], "password": c["the third password"],
	}).want(t, 204, nil)
	box.read(t, "password-changed")
	login["password"] = c["the third password"]
	ada = enter("the second session")

	organization := w.organization(t, ada, "Canary")
	project := w.project(t, ada, organization.ID, "Canary")
	at := "/v1/projects/" + string(project.ID) + "/keys"
	once := func(as credential, key string) credential {
		return func(h http.Header) { as(h); h.Set("Idempotency-Key", key) }
	}
	var key, rotated api.CreatedKey
	create := map[string]any{"name": "canary", "scopes": []string{"keys:verify"}}
	post(at, once(ada.as, c["an Idempotency-Key"]), create).want(t, 201, &key)
	post(at, once(ada.as, c["an Idempotency-Key"]), create).want(t, 201, &key)
	post(at, once(ada.as, c["an Idempotency-Key"]), map[string]any{"name": "other"}).want(t, 422, nil)
	post(at+"/"+string(key.Key.ID)+"/rotate", once(ada.as, c["another Idempotency-Key"]), nil).want(t, 200, &rotated)
	for name, token := range map[string]string{"a key": key.Token, "a rotated key": rotated.Token} {
		c[name] = token
		c["the secret of "+name] = token[len(token)-49:]
		w.call(t, "GET", "/v1/project", byKey(token), nil).want(t, 200, nil)
		w.call(t, "GET", "/v1/project", byAuthorization("Api-Key "+token), nil).want(t, 200, nil)
		w.call(t, "GET", "/v1/project", byUser(token), nil).want(t, 401, nil)
		w.call(t, "GET", "/v1/project?key="+token, byKey(token), nil).want(t, 422, nil)
		w.call(t, "GET", "/v1/"+token, anonymous, nil).want(t, 404, nil)
		post("/v1/keys/verify", byKey(rotated.Token), map[string]string{"key": token}).want(t, 200, nil)
	}
	w.call(t, "GET", "/v1/project", byKey(c["a key in the wrong place"]), nil).want(t, 401, nil)
	w.call(t, "GET", "/v1/project", byKey(ada.AccessToken), nil).want(t, 401, nil)
	w.call(t, "GET", "/v1/me", byUser(ada.RefreshToken), nil).want(t, 401, nil)

	var invited api.CreatedInvitation
	inviting := "/v1/organizations/" + string(organization.ID) + "/invitations"
	post(inviting, ada.as, map[string]string{"email": "bird@example.com", "role": "viewer"}).want(t, 201, &invited)
	c["an invitation's token"] = invited.Token
	if box.read(t, "invitation") != invited.Token {
		t.Error("the mail has another token than the answer")
	}
	post("/v1/invitations/accept", ada.as, map[string]string{"token": invited.Token}).want(t, 403, nil)

	var exports []byte
	for _, media := range []string{"text/csv", "application/x-ndjson"} {
		as := func(h http.Header) { ada.as(h); h.Set("Accept", media) }
		exports = append(exports, w.call(t, "GET", "/v1/organizations/"+string(organization.ID)+"/audit-events", as, nil).
			want(t, 200, nil).body...)
	}
	all, err := w.App.ListEvents(t.Context(), domain.System(), domain.EventFilter{}, domain.Page{Limit: domain.MaxPageSize})
	if err != nil {
		t.Fatal(err)
	}
	return c, append(exports, fmt.Sprintf("%+v", all)...)
}

// databaseContent returns the bytes of all files of a SQLite database, what was
// deleted among them, or all rows of a PostgreSQL one.
func databaseContent(t *testing.T, address string) []byte {
	t.Helper()
	var content []byte
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		files, err := filepath.Glob(path + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			content = append(content, data...)
		}
		return content
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range column(t, db, "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'") {
		for _, row := range column(t, db, "SELECT r::text FROM "+table+" r") {
			content = append(content, row+"\n"...)
		}
	}
	return content
}

func column(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}
