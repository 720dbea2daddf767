package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// unrecorded are the operations, beside those that only read, that leave no
// event when they succeed, each with the reason.
var unrecorded = map[string]string{
	"refreshSession": "the session continues",
	"verifyKey":      "is a question",
	"spendKey":       "is usage, unless it gives back without a spend_id",
	"syncKeys":       "is a question",
	"rehearsePlan":   "is a question",

	"issueToken":      "writes nothing, and is counted as a use",
	"introspectToken": "is a question",

	"forgotPassword": "changes nothing until the mail is used",
}

// since lists what has been recorded from a moment on, in the whole instance.
func (w *world) since(t *testing.T, at time.Time) []domain.Event {
	t.Helper()
	list, err := w.App.ListEvents(t.Context(), domain.System(), domain.EventFilter{Since: at}, domain.Page{Limit: domain.MaxPageSize})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// Guarantees that every change that was acknowledged, of whatever operation and
// by whomever, left exactly one event, that names who made it; and that nothing
// else left any: no question, no refusal.
func TestOneEventForEachChange(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	routes, err := api.Routes()
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, r := range routes {
		path := regexp.MustCompile(`:([a-z_]+)`).ReplaceAllString(r.Path, "{$1}")
		for _, column := range callers {
			address, as, body := s.request(t, r.Operation, path, column)
			switch p, isPerson := s.people[column]; {
			case isPerson && r.Operation == "revokeOtherSessions":
				s.logIn(t, p) // so that there is one to end
			case r.Operation == "updateMember": // so that there is a role to change
				scope := domain.Organization{ID: s.home.organization.ID}.Scope()
				if err := s.Store.SetRole(t.Context(), scope, s.guest, domain.Viewer); err != nil {
					t.Fatal(err)
				}
			}
			s.Pass(time.Millisecond)
			at := s.Now()
			got := s.call(t, r.Method, address, as, body)
			events := s.since(t, at)
			want := 0
			if r.Method != http.MethodGet && got.status < 300 && unrecorded[r.Operation] == "" {
				want = 1
				recorded[r.Operation] = true
			}
			if len(events) != want {
				t.Errorf("%s by %s, answered %d: got %d events, want %d: %+v", r.Operation, column, got.status, len(events), want, events)
				continue
			}
			for _, e := range events {
				if e.Actor.ID == "" || e.Actor.Kind == domain.ActorSystem || e.Target.ID == "" || e.Origin.RequestID == "" ||
					e.Origin.IP == "" {
					t.Errorf("%s by %s: the event lacks who, what or whence: %+v", r.Operation, column, e)
				}
				if got, want := s.effect(t, e, column, address, as, got), effects[r.Operation]; got != want {
					t.Errorf("%s by %s: got the event %q, want %q: %+v", r.Operation, column, got, want, e)
				}
			}
		}
		if r.Method != http.MethodGet && unrecorded[r.Operation] == "" && !recorded[r.Operation] &&
			!slices.Contains(needMail, r.Operation) {
			t.Errorf("%s succeeded for no caller, so the test shows nothing about it", r.Operation)
		}
	}
}

// needMail are operations that need a token from a mail; TestMailOverHTTP
// shows what they record.
var needMail = []string{"verifyEmail", "resetPassword"}

// The filters of the audit trail find what they say, alone and together, page by
// page, and another tenant's ids find nothing.
func TestAuditFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, other := w.tenant(t, "ada"), w.tenant(t, "eve")
	theirs := w.key(t, other.owner, other.project.ID, nil)
	var keys []api.CreatedKey
	start := w.Now()
	for range 5 {
		w.Pass(time.Second)
		keys = append(keys, w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"keys:write"}}))
	}
	w.Pass(time.Second)
	by := keys[0]
	w.call(t, "POST", n.path("/keys/"+string(keys[1].Key.ID)+"/revoke"), byKey(by.Token), nil).want(t, 200, nil)

	at := "/v1/organizations/" + string(n.organization.ID) + "/audit-events"
	second := func(i int) string { return start.Add(time.Duration(i) * time.Second).Format(time.RFC3339) }
	for query, want := range map[string]int{
		"":                                            8, // organization, project, 5 keys, revocation
		"?action=key.created":                         5,
		"?actor=" + string(by.Key.ID):                 1,
		"?actor=" + string(n.owner.User.ID):           7,
		"?target=" + string(keys[1].Key.ID):           2,
		"?target=" + string(n.project.ID):             1,
		"?since=" + second(3):                         4,
		"?until=" + second(3):                         4,
		"?since=" + second(2) + "&until=" + second(4): 2,
		"?action=key.revoked&target=" + string(keys[1].Key.ID): 1,
		"?action=key.revoked&target=" + string(keys[2].Key.ID): 0,
		"?actor=" + string(other.owner.User.ID):                0,
		"?target=" + string(theirs.Key.ID):                     0,
		"?target=" + string(other.project.ID):                  0,
		"?action=nothing.done":                                 0,
	} {
		var list api.AuditEventList
		w.call(t, "GET", at+query, n.owner.as, nil).want(t, 200, &list)
		if got := len(list.Items); got != want {
			t.Errorf("%s: got %d events, want %d", query, got, want)
		}
		seen, next := map[domain.EventID]bool{}, ""
		for range 10 {
			sep := "?"
			if query != "" {
				sep = "&"
			}
			var page api.AuditEventList
			w.call(t, "GET", fmt.Sprint(at, query, sep, "limit=3", next), n.owner.as, nil).want(t, 200, &page)
			for _, e := range page.Items {
				seen[e.ID] = true
			}
			if page.NextCursor.IsNull() {
				break
			}
			next = "&cursor=" + page.NextCursor.MustGet()
		}
		if got := len(seen); got != want {
			t.Errorf("%s: got %d events by pages of 3, want %d", query, got, want)
		}
	}
	w.call(t, "GET", at+"?since=yesterday", n.owner.as, nil).fails(t, 422, domain.CodeValidationFailed)
	cursor := "?cursor=" + "AAAA"
	w.call(t, "GET", at+cursor, n.owner.as, nil).fails(t, 422, domain.CodeValidationFailed)
}
