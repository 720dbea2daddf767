package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// Each edge answers about every kind of key what openapi.yaml says: so neither can
// be wrong where the other would have to notice.
func TestVerificationOfEachKind(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	own, err := e.project.Get()
	must(t, err)
	disabled, active := domain.Disabled, domain.Active
	foreign, err := e.other.Get()
	must(t, err)

	for name, test := range map[string]struct {
		by, body string
		want     Verification // of Key, only which key and its status
		project  *domain.Project
	}{
		"good":           {"VERIFIER", `{"key": "$RICH"}`, inAnHour(verified("valid", "active")), &own},
		"with its scope": {"VERIFIER", `{"key": "$RICH", "scopes": ["documents:read"]}`, inAnHour(verified("valid", "active")), &own},
		"for testing":    {"VERIFIER", `{"key": "$RICH", "environment": "test"}`, inAnHour(verified("valid", "active")), &own},
		"for production": {"VERIFIER", `{"key": "$RICH", "environment": "live"}`, verified("wrong_environment", "active"), nil},
		"without":        {"VERIFIER", `{"key": "$RICH", "scopes": ["documents:delete"]}`, verified("insufficient_scope", "active"), nil},
		"revoked":        {"VERIFIER", `{"key": "$REVOKED"}`, verified("revoked", "revoked"), nil},
		"expired":        {"VERIFIER", `{"key": "$EXPIRED"}`, verified("expired", "expired"), nil},
		"retiring":       {"VERIFIER", `{"key": "$RETIRING"}`, kept(60, inAnHour(verified("valid", "active"))), &own},
		"imported":       {"VERIFIER", `{"key": "$FOREIGN"}`, kept(60, verified("valid", "active")), &own},
		"another's":      {"VERIFIER", `{"key": "$OTHER"}`, kept(5, verified("not_found", "")), nil},
		"its own":        {"OTHER", `{"key": "$OTHER"}`, kept(60, verified("valid", "active")), &foreign},
		"none":           {"VERIFIER", `{"key": "x"}`, kept(5, verified("not_found", "")), nil},
	} {
		for edge, by := range map[string]http.Handler{"lean": e.lean, "ordinary": e.ordinary} {
			if diff := cmp.Diff(withProject(test.want, test.project), verification(t, by, e.fill("$"+test.by),
				e.fill(test.body))); diff != "" {
				t.Errorf("%s, by the %s edge: %s", name, edge, diff)
			}
		}
	}

	// A key of a disabled project: only a person can still ask about it.
	_, err = e.project.Update(t.Context(), domain.ProjectPatch{Status: &disabled})
	must(t, err)
	for edge, by := range map[string]http.Handler{"lean": e.lean, "ordinary": e.ordinary} {
		got := verification(t, by, "", e.fill(`{"key": "$RICH", "project_id": "$PROJECT"}`), "Bearer "+e.tokens["JWT"])
		if diff := cmp.Diff(withProject(verified("project_disabled", "active"), nil), got); diff != "" {
			t.Errorf("of a disabled project, by the %s edge: %s", edge, diff)
		}
	}
	_, err = e.project.Update(t.Context(), domain.ProjectPatch{Status: &active})
	must(t, err)
}

// verified is an answer with the code about a key in the state; "" for none.
func verified(code VerificationCode, status domain.KeyStatus) Verification {
	v := Verification{Valid: code == "valid", Code: code}
	if status != "" {
		v.Key = &VerifiedKey{Status: status}
	}
	return v
}

// kept is an answer that may be kept for so many seconds: by default none.
func kept(seconds int64, v Verification) Verification {
	v.MaxAge = seconds
	return v
}

// inAnHour is an answer whose key or token ends in an hour.
func inAnHour(v Verification) Verification {
	v.Deadline = new(int64(3600))
	return v
}

func withProject(v Verification, p *domain.Project) Verification {
	if p != nil {
		v.Project = &ProjectSummary{ID: p.ID, Name: p.Name, Slug: p.Slug}
	}
	return v
}

// verification asks, and leaves of the key that is answered its status.
func verification(t *testing.T, by http.Handler, key, body string, authorization ...string) Verification {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/keys/verify", strings.NewReader(body))
	r.Header.Set("Content-Type", plainJSON)
	if key != "" {
		r.Header.Set("X-Api-Key", key)
	}
	for _, value := range authorization {
		r.Header.Set("Authorization", value)
	}
	w := httptest.NewRecorder()
	by.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("got %d: %s", w.Code, w.Body)
	}
	var v Verification
	must(t, json.Unmarshal(w.Body.Bytes(), &v))
	if v.Key != nil {
		if v.Key.ID == "" || v.Key.Prefix == "" || v.Key.Name == "" {
			t.Errorf("got a key without id, prefix or name: %s", w.Body)
		}
		if id := value(v.TokenID); id == "" || strings.HasPrefix(v.Key.Prefix, "lk_") && !strings.Contains(body, "_"+id+"_") {
			t.Errorf("got the token id %q for %s", id, body)
		}
		v.Key, v.TokenID = &VerifiedKey{Status: v.Key.Status}, nil
	}
	return v
}
