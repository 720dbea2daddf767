package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// report sends a report of leaks from a network and returns the labels.
func (w *world) report(t *testing.T, body any) (labels []string) {
	t.Helper()
	var feedback []api.LeakLabel
	w.call(t, http.MethodPost, "/v1/leaks", anonymous, body).want(t, http.StatusOK, &feedback)
	for _, f := range feedback {
		labels = append(labels, string(f.Label))
	}
	return labels
}

// Guarantees that a report in GitHub's shape revokes a key, that its answer has GitHub's
// shape, and that the audit trail has where the token was found and never the token.
func TestReportLeakInGitHubsShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key, garbage := w.key(t, n.owner, n.project.ID, nil), "lk_live_"+strings.Repeat("A", 61)
	page := "https://github.com/octocat/Hello-World/blob/main/foo/bar.txt"
	w.Pass(time.Second)
	at := w.Now()
	got := w.call(t, http.MethodPost, "/v1/leaks", anonymous, []map[string]any{
		{"token": key.Token, "type": "acme_api_key", "url": page, "source": "content", "future_field": "yes"},
		{"token": garbage, "type": "acme_api_key", "url": page, "source": "content"},
	})
	hash := func(token string) string {
		sum := sha256.Sum256([]byte(token))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	want := fmt.Sprintf(`[{"label":"true_positive","token_hash":%q,"token_type":"acme_api_key"},`+
		`{"label":"false_positive","token_hash":%q,"token_type":"acme_api_key"}]`, hash(key.Token), hash(garbage))
	if got.status != http.StatusOK || strings.TrimSpace(string(got.body)) != want {
		t.Errorf("got %d %s, want %s", got.status, got.body, want)
	}
	w.call(t, http.MethodGet, "/v1/project", byKey(key.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeKeyRevoked)
	var shown api.Key
	w.call(t, http.MethodGet, n.path("/keys/"+string(key.Key.ID)), n.owner.as, nil).want(t, http.StatusOK, &shown)
	if shown.RevokedReason.MustGet() != "leaked" || shown.LeakedAt == nil {
		t.Errorf("got the key %+v", shown)
	}
	events := w.since(t, at)
	if len(events) != 1 {
		t.Fatalf("got the events %+v, want one", events)
	}
	e := events[0]
	if e.Action != "key.leaked" || !cmp.Equal(e.Changes["url"], domain.Change{nil, page}) ||
		!cmp.Equal(e.Changes["leaked_token"], domain.Change{nil, key.Key.Prefix}) || strings.Contains(fmt.Sprint(e), key.Token[22:40]) {
		t.Errorf("got the event %+v", e)
	}

	w.Pass(time.Second)
	if labels := w.report(t, map[string]any{"tokens": []string{key.Token, key.Token}}); !cmp.Equal(labels,
		[]string{"true_positive", "true_positive"}) {
		t.Errorf("reported again: got %v", labels)
	}
	if again := w.since(t, at.Add(time.Millisecond)); len(again) > 0 {
		t.Errorf("reported again: got the events %+v", again)
	}
}

// Guarantees that a project that wants only to be notified keeps its key, and that the
// token of before a rotation ends alone.
func TestReportLeakAsTheProjectWants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	old := w.key(t, n.owner, n.project.ID, nil)
	w.call(t, http.MethodGet, "/v1/project", byKey(old.Token), nil).want(t, http.StatusOK, nil)
	var rotated api.CreatedKey
	w.call(t, http.MethodPost, n.path("/keys/"+string(old.Key.ID)+"/rotate"), n.owner.as, nil).want(t, http.StatusOK, &rotated)
	w.secret(rotated.Token)
	w.report(t, map[string]any{"tokens": []string{old.Token}})
	w.call(t, http.MethodGet, "/v1/project", byKey(old.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeKeyExpired)
	w.call(t, http.MethodGet, "/v1/project", byKey(rotated.Token), nil).want(t, http.StatusOK, nil)
	var key api.Key
	w.call(t, http.MethodGet, n.path("/keys/"+string(old.Key.ID)), n.owner.as, nil).want(t, http.StatusOK, &key)
	if key.Retiring != nil || key.LeakedAt != nil || key.Status != domain.KeyActive {
		t.Errorf("after the report of a retiring token, got the key %+v", key)
	}

	w.call(t, http.MethodPatch, n.path(""), n.owner.as, map[string]string{"on_leak": "notify"}).want(t, http.StatusOK, nil)
	w.report(t, map[string]any{"tokens": []string{rotated.Token}, "url": "https://pastebin.example.com/1"})
	w.call(t, http.MethodGet, "/v1/project", byKey(rotated.Token), nil).want(t, http.StatusOK, nil)
	for edge, shown := range w.verifiedAtBothEdges(t, n, rotated.Token) {
		if shown["leaked_at"] == nil {
			t.Errorf("%s does not say that the key has leaked: %v", edge, shown)
		}
	}
	w.call(t, http.MethodPost, n.path("/keys/"+string(old.Key.ID)+"/rotate"), n.owner.as, map[string]int{"grace_seconds": 0}).
		want(t, http.StatusOK, &rotated)
	w.secret(rotated.Token)
	if rotated.Key.LeakedAt != nil {
		t.Error("the new token counts as leaked")
	}
}

// Guarantees that 10,000 tokens that this instance never made cost no statement, and that
// a network that reports more often than 60 times has to wait, while others have not.
func TestReportLeakCostsStrangersNothing(t *testing.T) {
	t.Parallel()
	dsn := storetest.SQLite(t)
	w := serveWorld(t, servicetest.Prepare(t, storetest.NewBreakable(t, dsn), dsn), nil)
	servicetest.Follow(t, w.App)
	n := w.tenant(t, "ada")
	w.key(t, n.owner, n.project.ID, nil)
	noQuery, cancel := context.WithCancel(t.Context())
	cancel()
	servicetest.Eventually(t, "tokens without a tag are known", func() bool {
		_, err := w.App.ProveKey(noQuery, randomTokens(t, 1)[0], nil)
		return domain.CodeOf(err) == domain.CodeInvalidAPIKey
	})
	f := &storetest.Fault{}
	for range 10 {
		tokens := randomTokens(t, domain.MaxLeaks)
		if labels := w.reportUnder(t, f, "203.0.113.9", tokens); strings.Contains(labels, "true_positive") ||
			strings.Count(labels, "false_positive") != len(tokens) {
			t.Fatalf("got %.200s", labels)
		}
	}
	if seen := f.Seen(); len(seen) > 0 {
		t.Errorf("10,000 tokens cost the statements %v", seen)
	}
	for range 50 {
		w.reportUnder(t, f, "203.0.113.9", []string{"garbage"})
	}
	if refused := w.reportUnder(t, f, "203.0.113.77", []string{"garbage"}); !strings.Contains(refused, "rate_limited") {
		t.Errorf("report 61 of a network: got %s", refused)
	}
	if other := w.reportUnder(t, f, "198.51.100.1", []string{"garbage"}); !strings.Contains(other, "false_positive") {
		t.Errorf("another network: got %s", other)
	}
}

// randomTokens are well formed, and made by no instance.
func randomTokens(t *testing.T, n int) []string {
	t.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		made, err := domain.RandomToken(domain.DefaultKeyPrefix, domain.Live)
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = made.Reveal()
	}
	return tokens
}

// reportUnder sends a report from an address under a fault and returns the answer.
func (w *world) reportUnder(t *testing.T, f *storetest.Fault, ip string, tokens []string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"tokens": tokens})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(f.Context(t.Context()), http.MethodPost, "/v1/leaks", bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = ip + ":1234"
	recorder := httptest.NewRecorder()
	w.echo.ServeHTTP(recorder, r) // other tests hold the answer to the contract
	return recorder.Body.String()
}

// Guarantees the bounds of a report: what is one beyond is refused, and an empty report.
func TestReportLeakIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := func(n int) []string { return strings.Split(strings.Repeat("x ", n-1)+"x", " ") }
	w.report(t, map[string]any{"tokens": tokens(1000)})
	for name, body := range map[string]any{
		"/tokens":     map[string]any{"tokens": tokens(1001)},
		"/tokens/0":   map[string]any{"tokens": []string{strings.Repeat("x", 4097)}},
		"/url":        map[string]any{"tokens": tokens(1), "url": strings.Repeat("x", 2049)},
		"/more":       map[string]any{"tokens": tokens(1), "more": true},
		"":            []string{},
		"/0/token":    []map[string]string{{"url": "https://example.com"}},
		"/0/more":     []map[string]any{{"token": "x", "more": true}},
		"/0/source":   []map[string]any{{"token": "x", "source": 1}},
		"/0":          []string{"x"},
		"/tokens/0 ":  map[string]any{"tokens": []string{""}},
		"/tokens/0  ": map[string]any{"tokens": []any{nil}},
	} {
		got := w.call(t, http.MethodPost, "/v1/leaks", anonymous, body)
		got.fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
		if want := fmt.Sprintf(`"pointer":%q`, strings.TrimSpace(name)); !strings.Contains(string(got.body), want) {
			t.Errorf("got %s, want %s", got.body, want)
		}
	}
	w.call(t, http.MethodPost, "/v1/leaks", anonymous, `"x"`).fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	w.call(t, http.MethodPost, "/v1/leaks", anonymous, `[`).fails(t, http.StatusBadRequest, domain.CodeMalformedRequest)
}
