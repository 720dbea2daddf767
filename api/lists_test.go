package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

var nextLink = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// walk follows a list from page to page by its Link, which must agree with
// next_cursor, and returns the items' names.
func (w *world) walk(t *testing.T, as credential, address string) (names []string, pages int) {
	t.Helper()
	for address != "" {
		var page struct {
			Items []struct {
				Name, Action string
			}
			NextCursor *string `json:"next_cursor"`
		}
		got := w.call(t, "GET", address, as, nil).want(t, http.StatusOK, &page)
		for _, item := range page.Items {
			names = append(names, item.Name+item.Action)
		}
		pages++
		address = ""
		link := nextLink.FindStringSubmatch(got.header.Get("Link"))
		if (link == nil) != (page.NextCursor == nil) {
			t.Fatalf("next_cursor is %v, but Link is %q", page.NextCursor, got.header.Get("Link"))
		}
		if link != nil {
			address = link[1]
			u, err := url.Parse(address)
			if err != nil || u.Query().Get("cursor") != *page.NextCursor {
				t.Fatalf("Link %q does not have the cursor %q: %v", address, *page.NextCursor, err)
			}
		}
		if pages > 100 {
			t.Fatal("the list does not end")
		}
	}
	return names, pages
}

// Lists are newest first, come in pages of the size that was asked for, keep
// their filter from page to page, and stay in place while rows are added.
func TestListsInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	var keys, projects, organizations []string
	for i := range 7 {
		w.Pass(time.Second)
		name := fmt.Sprintf("no. %d", i) // no token has a dot, and a search reads their beginnings too
		environment := []string{"live", "test"}[i%2]
		w.key(t, n.owner, n.project.ID, map[string]any{"name": name, "environment": environment, "external_id": "x" + environment})
		w.project(t, n.owner, n.organization.ID, name)
		w.organization(t, n.owner, name)
		keys, projects, organizations = append(keys, name), append(projects, name), append(organizations, name)
	}
	newest := func(names []string) []string { slices.Reverse(names); return names }
	projects, organizations = newest(append([]string{"ada"}, projects...)), newest(append([]string{"ada"}, organizations...))
	keys = newest(keys)

	for address, want := range map[string][]string{
		n.path("/keys"): keys,
		"/v1/organizations/" + string(n.organization.ID) + "/projects": projects,
		"/v1/organizations":                                        organizations,
		n.path("/keys?environment=live"):                           {"no. 6", "no. 4", "no. 2", "no. 0"},
		n.path("/keys?external_id=xtest"):                          {"no. 5", "no. 3", "no. 1"},
		n.path("/keys?search=" + url.QueryEscape("NO. 5")):         {"no. 5"},
		n.path("/keys?search=" + url.QueryEscape("%")):             nil,
		n.path("/keys?search=" + url.QueryEscape("no_")):           nil,
		n.path("/keys?status=active&environment=test"):             {"no. 5", "no. 3", "no. 1"},
		n.path("/keys?status=revoked"):                             nil,
		n.path("/keys?search=" + url.QueryEscape(`'"\ OR 1=1 --`)): nil,
		"/v1/organizations/" + string(n.organization.ID) + "/audit-events?action=project.created": {
			"project.created", "project.created", "project.created", "project.created", "project.created", "project.created",
			"project.created", "project.created",
		},
	} {
		for _, limit := range []int{1, 3, 4, 8, 200} {
			separator := "?"
			if strings.Contains(address, "?") {
				separator = "&"
			}
			got, pages := w.walk(t, n.owner.as, fmt.Sprintf("%s%slimit=%d", address, separator, limit))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s by %d: %s", address, limit, diff)
			}
			if least := max(1, (len(want)+limit-1)/limit); pages != least {
				t.Errorf("%s by %d: %d pages, want %d", address, limit, pages, least)
			}
		}
	}

	// A row that comes in between moves nothing.
	var first api.KeyList
	w.call(t, "GET", n.path("/keys?limit=3"), n.owner.as, nil).want(t, http.StatusOK, &first)
	w.Pass(time.Second)
	w.key(t, n.owner, n.project.ID, map[string]any{"name": "late"})
	got, _ := w.walk(t, n.owner.as, n.path("/keys?limit=3&cursor="+url.QueryEscape(first.NextCursor.MustGet())))
	if diff := cmp.Diff(keys[3:], got); diff != "" {
		t.Error(diff)
	}
}

// A cursor of one list shows nothing of it in another.
func TestForeignCursors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.tenant(t, "a"), w.tenant(t, "b")
	for range 3 {
		w.Pass(time.Second)
		w.key(t, a.owner, a.project.ID, map[string]any{"name": "of a"})
	}
	w.key(t, b.owner, b.project.ID, map[string]any{"name": "of b"})
	var page api.KeyList
	w.call(t, "GET", a.path("/keys?limit=1"), a.owner.as, nil).want(t, http.StatusOK, &page)
	names, _ := w.walk(t, b.owner.as, b.path("/keys?cursor="+url.QueryEscape(page.NextCursor.MustGet())))
	if slices.Contains(names, "of a") {
		t.Errorf("got %v", names)
	}
}

// Nothing is [] and absent is null, never the other way round.
func TestEmptyShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	list := w.call(t, "GET", n.path("/keys"), n.owner.as, nil).want(t, http.StatusOK, nil)
	if got, want := strings.TrimSpace(string(list.body)), `{"items":[],"next_cursor":null}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	k := w.key(t, n.owner, n.project.ID, nil)
	for _, as := range []credential{n.owner.as, byKey(w.key(t, n.owner, n.project.ID,
		map[string]any{"scopes": []string{"keys:read"}}).Token)} {
		var got map[string]any
		w.call(t, "GET", n.path("/keys/"+string(k.Key.ID)), as, nil).want(t, http.StatusOK, &got)
		want := map[string]any{
			"id": string(k.Key.ID), "project_id": string(n.project.ID), "name": "a key", "prefix": k.Key.Prefix, "environment": "live",
			"scopes": []any{}, "external_id": nil, "metadata": map[string]any{}, "status": "active",
			"created_at": "2026-03-02T09:30:00.535898Z",
			"created_by": map[string]any{"kind": "user", "id": string(n.owner.User.ID)}, "expires_at": nil, "revoked_at": nil,
			"revoked_reason": nil, "last_used_at": nil, "rotated_at": nil, "plan": nil, "limits": []any{}, "allowed_ips": []any{},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// The answer says who the caller is, and no more than their credentials allow.
func TestWhoAmI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	minted := w.key(t, n.owner, n.project.ID, nil)
	for _, test := range []struct {
		as   credential
		want api.Caller
	}{
		{byKey(minted.Token), api.Caller{Kind: api.CallerKindKey}},
		{n.owner.as, api.Caller{Kind: api.CallerKindUser}},
		{both(byKey(minted.Token), n.owner.as), api.Caller{Kind: api.CallerKindBoth}},
	} {
		if test.want.Kind != api.CallerKindUser {
			test.want.Key, test.want.Project = &minted.Key, &n.project
			test.want.Organization = &api.OrganizationSummary{
				ID: n.organization.ID, Name: n.organization.Name, Slug: n.organization.Slug, Status: n.organization.Status,
			}
		}
		if test.want.Kind != api.CallerKindKey {
			test.want.User = &n.owner.User
		}
		var got api.Caller
		w.call(t, "GET", "/v1/whoami", test.as, nil).want(t, http.StatusOK, &got)
		if got.Key != nil {
			got.Key.LastUsedAt.SetNull() // may have been recorded since
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.want.Kind, diff)
		}
	}
}

// A verified key comes without the time of its last use, and with every answer
// but not_found.
func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, other := w.tenant(t, "ada"), w.tenant(t, "eve")
	asking := byKey(w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"keys:verify"}}).Token)
	good := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"documents:read"}})
	expired := w.key(t, n.owner, n.project.ID, map[string]any{"expires_at": w.Now()})
	revoked := w.key(t, n.owner, n.project.ID, nil)
	w.call(t, "POST", n.path("/keys/"+string(revoked.Key.ID)+"/revoke"), n.owner.as, nil).want(t, http.StatusOK, nil)
	theirs := w.key(t, other.owner, other.project.ID, nil)

	for name, test := range map[string]struct {
		token  string
		scopes []string
		want   api.VerificationCode
		key    domain.KeyID
	}{
		"good":              {good.Token, nil, "valid", good.Key.ID},
		"with its scope":    {good.Token, []string{"documents:read"}, "valid", good.Key.ID},
		"lacking a scope":   {good.Token, []string{"documents:read", "documents:write"}, "insufficient_scope", good.Key.ID},
		"expired":           {expired.Token, nil, "expired", expired.Key.ID},
		"revoked":           {revoked.Token, nil, "revoked", revoked.Key.ID},
		"another project's": {theirs.Token, nil, "not_found", ""},
		"wrong secret":      {good.Token[:len(good.Token)-1] + "!", nil, "not_found", ""},
		"garbage":           {"garbage", nil, "not_found", ""},
		"empty":             {"", nil, "not_found", ""},
		"very long":         {strings.Repeat("k", 60<<10), nil, "not_found", ""},
		"strange":           {"ключ 🔑 \n", nil, "not_found", ""},
	} {
		question := map[string]any{"key": test.token}
		if test.scopes != nil {
			question["scopes"] = test.scopes
		}
		for _, as := range []credential{asking, n.owner.as} {
			question["project_id"] = n.project.ID
			var raw map[string]any
			var got api.Verification
			answer := w.call(t, "POST", "/v1/keys/verify", as, question).want(t, http.StatusOK, &got).want(t, http.StatusOK, &raw)
			if got.Code != test.want || got.Valid != (test.want == "valid") || (got.Key != nil) != (test.key != "") ||
				(got.Project != nil) != got.Valid {
				t.Errorf("%s: got %s", name, answer.body)
				continue
			}
			if got.Key != nil && (got.Key.ID != test.key || strings.Contains(string(answer.body), "last_used_at")) {
				t.Errorf("%s: got the key %s", name, answer.body)
			}
			if got.Key == nil && len(raw) != 3 {
				t.Errorf("%s: got more than the answer: %s", name, answer.body)
			}
		}
	}

	w.call(t, "PATCH", n.path(""), n.owner.as, map[string]string{"status": "disabled"}).want(t, http.StatusOK, nil)
	var got api.Verification
	w.call(t, "POST", "/v1/keys/verify", n.owner.as, map[string]any{"key": good.Token, "project_id": n.project.ID}).
		want(t, http.StatusOK, &got)
	if got.Valid || got.Code != "project_disabled" {
		t.Errorf("got %+v", got)
	}
}

// What is done over HTTP is in the audit trail, with who, from where and by
// which request, and without a secret.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	minted := w.key(t, n.owner, n.project.ID, map[string]any{"name": "before", "scopes": domain.KeyScopes})
	at := "/v1/organizations/" + string(n.organization.ID) + "/audit-events"
	renamed := w.call(t, "PATCH", n.path("/keys/"+string(minted.Key.ID)), both(byKey(minted.Token), headers("User-Agent", "test/1\xff")),
		map[string]string{"name": "after"}).
		want(t, http.StatusOK, nil)

	var list api.AuditEventList
	got := w.call(t, "GET", at+"?action=key.updated&actor="+string(minted.Key.ID)+"&target="+string(minted.Key.ID), n.owner.as,
		nil).want(t, http.StatusOK, &list)
	if len(list.Items) != 1 {
		t.Fatalf("got %s", got.body)
	}
	var raw struct{ Items []map[string]any }
	got.want(t, http.StatusOK, &raw)
	event := raw.Items[0]
	delete(event, "id")
	want := map[string]any{
		"at": "2026-03-02T09:30:00.535898Z", "actor": map[string]any{"kind": "key", "id": string(minted.Key.ID), "name": "before"},
		"action": "key.updated", "target": map[string]any{"kind": "key", "id": string(minted.Key.ID), "name": "after"},
		"organization_id": string(n.organization.ID), "project_id": string(n.project.ID), "ip": "192.0.2.1", "user_agent": "test/1",
		"request_id": renamed.header.Get("X-Request-Id"), "changes": map[string]any{"name": []any{"before", "after"}},
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Error(diff)
	}

	all := w.call(t, "GET", at+"?limit=200", n.owner.as, nil).want(t, http.StatusOK, nil)
	w.mustNotShow(t, "the audit trail", string(all.body))
	for query, want := range map[string]int{
		"?since=2026-03-02T09:30:01Z": 0, "?until=2026-03-02T09:30:00Z": 0, "?since=2026-03-02T10:30:00%2B01:00&action=key.updated": 1,
		"?actor=unknown": 0,
	} {
		w.call(t, "GET", at+query, n.owner.as, nil).want(t, http.StatusOK, &list)
		if len(list.Items) != want {
			t.Errorf("%s: got %d events, want %d", query, len(list.Items), want)
		}
	}
}
