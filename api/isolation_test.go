package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// idFields are the names under which an id could be slipped in.
var idFields = map[string]string{
	"id": "{key_id}", "organization_id": "{organization_id}", "project_id": "{project_id}", "key_id": "{key_id}",
	"user_id": "{user_id}", "session_id": "{session_id}", "invitation_id": "{invitation_id}", "actor": "{user_id}", "target": "{key_id}",
	"token_id": "{token_id}",
}

// Guarantees that another tenant's id, in the query or in the body of whatever
// operation, does what an id of nothing does: where the contract has a place for
// it, the answers are the same and name nothing of theirs; where it has none, the
// request is refused and no field of it overrides the path.
func TestForeignIDsInQueryAndBody(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.tenant(t, "other")
	every := "{organization_id}{project_id}{key_id}{user_id}{invitation_id}{session_id}"
	theirs, nobodys := s.ids(t, other, every, other.owner), s.nobodys()
	var theirEvents api.AuditEventList
	s.call(t, "GET", "/v1/organizations/"+string(other.organization.ID)+"/audit-events?limit=1", other.owner.as, nil).
		want(t, 200, &theirEvents)
	cursor := theirEvents.NextCursor.MustGet()

	clean := func(what string, a answer) {
		t.Helper()
		for name, id := range theirs {
			if bytes.Contains(a.body, []byte(id)) && name != "{session_id}" && name != "{scopes}" {
				t.Errorf("%s: the answer %d names the stranger's %s: %s", what, a.status, name, a.body)
			}
		}
	}
	taken, refused := 0, 0
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "deleteOrganization" || op.OperationID == "deleteProject" {
				continue // they take neither query nor body, and would end the scene
			}
			if op.OperationID == "forwardAuth" {
				continue // it answers for requests to another API, whose queries are not its own
			}
			column := "owner"
			if forKeys(op) {
				column = "key with every scope"
			}
			address, as, body := s.request(t, op.OperationID, path, column)
			for name, kind := range idFields {
				their, none := url.QueryEscape(theirs[kind]), url.QueryEscape(nobodys[kind])
				a := s.call(t, method, address+"?"+name+"="+their, as, body)
				what := fmt.Sprintf("%s ?%s", op.OperationID, name)
				clean(what, a)
				if op.Parameters.GetByInAndName("query", name) == nil {
					a.fails(t, 422, domain.CodeValidationFailed)
					refused++
					continue
				}
				b := s.call(t, method, address+"?"+name+"="+none, as, body)
				if a.status != b.status || withoutRequestID(a) != withoutRequestID(b) {
					t.Errorf("%s: foreign %d %s, absent %d %s", what, a.status, a.body, b.status, b.body)
				}
				taken++
			}
			if op.Parameters.GetByInAndName("query", "cursor") != nil {
				clean(op.OperationID+" ?cursor", s.call(t, method, address+"?cursor="+url.QueryEscape(cursor), as, body))
			}
			for name, kind := range idFields {
				if op.RequestBody == nil || op.RequestBody.Value.Content.Get("application/json") == nil {
					break
				}
				_, as, body := s.request(t, op.OperationID, path, column)
				a := s.call(t, method, address, as, with(t, body, name, theirs[kind]))
				what := fmt.Sprintf("%s {%s}", op.OperationID, name)
				clean(what, a)
				if !slices.Contains(propertiesOf(op), name) {
					a.fails(t, 422, domain.CodeValidationFailed)
					refused++
					continue
				}
				b := s.call(t, method, address, as, with(t, body, name, nobodys[kind]))
				if a.status != b.status || withoutRequestID(a) != withoutRequestID(b) {
					t.Errorf("%s: foreign %d %s, absent %d %s", what, a.status, a.body, b.status, b.body)
				}
				taken++
			}
		}
	}
	if taken < 3 || refused < 300 {
		t.Errorf("only %d places that take an id and %d that do not were tried", taken, refused)
	}
	// Nothing of the other tenant has changed.
	s.call(t, "GET", "/v1/projects/"+string(other.project.ID), other.owner.as, nil).want(t, 200, nil)
	var key api.Key
	s.call(t, "GET", "/v1/projects/"+string(other.project.ID)+"/keys/"+theirs["{key_id}"], other.owner.as, nil).want(t, 200, &key)
	if key.Status != domain.KeyActive || key.Name != "a key" {
		t.Errorf("the other tenant's key has become %+v", key)
	}
}

// with returns a JSON body with one more field.
func with(t *testing.T, body any, name, value string) any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if body != nil {
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
	}
	fields[name] = value
	return fields
}

func propertiesOf(op *openapi3.Operation) (names []string) {
	for name := range op.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties {
		names = append(names, name)
	}
	return names
}
