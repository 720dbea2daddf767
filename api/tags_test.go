package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// testTags guarantees that a question about a token counts for its tag, whatever the
// answer is, that the tags of two projects have nothing to do with each other, and that
// a client with ever new tags finds the rest of them as the tag "other".
func testTags(t *testing.T, w *world) {
	n := w.tenant(t, "bea")
	backend := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"keys:verify"}})
	var pro api.Plan
	w.call(t, "POST", n.path("/plans"), n.owner.as, map[string]any{"name": "=Pro", "limits": []any{}}).want(t, 201, &pro)
	used := w.key(t, n.owner, n.project.ID, map[string]any{"name": "portal", "plan_id": pro.ID})
	other := w.tenant(t, "eve")
	theirs := w.key(t, other.owner, other.project.ID, map[string]any{"scopes": []string{"keys:verify"}})

	ask := func(asking, token string, tag any) {
		t.Helper()
		w.call(t, "POST", "/v1/keys/verify", byKey(asking), map[string]any{"key": token, "tag": tag}).want(t, 200, nil)
	}
	ask(backend.Token, used.Token, "POST /v1/chat")
	ask(backend.Token, used.Token, "POST /v1/chat")
	ask(backend.Token, "lk_live_of_nothing", "POST /v1/chat")
	ask(backend.Token, used.Token, "=formula")
	ask(theirs.Token, used.Token, "POST /v1/chat")
	for i := range 150 {
		ask(theirs.Token, theirs.Token, fmt.Sprint("tag ", i))
	}
	for _, bad := range []any{"", strings.Repeat("t", 65), "a\nb", "é", 7, nil} {
		w.call(t, "POST", "/v1/keys/verify", byKey(backend.Token), map[string]any{"key": used.Token, "tag": bad}).
			fails(t, 422, domain.CodeValidationFailed)
	}
	w.call(t, "GET", "/v1/project", byKey(used.Token), nil).want(t, 200, nil)
	w.record(t)

	requests := func(of tenant, query string) map[string]int64 {
		t.Helper()
		got := map[string]int64{}
		for _, i := range w.usage(t, of, "limit=200&interval=total&"+query).Items {
			name := value(i.Tag)
			if plan, err := i.Plan.Get(); err == nil {
				name += plan.Name
			}
			if i.Outcome != nil {
				name += " " + string(*i.Outcome)
			}
			got[name] += i.Requests
		}
		return got
	}
	for query, want := range map[string]map[string]int64{
		"":                                       {"": 5},
		"group_by=tag":                           {"POST /v1/chat": 3, "=formula": 1},
		"tag=POST+/v1/chat":                      {"": 3},
		"tag=nothing":                            {},
		"group_by=tag,outcome&tag=POST+/v1/chat": {"POST /v1/chat valid": 2, "POST /v1/chat not_found": 1},
		"group_by=tag&outcome=not_found":         {"POST /v1/chat": 1},
		"group_by=plan":                          {"=Pro": 4},
		"plan_id=" + string(pro.ID):              {"": 4},
	} {
		if diff := cmp.Diff(want, requests(n, query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	if got := requests(other, "group_by=tag"); len(got) != 101 || got["other"] != 51 || got["POST /v1/chat"] != 1 {
		t.Errorf("got %d tags, of which %d are counted as other", len(got), got["other"])
	}

	csv := func(h http.Header) { n.owner.as(h); h.Set("Accept", "text/csv") }
	answer := w.call(t, "GET", n.path("/usage?interval=total&group_by=tag"), csv, nil).want(t, 200, nil)
	if !strings.HasPrefix(string(answer.body), "start,tag,requests,") || !strings.Contains(string(answer.body), ",'=formula,1,") {
		t.Errorf("got %s", answer.body)
	}
	answer = w.call(t, "GET", n.path("/usage?interval=total&group_by=key,plan"), csv, nil).want(t, 200, nil)
	for _, want := range []string{"start,key_id,key_name,plan_id,plan_name,requests,", ",portal," + string(pro.ID) + ",'=Pro,4,"} {
		if !strings.Contains(string(answer.body), want) {
			t.Errorf("got %s, want %s", answer.body, want)
		}
	}
}
